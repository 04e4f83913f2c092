export { type RateMeter, rateMeter } from "../sdk/rate-meter.ts";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** `1.5 GiB`: three significant digits at most. */
export function bytesText(count: number): string {
  const power = count < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(count) / 10));
  const value = count / 1024 ** power;
  return `${value.toFixed(power === 0 || value >= 100 ? 0 : 1)} ${UNITS[power]}`;
}

/** `1,234 files`. */
export function countText(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** `4.2 s`, `3:07`, `2:03:07`. */
export function durationText(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** `1.2 GiB of 3.0 GiB (40 %), 98.1 MiB/s, 0:18 left`. */
export function transferText(done: number, total: number, perSecond: number | undefined): string {
  const share = total === 0 ? 100 : Math.floor((done / total) * 100);
  const parts = [`${bytesText(done)} of ${bytesText(total)} (${share} %)`];
  if (perSecond !== undefined) parts.push(`${bytesText(perSecond)}/s`);
  if (perSecond !== undefined && perSecond > 0 && done < total)
    parts.push(`${durationText(((total - done) / perSecond) * 1000)} left`);
  return parts.join(", ");
}
