import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import type { Readable } from "node:stream";
import { AppError } from "../../core/errors.ts";
import type { Account, CommandEnd, CommandRunner, CommandToRun } from "../../core/schedules/command-runner.ts";
import { endProcesses, markedProcesses } from "./processes.ts";

const MARK = "LONGSHORE_RUN";
/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 5_000;
/** Both streams go into one pipe, as cron has it: what is printed keeps its order. The shell gives its place to the program. */
const WITH_ONE_OUTPUT = ["/bin/sh", "-c", 'cd "$HOME" || exit; exec "$@" 2>&1', "sh"] as const;

export interface LocalCommandsOptions {
  /** Default: 5 s. */
  readonly graceMs?: number;
}

/** Commands of this machine. As other users only where this process is root; they get no groups beside their own. */
export function localCommands({ graceMs = GRACE_MS }: LocalCommandsOptions = {}): CommandRunner {
  const own = userInfo();

  return {
    async account(user) {
      if (user === null || user === own.username) return { name: own.username, home: own.homedir, ids: null };
      const account = (await accounts())?.find(({ name }) => name === user);
      if (!account) throw new AppError("user_refused", { user, reason: "no user of this machine has this name" });
      if (own.uid !== 0)
        throw new AppError("user_refused", { user, expected: own.username, reason: "only root can run as others" });
      return account;
    },

    users: async () => (await accounts())?.map(({ name }) => name),

    run: (command, mark) => run(command, mark, graceMs),

    async endMarked(mark) {
      const left = markedProcesses(`${MARK}=${mark}`);
      if (left === undefined) return undefined;
      await endProcesses(() => markedProcesses(`${MARK}=${mark}`) ?? [], graceMs);
      return left.length;
    },
  };
}

async function run(command: CommandToRun, mark: string, graceMs: number): Promise<CommandEnd> {
  const { argv, account, env, stdin, write, signal } = command;
  const [program, ...words] = [...WITH_ONE_OUTPUT, ...argv];
  const home = env.HOME ?? account.home;
  const child = spawn(program, words, {
    cwd: "/",
    env: { ...env, HOME: home, [MARK]: mark },
    detached: true, // a session of its own, and so no terminal
    stdio: ["pipe", "pipe", "ignore"],
    ...(account.ids ?? {}),
  });
  const { stdin: input, stdout: printed } = child;
  const closed = new Promise<CommandEnd>((resolve, reject) => {
    child.once("error", (cause) =>
      reject(new AppError("run_failed", { program: argv[0] ?? "", reason: cause.message }, { cause })),
    );
    child.once("close", (exitCode, endedBy) => resolve({ exitCode, signal: endedBy }));
  });
  // One that ends early does not read its input.
  input.on("error", () => undefined);
  input.end(stdin);

  /** All of it: its group, whatever left the group but bears the mark, and its output, should anybody else hold that. */
  const all = () => [...(markedProcesses(`${MARK}=${mark}`) ?? []), ...(child.pid === undefined ? [] : [-child.pid])];
  let ending: Promise<void> | undefined;
  const end = () => {
    ending ??= endProcesses(all, graceMs).finally(() => printed.destroy());
  };
  signal.addEventListener("abort", end);
  if (signal.aborted) end();
  try {
    const [ended] = await Promise.all([closed, pass(printed, write, end)]);
    return ended;
  } finally {
    signal.removeEventListener("abort", end);
    await ending;
  }
}

/** Passes on what is printed; if it cannot be kept any more (a full disk), the command is ended. */
async function pass(printed: Readable, write: CommandToRun["write"], end: () => void): Promise<void> {
  try {
    for await (const chunk of printed as AsyncIterable<Uint8Array>) await write(chunk);
  } catch (error) {
    // Destroyed, as the command has been ended.
    if ((error as NodeJS.ErrnoException).code === "ERR_STREAM_PREMATURE_CLOSE") return;
    end();
    throw error;
  }
}

/** passwd(5); `undefined` where there is no such file. */
async function accounts(): Promise<readonly Account[] | undefined> {
  const text = await readFile("/etc/passwd", "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return text
    ?.split("\n")
    .map((line) => line.split(":"))
    .filter((fields) => fields.length >= 7)
    .map(([name = "", , uid, gid, , home = "/"]) => ({ name, home, ids: { uid: Number(uid), gid: Number(gid) } }));
}
