import { readdirSync, readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

const LOOK_MS = 50;

/**
 * Processes that have this in their environment: all that a command has started, in whatever group or session, unless it
 * has been started with another environment. Linux only; `undefined` elsewhere.
 * @param assignment `NAME=value`.
 */
export function markedProcesses(assignment: string): readonly number[] | undefined {
  if (process.platform !== "linux") return undefined;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && isMarked(name, assignment))
    .map(Number);
}

function isMarked(pid: string, assignment: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(assignment);
  } catch (error) {
    // Somebody else's, or gone.
    if (["EACCES", "EPERM", "ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}

/**
 * Asks processes to end, and after a while ends them.
 * @param those that are there now; negative ids are groups, as kill(2) has them. It is asked again and again: a process
 * that is ended may have started others just before.
 */
export async function endProcesses(those: () => readonly number[], graceMs: number): Promise<void> {
  const deadline = performance.now() + graceMs;
  for (const pid of those()) signalOne(pid, "SIGTERM");
  while (performance.now() < deadline && those().some(isThere)) await setTimeout(LOOK_MS);
  // Whoever sleeps in the kernel outlives this, too.
  const givenUp = performance.now() + graceMs;
  for (let left = those().filter(isThere); left.length > 0; left = those().filter(isThere)) {
    for (const pid of left) signalOne(pid, "SIGKILL");
    if (performance.now() > givenUp) return;
    await setTimeout(LOOK_MS);
  }
}

/** A group counts as long as one of it is no zombie: nobody may be there to reap those. */
function isThere(pid: number): boolean {
  if (!signalOne(pid, 0)) return false;
  return process.platform !== "linux" || !(pid > 0 ? isZombie(String(pid)) : groupOfZombies(-pid));
}

function groupOfZombies(group: number): boolean {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && statOf(name)?.group === group)
    .every(isZombie);
}

function isZombie(pid: string): boolean {
  const state = statOf(pid)?.state;
  return state === undefined || state === "Z";
}

/** proc_pid_stat(5): after the name in parentheses come state, parent and group. */
function statOf(pid: string): { readonly state: string; readonly group: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state = "", , group] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state, group: Number(group) };
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** @returns false when there is no such process, or group, any more, or it is not ours to end. */
function signalOne(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (["ESRCH", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}
