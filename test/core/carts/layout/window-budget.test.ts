import assert from "node:assert/strict";
import { test } from "node:test";
import { LARGEST_WINDOW, SMALLEST_WINDOW, windowBudget } from "../../../../src/core/carts/layout/window-budget.ts";

const MIB = 1024 * 1024;

test("who is alone gets large windows; the more are taken the smaller they are, and all stay within the budget", () => {
  const budget = windowBudget(32 * MIB);
  const sizes = Array.from({ length: 256 }, () => budget.take(LARGEST_WINDOW).byteLength);
  assert.deepEqual(sizes.slice(0, 3), [LARGEST_WINDOW, LARGEST_WINDOW, LARGEST_WINDOW]);
  assert.deepEqual(
    sizes,
    sizes.toSorted((a, b) => b - a),
  );
  assert.equal(sizes.at(-1), SMALLEST_WINDOW);
  assert.ok(sizes.reduce((a, b) => a + b) <= 32 * MIB);
});

test("nobody reads ahead once half of it is taken, and everybody may again when it comes back", () => {
  const budget = windowBudget(4 * MIB);
  const taken: Uint8Array<ArrayBuffer>[] = [];
  while (!budget.scarce) taken.push(budget.take(LARGEST_WINDOW));
  const bytes = taken.reduce((sum, memory) => sum + memory.byteLength, 0);
  assert.ok(bytes > 1.9 * MIB && bytes <= 2 * MIB, `${bytes}`);
  for (const memory of taken) budget.giveBack(memory);
  assert.equal(budget.scarce, false);
});

test("a window is never larger than wanted, and never smaller than is worth reading", () => {
  const budget = windowBudget(64 * MIB);
  assert.equal(budget.take(200_000).byteLength, 128 * 1024);
  assert.equal(budget.take(1).byteLength, SMALLEST_WINDOW);
  assert.equal(windowBudget(0).take(LARGEST_WINDOW).byteLength, SMALLEST_WINDOW);
});

test("memory that was given back is used again; memory that was left is not", () => {
  const budget = windowBudget(32 * MIB);
  const first = budget.take(MIB);
  const { buffer } = first;
  budget.giveBack(first);
  const again = budget.take(MIB);
  assert.equal(again.buffer, buffer);
  budget.leave(again.byteLength);
  assert.notEqual(budget.take(MIB).buffer, buffer);
});

test("memory that waits to be used again makes room for other sizes", () => {
  const budget = windowBudget(4 * MIB);
  const waiting = Array.from({ length: 60 }, () => budget.take(SMALLEST_WINDOW));
  for (const memory of waiting) budget.giveBack(memory);
  const freed = () => waiting.filter((memory) => memory.byteLength === 0).length * SMALLEST_WINDOW;
  assert.equal(freed(), 0);
  const other = budget.take(2 * SMALLEST_WINDOW);
  assert.equal(other.byteLength, 2 * SMALLEST_WINDOW);
  for (let i = 0; i < 5; i++) budget.take(2 * SMALLEST_WINDOW);
  assert.ok(freed() > 0);
});
