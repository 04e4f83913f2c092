import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { Deposit } from "./crash-depositor.ts";
import type { Moment } from "./crash-steps.ts";
import { withoutSettings } from "./server.ts";

const DEPOSITOR = join(import.meta.dirname, "crash-depositor.ts");

export interface DepositorRun {
  /** The job that the client was told of, when the depositor lived long enough. */
  readonly acknowledged: number | undefined;
  /** Of a run that nothing struck. */
  readonly trace: { readonly moments: readonly Moment[]; readonly told: number } | undefined;
}

/** Runs one deposit in a process of its own: to its end, or until it dies at `deposit.strikeAt`. */
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
  assert.deepEqual([code, signal], deposit.strikeAt ? [null, "SIGKILL"] : [0, null]);
  const [acknowledgement, trace] = out.split("\n").map((line) => (line === "" ? undefined : JSON.parse(line)));
  return { acknowledged: acknowledgement?.acknowledged, trace };
}
