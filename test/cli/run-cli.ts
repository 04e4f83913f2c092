import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { withoutSettings } from "../support/server.ts";

export const MAIN = join(import.meta.dirname, "../../src/main.ts");

export interface CliResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliRun {
  readonly child: ChildProcess;
  readonly result: Promise<CliResult>;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** For standard input, which is closed otherwise. */
  readonly input?: string;
}

/** Starts the command line as a process of its own, without waiting for it. */
export function startCli(args: readonly string[], { env = {}, cwd, input }: CliOptions = {}): CliRun {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...withoutSettings(process.env), ...env },
    stdio: ["pipe", "pipe", "pipe"],
    ...(cwd === undefined ? {} : { cwd }),
  });
  child.stdin.on("error", () => {}); // it has ended without reading
  child.stdin.end(input);
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  const result = once(child, "close").then(([code, signal]) => ({ code, signal, ...output }));
  return { child, result };
}

export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return startCli(args, options).result;
}
