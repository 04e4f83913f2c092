import { posix } from "node:path";
import { AppError } from "../errors.ts";

/** The parts of Longshore that can be paused by themselves. */
export const SUBSYSTEMS = [
  "ingest",
  "carts",
  "packages",
  "crawls",
  "schedules",
  "registers",
  "drops",
  "fixity",
] as const;
export type Subsystem = (typeof SUBSYSTEMS)[number];

/** What a switch is about: everything, one subsystem, or whatever lies at a path and below it. */
export type Subject = "all" | Subsystem | `/${string}`;

/** Which kinds of jobs a subsystem's switch holds; a kind that is not here is held by that of everything alone. */
const SUBSYSTEM_OF: Readonly<Record<string, Subsystem>> = {
  ingest: "ingest",
  move: "ingest",
  stage: "carts",
  package: "packages",
  crawl: "crawls",
  extract: "crawls",
  offload: "crawls",
  run: "schedules",
  "register-action": "registers",
  "drop-look": "drops",
  "drop-ingest": "drops",
  "drop-remove": "drops",
  verify: "fixity",
  fixity: "fixity",
};

export const subsystemOf = (jobKind: string): Subsystem | undefined =>
  Object.hasOwn(SUBSYSTEM_OF, jobKind) ? SUBSYSTEM_OF[jobKind] : undefined;

/** An operator's decision, until it is taken back. */
export interface Pause {
  readonly subject: Subject;
  readonly reason: string | null;
  /** A principal's name. */
  readonly by: string;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** Pauses that hold. Contract: `test/conformance/switch-store.ts`. */
export interface SwitchStore {
  /** By subject. */
  list(): Promise<readonly Pause[]>;
  /** Replaces an earlier pause of the same subject. */
  put(pause: Pause): Promise<void>;
  /** @returns whether there was one. */
  remove(subject: Subject): Promise<boolean>;
}

/** Reads what a person writes. @throws AppError request_invalid. */
export function subjectOf(text: string): Subject {
  if (text === "all") return "all";
  const subsystem = SUBSYSTEMS.find((name) => name === text);
  if (subsystem) return subsystem;
  if (text.startsWith("/") && !text.includes("\0")) return plainPath(text);
  throw new AppError("request_invalid", {
    switch: text,
    expected: `all, ${SUBSYSTEMS.join(", ")}, or an absolute path`,
  });
}

/** Without dots, doubled slashes and a slash at the end. */
export function plainPath(path: string): `/${string}` {
  const plain = posix.normalize(path);
  return (plain.length > 1 ? plain.replace(/\/$/, "") : plain) as `/${string}`;
}

/** Whether `path` is `folder` or lies below it; both plain. */
export function isWithin(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder === "/" ? "/" : `${folder}/`);
}
