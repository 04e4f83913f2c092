/** How soon a worker notices ids that another process queued, whose delay is over, or whose holder died. */
const POLL_MS = 1_000;

/** Who wants to know that something may be claimable. They are also called every second, by a timer that keeps no process alive. */
export interface Wakes {
  /** @returns a function that stops it. */
  add(wake: () => void): () => void;
  wakeAll(): void;
  close(): void;
}

export function pollingWakes(): Wakes {
  const wakes = new Set<() => void>();
  let poll: NodeJS.Timeout | undefined;
  const wakeAll = () => {
    for (const wake of wakes) wake();
  };
  const stopPolling = () => {
    clearInterval(poll);
    poll = undefined;
  };
  return {
    wakeAll,
    add(wake) {
      const own = () => wake(); // so that the same function may listen twice
      wakes.add(own);
      poll ??= setInterval(wakeAll, POLL_MS).unref();
      return () => {
        wakes.delete(own);
        if (wakes.size === 0) stopPolling();
      };
    },
    close() {
      wakes.clear();
      stopPolling();
    },
  };
}
