/** At most so many calls in any stretch of time of this length. */
export interface Rate {
  readonly calls: number;
  readonly perMs: number;
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const MAX_CALLS = 1_000_000;

/** Reads `15/900s`, `600/m`, `10000/d`. @returns `undefined` when it is no rate. */
export function rateOf(text: string): Rate | undefined {
  const [, calls = "", count = "1", unit = ""] = /^(\d{1,7})\/(\d{1,5})?([smhd])$/.exec(text) ?? [];
  const rate = { calls: Number(calls), perMs: Number(count) * (UNIT_MS[unit] ?? 0) };
  return rate.calls >= 1 && rate.calls <= MAX_CALLS && rate.perMs > 0 ? rate : undefined;
}

/** Reads several, separated by commas: `600/m, 10000/d`; `none` is none. @returns `undefined` when one of them is no rate. */
export function ratesOf(text: string): readonly Rate[] | undefined {
  if (text.trim() === "none") return [];
  const rates = text.split(",").map((part) => rateOf(part.trim()));
  return rates.every((rate) => rate !== undefined) ? rates : undefined;
}

/** `15 in 900 s`. */
export function rateText({ calls, perMs }: Rate): string {
  return `${calls} in ${perMs / 1_000} s`;
}
