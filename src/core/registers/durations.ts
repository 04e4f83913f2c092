import { z } from "zod";

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `10m`, `12h` or `14d` as milliseconds; ten years at most. */
export const duration = z.string().transform((text, context) => {
  const [, number = "", unit = ""] = /^([1-9]\d{0,8})([smhd])$/.exec(text) ?? [];
  const ms = Number(number) * (UNITS[unit] ?? 0);
  if (ms > 0 && ms <= 3_653 * 86_400_000) return ms;
  context.addIssue({ code: "custom", message: "expected a time like 90s, 10m, 12h or 14d, ten years at most" });
  return z.NEVER;
});
