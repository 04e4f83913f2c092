import assert from "node:assert/strict";

/** How often each size is measured: the least of them is what the work takes when nothing else is in its way. */
const TIMES = 5;
/** Less than this cannot be told from the clock's own steps and the collector. */
const LEAST_MICROSECONDS = 500;

/**
 * Fails when work grows faster than its input, quadratically or worse. It compares the CPU time (user and system, of this
 * process) of two sizes, never with a number of seconds: a slow or busy machine changes both alike.
 * @param small a size at which the work takes some milliseconds; the other is eight times as large. Linear work takes 8 times
 * as long, quadratic 64 times.
 */
export async function assertGrowsLinearly(small: number, work: (size: number) => unknown, about = ""): Promise<void> {
  const [few, many] = [await leastCpu(() => work(small)), await leastCpu(() => work(8 * small))];
  const ratio = many / Math.max(few, LEAST_MICROSECONDS);
  assert.ok(ratio < 24, `eight times the input took ${ratio.toFixed(1)} times the CPU time ${about}`);
}

/** In microseconds, the least of several runs. */
export async function leastCpu(work: () => unknown, times = TIMES): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < times; i++) {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, user + system);
  }
  return least;
}
