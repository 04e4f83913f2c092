/** The speed of the last few seconds, since the beginning's says little after a pause. */
export interface RateMeter {
  /** @param total amount so far. @returns amount per second, or `undefined` while it cannot be told. */
  measure(total: number): number | undefined;
}

const WINDOW_MS = 10_000;
/** Asked more often than this, as for every chunk of a fast transfer, it keeps no sample of each. */
const SAMPLE_MS = 100;

export function rateMeter(now: () => number): RateMeter {
  let samples: { readonly at: number; readonly total: number }[] = [];
  return {
    measure(total) {
      const at = now();
      if (at - (samples.at(-1)?.at ?? Number.NEGATIVE_INFINITY) >= SAMPLE_MS)
        samples = [...samples.filter((sample) => at - sample.at <= WINDOW_MS), { at, total }];
      const first = samples[0];
      const elapsedMs = at - (first?.at ?? at);
      return first && elapsedMs >= 500 ? ((total - first.total) / elapsedMs) * 1000 : undefined;
    },
  };
}
