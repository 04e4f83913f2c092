import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";

/** Long: a slow machine is no failure, and only a test that fails waits to the end. */
const PATIENCE_MS = 180_000;
const LONGEST_PAUSE_MS = 200;

/**
 * Waits for a condition; fails when it has not come true within `limitMs`. The longer it has waited, the more seldom it looks:
 * to look may be a request, and others are waiting for the processor.
 */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = PATIENCE_MS,
): Promise<void> {
  const begunAt = performance.now();
  while (!(await condition())) {
    const waitedMs = performance.now() - begunAt;
    assert.ok(waitedMs < limitMs, `waited ${limitMs} ms in vain: ${what}`);
    await setTimeout(Math.min(LONGEST_PAUSE_MS, 5 + waitedMs / 20));
  }
}
