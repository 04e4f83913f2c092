import { readdirSync, readFileSync } from "node:fs";

/** Linux says it at once; elsewhere it is 0. */
export function residentBytes(pid: number | undefined): number {
  const kib = /VmRSS:\s+(\d+)/.exec(told(`${pid}/status`))?.[1];
  return Number(kib ?? 0) * 1024;
}

/** A process and those it started, and they again, as far as they have not left for another parent. */
export function processTree(pid: number | undefined): readonly number[] {
  if (pid === undefined) return [];
  const children = tasksOf(pid).flatMap((task) => told(`${pid}/task/${task}/children`).split(" "));
  return [pid, ...children.filter((child) => child.trim() !== "").flatMap((child) => processTree(Number(child)))];
}

function tasksOf(pid: number): readonly string[] {
  if (process.platform !== "linux") return [];
  return unlessGone(() => readdirSync(`/proc/${pid}/task`)) ?? [];
}

/** `""` of a process that has ended in between; that is noticed next. */
function told(path: string): string {
  if (process.platform !== "linux") return "";
  return unlessGone(() => readFileSync(`/proc/${path}`, "latin1")) ?? "";
}

function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}
