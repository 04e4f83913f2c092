import type { Conditions } from "./schedule.ts";

/** What of the machine conditions ask for. Adapter: `adapters/run/machine.ts`. */
export interface Machine {
  /** Of the last minute, per core. */
  load(): number;
  /** @returns `undefined` when there is no such place. */
  freeBytes(path: string): Promise<number | undefined>;
  isThere(path: string): Promise<boolean>;
}

/** @returns what is not as it has to be, in a sentence; `undefined` when everything is. */
export async function unmet(
  { window, loadBelow, free, online }: Conditions,
  timeZone: string,
  machine: Machine,
  now: number,
): Promise<string | undefined> {
  if (window !== null && !isWithin(window, timeOfDay(now, timeZone)))
    return `It runs only from ${window.from} to ${window.until}, by the clocks of ${timeZone}.`;
  if (loadBelow !== null) {
    const load = machine.load();
    if (load >= loadBelow)
      return `The machine is busy: its load per core is ${load.toFixed(2)}, not below ${loadBelow}.`;
  }
  for (const path of online) if (!(await machine.isThere(path))) return `${path} is not there.`;
  if (free === null) return undefined;
  const bytes = await machine.freeBytes(free.path);
  if (bytes === undefined) return `${free.path} is not there.`;
  return bytes < free.bytes ? `${free.path} has ${bytes} bytes free, and ${free.bytes} are wanted.` : undefined;
}

/** `HH:MM` compare as texts. */
function isWithin({ from, until }: NonNullable<Conditions["window"]>, time: string): boolean {
  return from <= until ? from <= time && time < until : from <= time || time < until;
}

function timeOfDay(at: number, timeZone: string): string {
  return new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(
    at,
  );
}
