import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";

const TICKS_PER_SECOND = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** What a figure was measured on. */
export const MACHINE = { node: process.version, cpu: cpus()[0]?.model ?? "", cores: cpus().length };

/** User and system time of a process so far. */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory of a process: now, or the most since its start or {@link forgetPeak}. */
export function memoryMiBOf(pid: number, which: "now" | "peak"): number {
  const field = which === "now" ? "VmRSS" : "VmHWM";
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

/** From now on, the peak is that of what follows (proc(5), `clear_refs`). */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** The value that so many percent of all are at most; between two values, as much between them. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = ((sorted.length - 1) * percent) / 100;
  const [below = Number.NaN, above = below] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return below + (above - below) * (at - Math.floor(at));
}

/** To so many digits behind the point. */
export function rounded(value: number, digits = 2): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

/** Median, least and most of some milliseconds, in seconds. */
export function secondsOf(ms: readonly number[]) {
  const [least, most] = [Math.min(...ms), Math.max(...ms)];
  return { median: rounded(median(ms) / 1000, 3), min: rounded(least / 1000, 3), max: rounded(most / 1000, 3) };
}
