export type ScheduleAction =
  | {
      readonly kind: "shell";
      readonly command: string;
      /** What it reads. */
      readonly stdin?: string | null;
      /** Who runs it; whoever the server runs as when left out. */
      readonly user?: string | null;
    }
  | {
      readonly kind: "program";
      readonly file: string;
      readonly args?: readonly string[];
      readonly user?: string | null;
    }
  /** Longshore's own work, by its name. */
  | { readonly kind: "built-in"; readonly name: string; readonly input?: Readonly<Record<string, unknown>> }
  | {
      readonly kind: "http";
      /** GET when left out. */
      readonly method?: "GET" | "HEAD" | "POST";
      readonly url: string;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | null;
    }
  | { readonly kind: "mail"; readonly to: string; readonly subject: string; readonly text?: string };

/** What has to be so for a run to begin. */
export interface ScheduleConditions {
  /** Times of day `HH:MM` in the schedule's time zone. */
  readonly window?: { readonly from: string; readonly until: string } | null;
  /** The machine's load of the last minute, per core. */
  readonly loadBelow?: number | null;
  readonly free?: { readonly path: string; readonly bytes: number } | null;
  /** Paths that are there. */
  readonly online?: readonly string[];
  /** How long is waited for them; at 0 the run is skipped at once. */
  readonly waitMs?: number;
}

export interface NewSchedule {
  /** Unique. */
  readonly name: string;
  /** Five fields of cron, or a name such as `@daily` or `@reboot`. */
  readonly expression: string;
  /** UTC when left out. */
  readonly timeZone?: string;
  readonly action: ScheduleAction;
  readonly environment?: Readonly<Record<string, string>>;
  /** Named values and secrets without which a run is refused. */
  readonly required?: readonly string[];
  /** What becomes of a run that finds another running: `skip` when left out. */
  readonly overlap?: "skip" | "queue" | "kill";
  /** Of the schedules that name the same lock, one is running. */
  readonly lock?: string | null;
  /** Which of the due times that were missed are made up for: `none` when left out. */
  readonly misfire?: "none" | "one" | "all";
  /** A run is ended after this. */
  readonly timeoutMs?: number | null;
  /** Told of when no run has succeeded for this long. */
  readonly deadManMs?: number | null;
  readonly conditions?: ScheduleConditions;
  readonly notify?: { readonly to?: string | null; readonly when?: "failure" | "always" | "output" | "never" };
  /** Whether a command is run again when the process that worked on it has died. */
  readonly rerun?: boolean;
}

export type RunState =
  | "waiting"
  | "running"
  | "succeeded"
  | "failed"
  | "timed_out"
  | "cancelled"
  | "lost"
  | "skipped"
  | "missed"
  | "replanned";

/** One line of a schedule's history. Times are ISO 8601 in UTC. */
export interface Run {
  readonly number: number;
  readonly schedule: string;
  /** `null`: nothing was to be run. */
  readonly job: number | null;
  readonly cause: "due" | "late" | "boot" | "manual" | "test";
  readonly askedBy: string | null;
  readonly dueAt: string;
  readonly state: RunState;
  /** Why it is in this state, in a sentence. */
  readonly reason: string | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** All that it printed, kept or not. */
  readonly outputBytes: number;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly durationMs: number | null;
}

export interface Schedule extends Required<NewSchedule> {
  readonly id: string;
  readonly owner: string;
  /** When, in English. */
  readonly description: string;
  readonly paused: boolean;
  /** `null`: paused, never, or with the machine's start. */
  readonly nextDueAt: string | null;
  readonly silentSince: string | null;
  readonly createdAt: string;
  readonly changedAt: string;
  /** The newest; left out by what changes a schedule. */
  readonly lastRun?: Run | null;
}
