/**
 * Waits for work that cannot be told to stop, no longer than until the signal aborts.
 * @param tooLate is given what came after that, to close it.
 * @throws the signal's reason; what the work fails with.
 */
export function beforeAbort<T>(
  signal: AbortSignal,
  work: Promise<T>,
  tooLate: (value: T) => void = () => {},
): Promise<T> {
  return new Promise((done, failed) => {
    const stop = () => {
      failed(signal.reason);
      // Nobody is there to whom its failure could be told.
      work.then(tooLate, () => {});
    };
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    work.then(done, failed).finally(() => signal.removeEventListener("abort", stop));
  });
}
