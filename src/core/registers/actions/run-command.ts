import { basename, join } from "node:path";
import type { StreamFacts } from "../../digest.ts";
import type { Environment } from "../../environment/environment.ts";
import { AppError } from "../../errors.ts";
import type { CommandRunner } from "../../schedules/command-runner.ts";
import type { Action } from "../declaration-form.ts";
import { filledArgument, filledPath } from "../places.ts";
import type { ActionContext, ActionRunner } from "../register-job.ts";
import type { ActionPlaces, WorkFolder } from "./action-places.ts";

export interface RunCommandParts {
  readonly runner: CommandRunner;
  readonly environment: Pick<Environment, "resolve">;
  readonly places: Pick<ActionPlaces, "work" | "hasProgram">;
  /** Where programs are looked for. */
  readonly path: string;
}

type CommandAction = Extract<Action, { do: "command" }>;

/** Of what a command prints, the end is kept for people. */
const SAID_BYTES = 2_048;

/**
 * Runs a program in a folder. What it makes is made aside, checked, and only then given its place; what it was made of is
 * removed after that, when it is still what it was.
 */
export function runCommandAction({ runner, environment, places, path }: RunCommandParts): ActionRunner<CommandAction> {
  async function run(
    context: ActionContext<CommandAction>,
    words: readonly string[],
    paths: Readonly<Record<string, string>>,
  ) {
    const { entry, action, signal } = context;
    const account = await runner.account(null);
    const scope = `register:${entry.register}` as const;
    const resolved = await environment.resolve([scope], action.environment);
    const given = Object.fromEntries(action.environment.map((name) => [name, resolved[name] ?? ""]));
    let said = Buffer.alloc(0);
    const late = AbortSignal.timeout(action.timeLimit);
    const { exitCode, signal: endedBy } = await runner.run(
      {
        argv: words.map((word) => filledArgument(word, entry, paths)),
        account,
        env: { PATH: path, ...given },
        stdin: "",
        async write(chunk) {
          said = Buffer.concat([said, chunk]).subarray(-SAID_BYTES);
        },
        signal: AbortSignal.any([signal, late]),
      },
      markOf(context),
    );
    signal.throwIfAborted();
    if (late.aborted)
      throw new AppError("action_failed", {
        program: words[0] ?? "",
        expected: `an end within ${action.timeLimit} ms`,
      });
    if (exitCode !== 0)
      throw new AppError("action_failed", {
        program: words[0] ?? "",
        found: endedBy ?? `exit code ${exitCode}`,
        said: said.toString("utf8").trim().split("\n").at(-1)?.slice(0, 500) ?? "",
      });
  }

  /** The output, aside, proven good. @returns where it is to be, and what it is. */
  async function make(context: ActionContext<CommandAction>, folder: WorkFolder): Promise<string | undefined> {
    const { action, entry, note } = context;
    const workshop = await folder.workshop(markOf(context));
    const output = action.output === undefined ? undefined : filledPath(action.output, entry);
    const paths = {
      folder: folder.path,
      ...(action.input !== undefined && { input: join(folder.path, filledPath(action.input, entry)) }),
      ...(output !== undefined && { output: join(workshop, basename(output)) }),
    };
    await run(context, action.command, paths);
    if (output === undefined) return undefined;
    const made = await folder.target.facts(`${basename(workshop)}/${basename(output)}`, context.signal);
    if (!made || made.sizeBytes === 0)
      throw new AppError("action_failed", {
        expected: "an output that is not empty",
        found: made?.sizeBytes ?? "none",
      });
    if (action.check) await run(context, action.check, paths);
    await note({ sha256: made.digests.sha256 ?? "", sizeBytes: made.sizeBytes });
    await context.settle();
    await folder.place(join(workshop, basename(output)), output);
    return output;
  }

  return async (context) => {
    const { action, entry, signal, noted } = context;
    const [program = ""] = action.command;
    const needed = [program, ...(action.check?.slice(0, 1) ?? [])];
    for (const name of needed)
      if (!(await places.hasProgram(name))) {
        if (action.missing === undefined)
          throw new AppError("action_failed", { expected: `the program ${name}`, found: "none" });
        return { reason: `there is no ${name} on this machine`, to: action.missing };
      }
    const folder = await places.work(filledPath(action.folder, entry));
    try {
      const input = action.input === undefined ? undefined : filledPath(action.input, entry);
      const before = input === undefined ? undefined : await folder.target.facts(input, signal);
      const output = action.output === undefined ? undefined : filledPath(action.output, entry);
      const isPlaced = output !== undefined && isNoted(await folder.target.facts(output, signal), noted);
      if (!isPlaced) {
        if (input !== undefined && !before) throw new AppError("source_missing", { path: input });
        await runner.endMarked(markOf(context));
        await make(context, folder);
        if (output !== undefined && !isNoted(await folder.target.facts(output, signal), context.noted))
          throw new AppError("target_occupied", { path: output });
      }
      if (action.removeInput && input !== undefined) await removeUnchanged(folder, input, before, signal);
      return { reason: output === undefined ? `${program} has run` : `${program} has made ${output}` };
    } finally {
      await folder.clear(markOf(context));
      await folder.target.close();
    }
  };
}

const markOf = ({ entry }: ActionContext<CommandAction>) => `longshore-${entry.register}-${entry.id}`;

function isNoted(facts: StreamFacts | undefined, noted: ActionContext["noted"]): boolean {
  return facts !== undefined && facts.sizeBytes === noted.sizeBytes && facts.digests.sha256 === noted.sha256;
}

async function removeUnchanged(
  { target }: WorkFolder,
  path: string,
  before: StreamFacts | undefined,
  signal: AbortSignal,
) {
  const now = await target.facts(path, signal);
  if (!now) return;
  if (before && now.digests.sha256 === before.digests.sha256) return target.remove(path);
  throw new AppError("source_changed", { path });
}
