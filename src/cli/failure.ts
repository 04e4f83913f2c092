import { CommanderError } from "commander";
import { LongshoreError } from "../sdk/index.ts";
import type { Terminal } from "./terminal.ts";

/** Exit code by error code: the server's own table, handed in by whoever starts the program. */
export type ExitCodes = Readonly<Record<string, number>>;

/** More problems than this are not listed one by one. */
const LISTED = 50;

/** The person pressed Ctrl-C, or the process was asked to stop; the message says how to go on. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}
/** Ends the program with this exit code; there is nothing more to say. */
export class Ended extends Error {
  override readonly name = "Ended";
  readonly exit: number;
  constructor(exit: number, cause?: unknown) {
    super(`Ended with exit code ${exit}.`, { cause });
    this.exit = exit;
  }
}
/** 128 and SIGINT's number, as shells have it. */
const INTERRUPTED_EXIT = 130;

/** Errors of the SDK and of the server's own core have the same shape. */
interface KnownError {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly requestId?: string | undefined;
}

/** Says what went wrong, on standard error. @returns the exit code. */
export function reportFailure(error: unknown, terminal: Terminal, exits: ExitCodes, json: boolean): number {
  // Commander ends --help and --version this way too, and a command that only has others below it.
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  if (error instanceof CommanderError && error.code === "commander.help") return exits.usage ?? 2;
  if (error instanceof Ended) return error.exit;
  if (error instanceof Interrupted) {
    terminal.note(error.message);
    return INTERRUPTED_EXIT;
  }
  const known = knownError(error);
  const exit = exits[known.code] ?? exits.internal ?? 70;
  if (json) {
    const { code, message, details, requestId } = known;
    terminal.note(JSON.stringify({ error: { code, message, details, requestId, exit } }));
    return exit;
  }
  terminal.note(`error[${known.code}]: ${known.message}`);
  for (const line of problemLines(known.details)) terminal.note(`  ${line}`);
  if (known.requestId) terminal.note(`  request ${known.requestId}`);
  if (known.code === "server_unavailable")
    terminal.note("  Start a server with: longshore serve. Or set LONGSHORE_URL to the address of one.");
  if (known.code === "token_missing")
    terminal.note("  Set LONGSHORE_TOKEN to a token; longshore token create makes one.");
  if (known.code === "internal" && error instanceof Error)
    for (const line of error.stack?.split("\n") ?? []) terminal.note(line);
  return exit;
}

function knownError(error: unknown): KnownError {
  if (error instanceof LongshoreError) return error;
  if (error instanceof CommanderError)
    return { code: "usage", message: error.message.replace(/^error: /, "").replaceAll("\n", " "), details: {} };
  if (error instanceof Error && "code" in error && "details" in error && error.name === "AppError")
    return error as Error & KnownError;
  return { code: "internal", message: error instanceof Error ? error.message : String(error), details: {} };
}

/** The single troubles behind an error, one sentence each. */
export function problemLines({ problems }: Readonly<Record<string, unknown>>): string[] {
  if (!Array.isArray(problems)) return [];
  const lines = problems.slice(0, LISTED).map(sentenceOf);
  return problems.length > LISTED ? [...lines, `… and ${problems.length - LISTED} more`] : lines;
}

function sentenceOf(problem: unknown): string {
  if (typeof problem !== "object" || problem === null) return String(problem);
  const { path, message } = problem as { readonly path?: string; readonly message?: string };
  if (message === undefined) return JSON.stringify(problem);
  return path === undefined || message.includes(path) ? message : `${path}: ${message}`;
}
