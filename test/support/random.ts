import { randomInt } from "node:crypto";
import type { TestContext } from "node:test";

/**
 * Random numbers that can be had again: the seed is printed, and taken from `TEST_SEED` when that is set. (Numerical
 * Recipes' linear congruential generator: being reproducible is all that is wanted of it.)
 * @returns a whole number from 0 to below the argument.
 */
export function seededRandom(t: TestContext): (below: number) => number {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`TEST_SEED=${seed}`);
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
