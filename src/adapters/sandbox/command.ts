import { spawn } from "node:child_process";
import type { ExtractFailure, ExtractFailureReason } from "../../core/extract/sandbox.ts";
import { processTree, residentBytes } from "./resident.ts";

/** How often a command's memory is looked at. */
const WATCH_MS = 50;
/** With those it started. */
const MOST_PROCESSES = 64;
const MESSAGE_CHARS = 500;
const SAID_BYTES = 8 * 1024;

export interface CommandRun {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly input: string;
  readonly limits: CommandLimits;
  readonly signal: AbortSignal;
  /** Ends what is no child of this process, when the command has to be ended. */
  onKill?(): Promise<void>;
}

export interface CommandLimits {
  readonly timeMs: number;
  /** Resident, of all its processes together. */
  readonly memoryBytes: number;
  readonly outputBytes: number;
}

/**
 * Runs a command to its end, in a process group of its own, which is killed as a whole when it breaks a limit.
 * @returns what it printed, if it ended well.
 * @throws the signal's reason.
 */
export async function runCommand(run: CommandRun): Promise<{ readonly printed: string } | ExtractFailure> {
  const { argv, cwd, env, input, limits, signal, onKill } = run;
  signal.throwIfAborted();
  const [program = "", ...args] = argv;
  const child = spawn(program, args, { cwd, env, detached: true, stdio: ["pipe", "pipe", "pipe"] });
  const over = Promise.withResolvers<void>();
  const printed: Buffer[] = [];
  let printedBytes = 0;
  let said = "";
  let failure: ExtractFailure | undefined;
  let killed: Promise<void> | undefined;

  /** Kills all of it, with those that have left its group but not its tree. */
  function kill(): void {
    for (const pid of [...processTree(child.pid).slice(1), groupOf(child)]) killOne(pid);
    child.stdout.destroy();
    child.stderr.destroy();
    killed ??= onKill?.();
  }
  function fail(reason: ExtractFailureReason, message: string): void {
    failure ??= { reason, message };
    kill();
  }

  child.once("error", (error) => {
    failure ??= { reason: "died", message: `The extractor cannot be started: ${error.message}` };
    over.resolve();
  });
  // What it started and left behind may hold its output open.
  child.once("exit", () => killOne(groupOf(child)));
  child.once("close", over.resolve);
  // One that ends early does not read its input; that it ended is noticed anyway.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  child.stdout.on("data", (chunk: Buffer) => {
    printedBytes += chunk.length;
    if (printedBytes > limits.outputBytes) fail("output", `The record is larger than ${limits.outputBytes} bytes.`);
    else printed.push(chunk);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString("utf8")).slice(-SAID_BYTES);
  });
  const timer = setTimeout(() => fail("silence", `No result within ${limits.timeMs} ms.`), limits.timeMs);
  const watch = setInterval(() => {
    const tree = processTree(child.pid);
    if (tree.reduce((sum, pid) => sum + residentBytes(pid), 0) > limits.memoryBytes)
      fail("memory", `The extractor took more than ${limits.memoryBytes} bytes of memory.`);
    if (tree.length > MOST_PROCESSES) fail("died", `The extractor started more than ${MOST_PROCESSES} processes.`);
  }, WATCH_MS);
  signal.addEventListener("abort", kill);
  try {
    await over.promise;
  } finally {
    clearTimeout(timer);
    clearInterval(watch);
    signal.removeEventListener("abort", kill);
    await killed;
  }
  signal.throwIfAborted();
  if (failure) return failure;
  if (child.exitCode === 0) return { printed: Buffer.concat(printed).toString("utf8") };
  const last = said.trim().split("\n").at(-1)?.slice(0, MESSAGE_CHARS) ?? "";
  if (child.exitCode === null)
    return { reason: "died", message: `The extractor's process ended (${child.signalCode})${last && `: ${last}`}` };
  return { reason: "threw", message: last || `It ended with exit code ${child.exitCode}.` };
}

/** Its process group, as kill(2) names it; 0 of a command that was not started. */
const groupOf = ({ pid }: { readonly pid?: number | undefined }): number => (pid === undefined ? 0 : -pid);

function killOne(pid: number): void {
  // That would be this process's own group.
  if (pid === 0) return;
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    // It has ended by itself.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
