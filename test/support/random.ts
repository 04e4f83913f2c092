import { createHash, randomInt } from "node:crypto";
import type { TestContext } from "node:test";

/**
 * Random numbers that can be had again. A test has the same ones each time, so a run says something about the sources
 * and not about luck; `TEST_SEED=random` looks further, and a number is the seed of a run that is to be repeated. The seed
 * is printed. (Numerical Recipes' linear congruential generator: being reproducible is all that is wanted of it.)
 * @returns a whole number from 0 to below the argument.
 */
export function seededRandom(t: TestContext): (below: number) => number {
  const { TEST_SEED: wanted } = process.env;
  const seed = wanted === "random" ? randomInt(2 ** 31) : Number(wanted ?? seedOf(t.fullName));
  t.diagnostic(`TEST_SEED=${seed}`);
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function seedOf(name: string): number {
  return createHash("sha256").update(name).digest().readUInt32BE();
}

const DAY_MS = 86_400_000;

/**
 * One of every `share` of many things that each take long, another one each day: over so many days everything is tried.
 * `TEST_SHARE=all` tries everything, a number begins there. Where it began is printed.
 */
export function shareOf<T>(t: TestContext, things: readonly T[], share: number): readonly T[] {
  const { TEST_SHARE: wanted } = process.env;
  if (wanted === "all") return things;
  const first = Number(wanted ?? Math.floor(Date.now() / DAY_MS)) % share;
  t.diagnostic(`TEST_SHARE=${first}: one of every ${share}, ${things.length} in all`);
  return things.filter((_, at) => at % share === first);
}
