import { isWithin, plainPath, type Subsystem } from "./switch.ts";

/**
 * What a control file says: the verdict on a subsystem and, if one is given, a path. A text tells why it must stop.
 *
 * The file is one flat JSON object, name → whether it may run, shared with whatever else reads it. Names that mean
 * something here: `all`, `power_off_all` and `pause_scripts` for everything; the subsystems; `all_storage_on` and
 * absolute paths for whatever lies there. Other programs' names may hold anything.
 */
export type ControlFile = (subsystem: Subsystem | undefined, path: string | undefined) => string | undefined;

const EVERYTHING = ["all", "power_off_all", "pause_scripts"];
const EVERY_PATH = "all_storage_on";

/** The verdict when the file tells nothing: everything stops. */
export const unusable =
  (why: string): ControlFile =>
  () =>
    `the control file ${why}`;

export function parseControlFile(text: string): ControlFile {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return unusable("is not JSON");
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return unusable("is not a JSON object");
  const entries = new Map<string, unknown>(Object.entries(parsed));
  const paths = [...entries.keys()].filter((name) => name.startsWith("/"));

  /** Why the switch `name`, which has to be there, stops what it is about. */
  function stopped(name: string): string | undefined {
    const value = entries.get(name);
    if (value === true) return undefined;
    if (value === false) return `the control file has ${name} off`;
    return `the control file says neither true nor false of ${name}`;
  }

  return (subsystem, path) => {
    for (const name of EVERYTHING)
      if (entries.has(name)) {
        const why = stopped(name);
        if (why !== undefined) return why;
      }
    const why = subsystem && stopped(subsystem);
    if (why !== undefined) return why;
    // A file that names no path leaves them to the operators' pauses; one that does must name every path that may be used.
    if (path === undefined || (paths.length === 0 && !entries.has(EVERY_PATH))) return undefined;
    const around = paths.filter((name) => isWithin(plainPath(name), path));
    if (around.length === 0) return `the control file says neither true nor false of ${path}`;
    return [...(entries.has(EVERY_PATH) ? [EVERY_PATH] : []), ...around]
      .map(stopped)
      .find((objection) => objection !== undefined);
  };
}
