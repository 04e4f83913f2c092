import type { Details } from "../errors.ts";
import type { JobId, ScheduleId } from "../ids.ts";

/**
 * Terms. A *schedule* says when something is *due* and what is done then. A *run* is one line of its history: work that
 * was done, or the record that it was not. A schedule *fires* when its due time is turned into a run with a job; whether
 * that run may begin is decided when a worker has it.
 *
 *     waiting ─► running ─► succeeded | failed | timed_out | cancelled | lost
 *        └─────► skipped | cancelled             missed, replanned: nothing was to be run
 */
export const RUN_STATES = [
  "waiting",
  "running",
  "succeeded",
  "failed",
  "timed_out",
  "cancelled",
  "lost",
  "skipped",
  "missed",
  "replanned",
] as const;
export type RunState = (typeof RUN_STATES)[number];
export const OPEN_RUNS: readonly RunState[] = ["waiting", "running"];

/** `late`: a due time that was missed, made up for. `test`: as somebody wants to see what the command sees. */
export const RUN_CAUSES = ["due", "late", "boot", "manual", "test"] as const;
export type RunCause = (typeof RUN_CAUSES)[number];

/** What becomes of a run that finds another one of its schedule, or of its lock, running. */
export const OVERLAPS = ["skip", "queue", "kill"] as const;
export type Overlap = (typeof OVERLAPS)[number];

/** What becomes of due times that passed while nobody looked. */
export const MISFIRES = ["none", "one", "all"] as const;
export type Misfire = (typeof MISFIRES)[number];

/** `output`: when the run has printed something, as cron does. */
export const NOTIFY_WHEN = ["failure", "always", "output", "never"] as const;
export type NotifyWhen = (typeof NOTIFY_WHEN)[number];

export type Action =
  /** For the shell, as a crontab has it. */
  | {
      readonly kind: "shell";
      readonly command: string;
      /** What it reads; nothing when `null`. */
      readonly stdin: string | null;
      /** Who runs it; whoever the server runs as when `null`. */
      readonly user: string | null;
    }
  | { readonly kind: "program"; readonly file: string; readonly args: readonly string[]; readonly user: string | null }
  /** Work of Longshore itself, by its name. */
  | { readonly kind: "built-in"; readonly name: string; readonly input: Details }
  | {
      readonly kind: "http";
      readonly method: "GET" | "HEAD" | "POST";
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string | null;
    }
  | { readonly kind: "mail"; readonly to: string; readonly subject: string; readonly text: string };

export const ACTION_KINDS = [
  "shell",
  "program",
  "built-in",
  "http",
  "mail",
] as const satisfies readonly Action["kind"][];

/** What has to be so for a run to begin; what is `null` or empty does not matter. */
export interface Conditions {
  /** Times of day `HH:MM` in the schedule's time zone; `until` is not in it, and may be earlier: over midnight. */
  readonly window: { readonly from: string; readonly until: string } | null;
  /** The machine's load of the last minute, per core, is below this. */
  readonly loadBelow: number | null;
  readonly free: { readonly path: string; readonly bytes: number } | null;
  /** Paths that are there: a storage that is switched on. */
  readonly online: readonly string[];
  /** How long is waited for them; 0: the run is skipped at once. */
  readonly waitMs: number;
}

/** What its owner declares. */
export interface ScheduleDefinition {
  /** Unique. */
  readonly name: string;
  /** Five fields, or a name such as `@daily`. */
  readonly expression: string;
  readonly timeZone: string;
  readonly action: Action;
  /** Of commands, beside what cron would give them. */
  readonly environment: Readonly<Record<string, string>>;
  /** Names of values and secrets that are kept apart and have to be there. */
  readonly required: readonly string[];
  readonly overlap: Overlap;
  /** Shared with other schedules: of those that name the same lock, one is running. */
  readonly lock: string | null;
  readonly misfire: Misfire;
  /** A run is ended after this. */
  readonly timeoutMs: number | null;
  /** Told of when it has not succeeded for this long. */
  readonly deadManMs: number | null;
  readonly conditions: Conditions;
  /** `to` is an address of mail. */
  readonly notify: { readonly to: string | null; readonly when: NotifyWhen };
  /** Whether a command may be run again when the process that worked on it has died. */
  readonly rerun: boolean;
}

export interface Schedule extends ScheduleDefinition {
  readonly id: ScheduleId;
  readonly owner: string;
  readonly paused: boolean;
  /** Epoch milliseconds, like every `…At` here. `null`: never, or with the machine's start. */
  readonly nextDueAt: number | null;
  /** What the clock said when `nextDueAt` was worked out. */
  readonly plannedAt: number;
  /** When its silence is told of; `null`: nobody wants to know, or has been told. */
  readonly silentAt: number | null;
  /** Since when it has been told that it is silent. */
  readonly silentSince: number | null;
  readonly createdAt: number;
  readonly changedAt: number;
}

export interface Run {
  /** Grows over all schedules. */
  readonly number: number;
  readonly schedule: ScheduleId;
  /** `null`: nothing was to be run. */
  readonly job: JobId | null;
  readonly cause: RunCause;
  /** Who wanted it, of manual and test runs. */
  readonly askedBy: string | null;
  readonly dueAt: number;
  readonly overlap: Overlap;
  readonly state: RunState;
  /** Why it is in this state, in a sentence. */
  readonly reason: string | null;
  readonly exitCode: number | null;
  /** That ended it, as `SIGKILL`. */
  readonly signal: string | null;
  /** All that it printed, kept or not. */
  readonly outputBytes: number;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}

/** Of the job that a run has. */
export const RUN_JOB = "run";

export const NO_CONDITIONS: Conditions = { window: null, loadBelow: null, free: null, online: [], waitMs: 0 };

/** What the machine runs for its owner, rather than Longshore. */
export function isCommand(action: Action): action is Extract<Action, { readonly kind: "shell" | "program" }> {
  return action.kind === "shell" || action.kind === "program";
}

/** Done twice, it is as if done once: it may be begun again when a process has died with it. */
export function isRepeatable({ action, rerun }: ScheduleDefinition): boolean {
  return (
    rerun ||
    action.kind === "built-in" ||
    action.kind === "mail" ||
    (action.kind === "http" && action.method !== "POST")
  );
}

/** What its commands carry in their environment, so that they are found again when the process that ran them is gone. */
export function runMark({ schedule, number }: Pick<Run, "schedule" | "number">): string {
  return `${schedule}/${number}`;
}
