import type { Code, DetailValue, ErrorRecord } from "../../core/errors.ts";
import type { Job } from "../../core/jobs/job.ts";

/** A job as Pacifica Ingest shows it; its clients read `job_id`, `state`, `task` and `task_percent`. */
export interface PacificaJob {
  readonly job_id: number | null;
  readonly state: "OK" | "FAILED" | "DATA_ACCESS_ERROR";
  readonly task: string;
  /** A decimal as text; clients parse it as a float and cut it to an integer. */
  readonly task_percent: string;
  readonly complete: boolean;
  /** UTC without saying so, with a blank for the `T`. */
  readonly updated: string;
  readonly created: string;
  readonly exception: string;
}

/** Kinds of jobs that exist for this protocol. */
export const PACIFICA_KINDS = ["ingest", "move"];

/** Our tasks in Pacifica's words. A file's fate is `ingest files` or `move files`, by the kind of job. */
const TASKS: Readonly<Record<string, string>> = {
  receive: "UPLOADING",
  open: "open tar",
  metadata: "load metadata",
  policy: "Policy Validation",
  catalogue: "ingest metadata",
};
const LAST_TASK = "ingest metadata";

/** What the original says, in these words only, of anything that is wrong with the tar itself. */
const TAR_FAULTS: readonly Code[] = [
  "bundle_not_tar",
  "bundle_compressed",
  "bundle_truncated",
  "bundle_header_corrupt",
  "bundle_header_too_large",
];

export function pacificaJob(job: Job): PacificaJob {
  const { createdAt, updatedAt } = job;
  const same = { job_id: job.id, created: naiveTime(createdAt), updated: naiveTime(updatedAt), exception: "" };
  const current = job.tasks.at(-1);
  const task = current ? taskName(job, current.name) : "UPLOADING";

  if (job.state === "succeeded") return { ...same, state: "OK", task: LAST_TASK, task_percent: "100", complete: true };
  if (job.state === "failed" || job.state === "cancelled") {
    const tarFault = job.error !== null && TAR_FAULTS.includes(job.error.code);
    return {
      ...same,
      state: "FAILED",
      task: tarFault ? "open tar" : task,
      task_percent: "0",
      complete: true,
      exception: tarFault ? "Failed to open tarfile." : exceptionOf(job.error),
    };
  }
  // 100 in the last task is how clients know success: it is not said before the job has succeeded.
  const percent = Math.min(current?.percent ?? 0, task === LAST_TASK ? 99 : 100);
  return { ...same, state: "OK", task, task_percent: String(percent), complete: false };
}

/** The answer to ids that cannot be a job's. */
export function unreadableJob(now: number): PacificaJob {
  return {
    job_id: null,
    state: "DATA_ACCESS_ERROR",
    task: "read_state",
    task_percent: "0",
    complete: false,
    updated: naiveTime(now),
    created: naiveTime(now),
    exception: "",
  };
}

function taskName(job: Job, name: string): string {
  if (name === "files") return job.kind === "move" ? "move files" : "ingest files";
  return TASKS[name] ?? name;
}

/** The sentence, and below it every single trouble in a line of its own. */
function exceptionOf(error: ErrorRecord | null): string {
  if (!error) return "";
  const problems: DetailValue | undefined = error.details.problems;
  const lines = Array.isArray(problems) ? problems.map((one) => String(one?.message ?? one)) : [];
  return [error.message, ...lines].join("\n");
}

/** `YYYY-MM-DD HH:MM:SS[.ffffff]`, as Python writes a datetime: without a fraction when that is zero. */
function naiveTime(epochMs: number): string {
  const [date, time = ""] = new Date(epochMs).toISOString().slice(0, -1).split("T");
  return `${date} ${time.endsWith(".000") ? time.slice(0, -4) : `${time}000`}`;
}
