import type { Clock } from "../clock.ts";
import type { Problem } from "../errors.ts";
import type { Job, TaskProgress } from "./job.ts";
import type { JobChange } from "./job-store.ts";

/** How often progress within a task is saved, at most. */
const SAVE_EVERY_MS = 500;
/** Warnings kept on a job; the rest are counted in the last one. */
const MAX_WARNINGS = 1000;

export interface Amount {
  readonly files?: number;
  readonly bytes?: number;
}

/** Where the code that does the work says how far it is. */
export interface TaskTracker {
  /** Ends the current task at 100 % and begins the next, saved as one change. Beginning a task again resets it. */
  begin(name: string, total?: Amount): Promise<void>;
  /** Adds to what the current task has done. Cheap: saved now and then, in the background. */
  advance(done: Amount): void;
  /** Keeps a warning on the job, once per code and path: a job that is continued may meet it again. */
  warn(problem: Problem): void;
  /** Saves what is unsaved. @returns the change that finishes the current task, for the job's last update. */
  finish(outcome: "done" | "stopped"): Promise<Pick<JobChange, "tasks" | "warnings">>;
}

/**
 * Keeps the tasks of one job and saves them through `save`. A failed save is not lost: the next `begin` or `finish`
 * throws it.
 */
export function taskTracker(
  job: Job,
  clock: Clock,
  save: (change: Pick<JobChange, "tasks" | "warnings">, begun?: string) => Promise<void>,
): TaskTracker {
  let tasks: TaskProgress[] = [...job.tasks];
  const warnings: Problem[] = [...job.warnings];
  let savedAt = clock.now();
  let saving: Promise<void> | undefined;
  let failure: unknown;

  const current = () => tasks.at(-1);
  const replaceCurrent = (task: TaskProgress) => {
    tasks = [...tasks.slice(0, -1), task];
  };
  const change = () => ({ tasks, warnings: kept(warnings) });

  /** Waits for a save in the background, then throws what it met. */
  async function settle(): Promise<void> {
    await saving;
    if (failure !== undefined) throw failure;
  }

  return {
    async begin(name, total = {}) {
      await settle();
      const now = clock.now();
      const last = current();
      if (last && last.finishedAt === undefined) replaceCurrent({ ...last, percent: 100, finishedAt: now });
      tasks = [
        ...tasks.filter((task) => task.name !== name),
        {
          name,
          percent: 0,
          startedAt: now,
          ...(total.files === undefined ? {} : { doneFiles: 0, totalFiles: total.files }),
          ...(total.bytes === undefined ? {} : { doneBytes: 0, totalBytes: total.bytes }),
        },
      ];
      savedAt = now;
      await save(change(), name);
    },

    advance(done) {
      const task = current();
      if (!task) return;
      const doneFiles = (task.doneFiles ?? 0) + (done.files ?? 0);
      const doneBytes = (task.doneBytes ?? 0) + (done.bytes ?? 0);
      replaceCurrent({ ...task, doneFiles, doneBytes, percent: percentOf(task, doneFiles, doneBytes) });
      const now = clock.now();
      if (saving || now - savedAt < SAVE_EVERY_MS) return;
      savedAt = now;
      saving = save(change())
        .catch((error: unknown) => {
          failure ??= error;
        })
        .finally(() => {
          saving = undefined;
        });
    },

    warn(problem) {
      if (!warnings.some(({ code, path }) => code === problem.code && path === problem.path)) warnings.push(problem);
    },

    async finish(outcome) {
      await settle();
      const last = current();
      const now = clock.now();
      if (last && last.finishedAt === undefined)
        replaceCurrent({ ...last, ...(outcome === "done" ? { percent: 100 } : {}), finishedAt: now });
      return change();
    },
  };
}

/** Bytes tell more than files where both totals are known. Below 100 until the task is ended. */
function percentOf(task: TaskProgress, doneFiles: number, doneBytes: number): number {
  const share = task.totalBytes
    ? doneBytes / task.totalBytes
    : task.totalFiles
      ? doneFiles / task.totalFiles
      : task.percent / 100;
  return Math.min(99.99, Math.round(share * 10_000) / 100);
}

function kept(warnings: readonly Problem[]): readonly Problem[] {
  if (warnings.length <= MAX_WARNINGS) return warnings;
  const more = warnings.length - MAX_WARNINGS;
  const first = warnings[0];
  return first
    ? [...warnings.slice(0, MAX_WARNINGS), { code: first.code, message: `${more} more warnings are not kept here.` }]
    : [];
}
