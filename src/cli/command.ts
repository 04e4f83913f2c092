import { Command, InvalidArgumentError } from "commander";
import { type Job, type Longshore, LongshoreError } from "../sdk/index.ts";
import type { Terminal } from "./terminal.ts";

/** What every command works with. */
export interface CliContext {
  readonly terminal: Terminal;
  /** The server of the settings, which are read when this is first called: --help works whatever they are. */
  server(): { readonly url: string; readonly client: Longshore; readonly withToken: boolean };
  /** Folder for what must outlive one run of the program. */
  readonly stateDir: string;
  /** Aborts with {@link Interrupted} when the person presses Ctrl-C. */
  interruptible(): AbortSignal;
}

/** Every command can speak to machines. */
export interface JsonOption {
  readonly json?: true;
}

export function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option("--json", "print results as JSON, one document or one line per item");
}

/** A command that only holds others. It has no options: it would take them from those below it. */
export function commandGroup(name: string, description: string, commands: readonly Command[]): Command {
  const group = new Command(name).description(description);
  for (const one of commands) group.addCommand(one);
  return group;
}

/** Shown below the options of a command's help. */
export function withExamples(
  target: Command,
  examples: readonly (readonly [line: string, meaning: string])[],
): Command {
  const lines = examples.map(([line, meaning]) => `  $ ${line}\n      ${meaning}`);
  return target.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

/** Parses an id. */
export function id(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : 0;
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError("Expected a positive whole number.");
  return number;
}

/** Parses a count of at least one. */
export const count = id;

export async function* take<T>(items: AsyncIterable<T>, most: number | undefined): AsyncGenerator<T> {
  let left = most ?? Number.POSITIVE_INFINITY;
  for await (const item of items) {
    yield item;
    if (--left <= 0) return;
  }
}

/** The error of a job that did not succeed, with its problems. */
export function jobFailure(job: Job): LongshoreError {
  if (job.error && job.state === "failed")
    return new LongshoreError(job.error.code, job.error.message, { details: job.error.details });
  const code = job.state === "cancelled" ? "job_cancelled" : "job_state_conflict";
  return new LongshoreError(code, `Job ${job.id} is ${job.state}.`, { details: { id: job.id, state: job.state } });
}
