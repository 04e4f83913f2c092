import { type Connection, jsonBody, query } from "./connection.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";
import type { NewSchedule, Run, RunState, Schedule, ScheduleAction } from "./schedule-types.ts";
import type { Page } from "./types.ts";
import { type WatchOptions, watch } from "./watch.ts";

/** What becomes of a text that is imported. */
export interface CrontabImport {
  readonly text: string;
  /** A crontab of a user, one of the system with a column of users, or lines `schtasks /create`; `user` when left out. */
  readonly form?: CrontabForm;
  /** Of entries without a `CRON_TZ`; UTC when left out. */
  readonly timeZone?: string;
  /** What names begin with where no comment `# schedule: NAME` stands above the entry. */
  readonly prefix?: string;
  /** Schedules of the same names are changed. */
  readonly replace?: boolean;
  /** Nothing is kept. */
  readonly dryRun?: boolean;
}

export type CrontabForm = "user" | "system" | "windows";

export interface CrontabFinding {
  readonly severity: "error" | "warning";
  readonly code: string;
  /** Both from 1. */
  readonly line: number;
  readonly column: number;
  readonly field: string;
  readonly value: string;
  readonly expected: string;
  readonly message: string;
  readonly hint?: string;
}

export interface Imported {
  /** `id` is null of a dry run. */
  readonly schedules: readonly (Required<Omit<NewSchedule, "action">> & {
    readonly id: string | null;
    readonly action: ScheduleAction;
  })[];
  readonly warnings: readonly CrontabFinding[];
}

export interface NextTimes {
  /** In English. */
  readonly description: string;
  readonly times: readonly string[];
  readonly warnings: readonly CrontabFinding[];
}

export interface RunOptions extends PageOptions {
  readonly state?: RunState;
}

/** Schedules, their runs and outputs, and crontabs. */
export interface SchedulesApi {
  /** @throws LongshoreError schedule_exists, schedule_invalid, crontab_invalid, time_zone_unknown, user_refused. */
  create(schedule: NewSchedule): Promise<Schedule>;
  get(id: string): Promise<Schedule>;
  /** By name. */
  list(options?: PageOptions): Listing<Schedule>;
  /** @returns `undefined` when there is none of this name. */
  find(name: string): Promise<Schedule | undefined>;
  /** What is left out stays. */
  change(id: string, change: Partial<NewSchedule>): Promise<Schedule>;
  /** @throws LongshoreError schedule_state_conflict while it runs. */
  remove(id: string): Promise<void>;
  pause(id: string): Promise<Schedule>;
  resume(id: string): Promise<Schedule>;
  /** Now, in the environment it always has. A test run prints first what the command is given. */
  run(id: string, options?: { readonly test?: boolean }): Promise<Run>;
  /** Newest first. */
  runs(id: string, options?: RunOptions): Listing<Run>;
  getRun(id: string, run: number): Promise<Run>;
  /** Waits until it is over, however it ended: look at `state`. */
  waitForRun(id: string, run: number, options?: WatchOptions<Run>): Promise<Run>;
  cancelRun(id: string, run: number): Promise<Run>;
  /** As it was printed; of very much, beginning and end. */
  output(id: string, run: number, signal?: AbortSignal): Promise<Response>;
  next(expression: string, options?: { readonly timeZone?: string; readonly count?: number }): Promise<NextTimes>;
  /** Longshore's own work that actions of the kind `built-in` can name: name → what it does. */
  actions(): Promise<Readonly<Record<string, string>>>;
  check(
    text: string,
    form?: CrontabForm,
  ): Promise<{ readonly problems: readonly CrontabFinding[]; readonly warnings: readonly CrontabFinding[] }>;
  import(crontab: CrontabImport): Promise<Imported>;
  export(form?: CrontabForm): Promise<string>;
}

export function schedulesApi(connection: Connection): SchedulesApi {
  const pathOf = (id: string) => `/schedules/${encodeURIComponent(id)}`;
  const runPath = (id: string, run: number) => `${pathOf(id)}/runs/${run}`;
  const getRun = (id: string, run: number) => connection.json<Run>(runPath(id, run));

  return {
    create: (schedule) => connection.json<Schedule>("/schedules", jsonBody("POST", schedule)),
    get: (id) => connection.json<Schedule>(pathOf(id)),
    list: ({ signal, ...page } = {}) => listing<Schedule>(connection, "/schedules", page, signal),
    async find(name) {
      const { items } = await connection.json<Page<Schedule>>(`/schedules${query({ name })}`);
      return items[0];
    },
    change: (id, change) => connection.json<Schedule>(pathOf(id), jsonBody("PATCH", change)),
    async remove(id) {
      await connection.send(pathOf(id), { method: "DELETE" });
    },
    pause: (id) => connection.json<Schedule>(`${pathOf(id)}/pause`, { method: "POST" }),
    resume: (id) => connection.json<Schedule>(`${pathOf(id)}/resume`, { method: "POST" }),
    run: (id, { test = false } = {}) => connection.json<Run>(`${pathOf(id)}/runs`, jsonBody("POST", { test })),
    runs: (id, { signal, ...page } = {}) => listing<Run>(connection, `${pathOf(id)}/runs`, page, signal),
    getRun,
    waitForRun: (id, run, options = {}) =>
      watch(
        () => getRun(id, run),
        ({ finishedAt }) => finishedAt !== null,
        options,
      ),
    cancelRun: (id, run) => connection.json<Run>(`${runPath(id, run)}/cancel`, { method: "POST" }),
    output: (id, run, signal) => connection.send(`${runPath(id, run)}/output`, { signal }),
    next: (expression, options = {}) =>
      connection.json<NextTimes>(`/schedules/next${query({ expression, ...options })}`),
    actions: () => connection.json<Record<string, string>>("/schedules/actions"),
    check: (text, form = "user") => connection.json("/crontabs/check", jsonBody("POST", { text, form })),
    import: (crontab) => connection.json<Imported>("/crontabs/import", jsonBody("POST", crontab)),
    async export(form = "user") {
      return (await connection.send(`/crontabs/export${query({ form })}`)).text();
    },
  };
}
