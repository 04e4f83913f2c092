/** So many at a time; the others wait, first come, first served. */
export interface Turns {
  take(): Promise<void>;
  passOn(): void;
}

export function turns(count: number): Turns {
  const waiting: (() => void)[] = [];
  let free = count;
  return {
    async take() {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
    },
    passOn() {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    },
  };
}
