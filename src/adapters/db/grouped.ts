/** More than this many are not done together: a statement has its limits, and so has the patience of those who wait. */
const AT_MOST = 500;

export interface Grouping<T> {
  /** Groups under way at the same time. */
  readonly atOnce: number;
  /**
   * What two items of one moment must not have in common: they are done one after the other, in the order they came. Left out:
   * none has anything in common with another.
   */
  keyOf?(item: T): unknown;
  /** Whether a group that failed has left nothing behind for certain, so that its items can be tried one by one. */
  isUndone(error: unknown): boolean;
}

interface Waiting<T, R> {
  readonly item: T;
  /** Its own where none was given. */
  readonly key: unknown;
  resolve(result: R): void;
  reject(error: unknown): void;
}

/**
 * Does together what is asked for at the same moment: what comes while a group is under way goes with the next. So many
 * small transactions cost as much as one, and a lonely one is not kept waiting for company.
 *
 * Each caller gets the result of its own item. When a group fails, its items are done alone: only those that are to blame
 * fail, each with its own error.
 * @param run does all items of a group or none. @returns a result for each item, in their order.
 */
export function grouped<T, R>(
  run: (items: readonly T[]) => Promise<readonly R[]>,
  { atOnce, keyOf, isUndone }: Grouping<T>,
): (item: T) => Promise<R> {
  let waiting: Waiting<T, R>[] = [];
  const busyKeys = new Set<unknown>();
  let groups = 0;
  let isPlanned = false;

  /** The first of those that wait, but for what must come after something that is under way or in this group. */
  function nextGroup(): Waiting<T, R>[] {
    const group: Waiting<T, R>[] = [];
    const others: Waiting<T, R>[] = [];
    const earlier = new Set<unknown>();
    for (const one of waiting) {
      const fits = group.length < AT_MOST && !busyKeys.has(one.key) && !earlier.has(one.key);
      earlier.add(one.key);
      (fits ? group : others).push(one);
    }
    waiting = others;
    return group;
  }

  function start(): void {
    isPlanned = false;
    while (groups < atOnce && waiting.length > 0) {
      const group = nextGroup();
      if (group.length === 0) return;
      groups++;
      for (const { key } of group) busyKeys.add(key);
      void settle(group).then(() => {
        groups--;
        for (const { key } of group) busyKeys.delete(key);
        start();
      });
    }
  }

  async function settle(group: readonly Waiting<T, R>[]): Promise<void> {
    try {
      const results = await run(group.map(({ item }) => item));
      for (const [i, one] of group.entries()) one.resolve(results[i] as R);
    } catch (error) {
      if (group.length > 1 && isUndone(error)) for (const one of group) await settle([one]);
      else for (const one of group) one.reject(error);
    }
  }

  return (item) => {
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    waiting.push({ item, key: keyOf ? keyOf(item) : Symbol(), resolve, reject });
    // Not at once: whoever else asks in this turn of the event loop comes along.
    if (!isPlanned) queueMicrotask(start);
    isPlanned = true;
    return promise;
  };
}
