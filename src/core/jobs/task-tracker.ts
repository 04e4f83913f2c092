import type { Clock } from "../clock.ts";
import type { Problem } from "../errors.ts";
import type { Job, TaskProgress } from "./job.ts";
import type { JobChange } from "./job-store.ts";

/** How often progress within a task is saved, at most. */
const SAVE_EVERY_MS = 500;
/** Warnings kept on a job, and how long their texts may be together: each save writes them all. */
const MAX_WARNINGS = 1000;
const MAX_WARNINGS_LENGTH = 256 * 1024;

export interface Amount {
  readonly files?: number;
  readonly bytes?: number;
  readonly rows?: number;
}

/** Where the code that does the work says how far it is. */
export interface TaskTracker {
  /** Ends the current task at 100 % and begins the next, saved as one change. Beginning a task again resets it. */
  begin(name: string, total?: Amount): Promise<void>;
  /** Adds to what the current task has done. Cheap: saved now and then, in the background. */
  advance(done: Amount): void;
  /** Keeps a warning on the job, once: a job that is continued may meet it again. */
  warn(problem: Problem): void;
  /** @returns the change that finishes the current task, for the job's last update. */
  finish(outcome: "done" | "stopped"): Promise<Pick<JobChange, "tasks" | "warnings">>;
}

/**
 * Keeps the tasks of one job and saves them through `save`. Each save holds everything, so one that fails in the
 * background is made up for by the next; `begin` throws what its own save meets.
 */
export function taskTracker(
  job: Job,
  clock: Clock,
  save: (change: Pick<JobChange, "tasks" | "warnings">, begun?: string) => Promise<void>,
): TaskTracker {
  let tasks: TaskProgress[] = [...job.tasks];
  const warnings = keptWarnings(job.warnings);
  let savedAt = clock.now();
  let saving: Promise<void> | undefined;

  const current = () => tasks.at(-1);
  const replaceCurrent = (task: TaskProgress) => {
    tasks = [...tasks.slice(0, -1), task];
  };
  const change = () => ({ tasks, warnings: warnings.list() });

  return {
    async begin(name, total = {}) {
      await saving;
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
          ...(total.rows === undefined ? {} : { doneRows: 0, totalRows: total.rows }),
        },
      ];
      savedAt = now;
      await save(change(), name);
    },

    advance(done) {
      const task = current();
      if (!task) return;
      const counted = {
        ...task,
        ...(done.files === undefined ? {} : { doneFiles: (task.doneFiles ?? 0) + done.files }),
        ...(done.bytes === undefined ? {} : { doneBytes: (task.doneBytes ?? 0) + done.bytes }),
        ...(done.rows === undefined ? {} : { doneRows: (task.doneRows ?? 0) + done.rows }),
      };
      replaceCurrent({ ...counted, percent: percentOf(counted) });
      const now = clock.now();
      if (saving || now - savedAt < SAVE_EVERY_MS) return;
      savedAt = now;
      const over = () => {
        saving = undefined;
      };
      saving = save(change()).then(over, over);
    },

    warn: warnings.add,

    async finish(outcome) {
      await saving;
      const last = current();
      const now = clock.now();
      if (last && last.finishedAt === undefined)
        replaceCurrent({ ...last, ...(outcome === "done" ? { percent: 100 } : {}), finishedAt: now });
      return change();
    },
  };
}

/** Bytes tell more than files where both totals are known. Below 100 until the task is ended. */
function percentOf({ totalBytes, doneBytes = 0, totalFiles, doneFiles = 0, ...rows }: TaskProgress): number {
  const { totalRows, doneRows = 0 } = rows;
  const ofItems = totalFiles ? doneFiles / totalFiles : totalRows ? doneRows / totalRows : 0;
  const share = totalBytes ? doneBytes / totalBytes : ofItems;
  return Math.min(99.99, Math.round(share * 10_000) / 100);
}

/** The first different warnings, and a last one that tells of the others. */
function keptWarnings(earlier: readonly Problem[]) {
  const kept = new Map<string, Problem>();
  let others: Problem["code"] | undefined;
  const keyOf = ({ code, path }: Problem) => `${code} ${path ?? ""}`;
  let length = 0;
  const add = (warning: Problem) => {
    const key = keyOf(warning);
    if (kept.has(key)) return;
    const longer = length + key.length + warning.message.length;
    if (kept.size === MAX_WARNINGS || longer > MAX_WARNINGS_LENGTH) {
      others ??= warning.code;
      return;
    }
    kept.set(key, warning);
    length = longer;
  };
  for (const warning of earlier) add(warning);
  return {
    add,
    list(): readonly Problem[] {
      if (others === undefined) return [...kept.values()];
      return [...kept.values(), { code: others, message: "More warnings like these are not kept here." }];
    },
  };
}
