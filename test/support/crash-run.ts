import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { Deposit, Trace } from "./crash-depositor.ts";
import { withoutSettings } from "./server.ts";

const DEPOSITOR = join(import.meta.dirname, "crash-depositor.ts");

export interface DepositorRun {
  /** The job that the depositor was told of, when it lived long enough. */
  readonly acknowledged: number | undefined;
  /** Of a run that nothing struck. */
  readonly trace: Trace | undefined;
}

/** Runs one deposit in a process of its own: to its end, or until it dies where `deposit.strike` says. */
export async function runDepositor(deposit: Deposit, compileCache: string): Promise<DepositorRun> {
  const child = spawn(process.execPath, [DEPOSITOR, JSON.stringify(deposit)], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...withoutSettings(process.env), NODE_COMPILE_CACHE: compileCache },
  });
  const [out, trouble, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit"),
  ]);
  assert.equal(trouble, "");
  assert.deepEqual([code, signal], deposit.strike ? [null, "SIGKILL"] : [0, null], out);
  const said = out
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
  return { acknowledged: said[0]?.acknowledged, trace: deposit.strike ? undefined : said[1] };
}
