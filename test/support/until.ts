import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";

/** Long: a slow machine is no failure, and only a test that fails waits to the end. */
const PATIENCE_MS = 180_000;

/** Waits for a condition, looking every few milliseconds; fails when it has not come true within `limitMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = PATIENCE_MS,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `waited ${limitMs} ms in vain: ${what}`);
    await setTimeout(5);
  }
}
