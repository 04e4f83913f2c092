import type { Principal } from "../access/access.ts";
import { SCOPES } from "../access/access-stores.ts";
import type { Details } from "../errors.ts";
import type { Job } from "../jobs/job.ts";
import type { Jobs } from "../jobs/jobs.ts";

/** What a piece of Longshore's own work is given when a schedule runs it. */
export interface BuiltInContext {
  /** In whose name. */
  readonly owner: string;
  /** Same for every try of one run: work that is begun under it is found again, not begun twice. */
  readonly key: string;
  readonly signal: AbortSignal;
  /** Into the run's output. */
  print(line: string): Promise<void>;
  /** Waits until the job is over, and cancels it when the run is to be ended. @throws the error of one that has failed. */
  follow(job: Pick<Job, "id">): Promise<Job>;
}

/** Work that schedules can have done, by its name: see {@link BuiltIns}. */
export interface BuiltIn {
  /** In a few words. */
  readonly summary: string;
  /** @throws AppError when the input is not such as this reads: before anything is kept. */
  check(input: Details): void;
  /** Does it, or has it done by a job. Idempotent under the context's key. */
  run(input: Details, context: BuiltInContext): Promise<Details>;
}

/** What a schedule has done, is done with all that its owner may have had: to declare it took `operate`. */
export const asOwner = (name: string): Principal => ({ name, scopes: SCOPES, via: "local" });

export type BuiltIns = Readonly<Record<string, BuiltIn>>;

/** What {@link BuiltInContext.follow} needs of the jobs. */
export type FollowedJobs = Pick<Jobs, "cancel" | "get" | "watch">;
