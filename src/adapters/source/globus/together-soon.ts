import type { Clock } from "../../../core/clock.ts";

interface Waiting<T, R> {
  readonly item: T;
  readonly done: (result: R) => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Puts calls together that come at the same time, where one piece of work for all of them costs as much as for one. While
 * one is under way, others gather for the next.
 * @param gatherMs how long the first one waits for others.
 * @param most items of one piece of work.
 * @param work gives one result for each item, in their order; when it fails, all of its callers meet the failure.
 */
export function togetherSoon<T, R>(
  clock: Clock,
  gatherMs: number,
  most: number,
  work: (items: readonly T[]) => Promise<readonly R[]>,
): (item: T) => Promise<R> {
  let waiting: Waiting<T, R>[] = [];
  let isWorking = false;

  async function run(batch: readonly Waiting<T, R>[]): Promise<void> {
    try {
      const results = await work(batch.map(({ item }) => item));
      if (results.length !== batch.length) throw new RangeError("One result is expected for each item.");
      for (const [index, result] of results.entries()) batch[index]?.done(result);
    } catch (error) {
      for (const { failed } of batch) failed(error);
    }
  }

  async function workOff(): Promise<void> {
    isWorking = true;
    while (waiting.length > 0) {
      await clock.sleep(gatherMs);
      const batch = waiting.slice(0, most);
      waiting = waiting.slice(most);
      await run(batch);
    }
    isWorking = false;
  }

  return (item) =>
    new Promise((done, failed) => {
      waiting.push({ item, done, failed });
      if (!isWorking) void workOff();
    });
}
