import type { AuditFact } from "../access/access-stores.ts";
import { ROOT_DECLARATION } from "../archive/ocfl.ts";
import { eventFact } from "../archive/premis-events.ts";
import { type ContentReader, contentReader } from "../archive/verify-content.ts";
import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import { type Clock, isoTime } from "../clock.ts";
import { AppError, type Details, type DetailValue } from "../errors.ts";
import type { JobId } from "../ids.ts";
import type { JobStore } from "../jobs/job-store.ts";
import type { JobContext, JobHandler } from "../jobs/worker.ts";
import { ALERTS_AT_ONCE } from "../notify/alerts.ts";
import { type CheckParts, checkSlice, NOTHING_CHECKED, type SliceResult } from "./check-object.ts";
import { FIXITY_JOB, type FixityRequest, fixityRequest } from "./fixity-request.ts";
import type { DueCheck, FixityCheck, FixityStore } from "./fixity-store.ts";

export interface FixityLimits {
  /** Within how many days everything is to be checked. */
  readonly days: number;
  /** Of all runs of one day (UTC) together. */
  readonly dailyBytes?: number | undefined;
  readonly dailyMinutes?: number | undefined;
}

export interface FixityJobParts extends Omit<CheckParts, "jobs"> {
  readonly store: FixityStore;
  readonly jobs: Pick<JobStore, "get" | "list">;
  readonly clock: Clock;
  readonly limits: FixityLimits;
  /** For events: name/version. */
  readonly software: string;
  alert(job: JobId, check: FixityCheck & { readonly checkedAt: number }, isLast: boolean): readonly OutboxMessage[];
}

const PARALLEL = 4;
/** A check is kept this often: a large object's goes on from there when the process dies. */
const SLICE_MS = 120_000;
const CHECKPOINT_EVERY_MS = 5_000;
const MINUTE_MS = 60_000;
export const DAY_MS = 24 * 60 * MINUTE_MS;
/** Told with an event. */
const PROBLEMS_IN_EVENT = 10;

/** What a run has done; also its result. A killed process loses the last seconds of it, though none of its checks. */
interface Totals {
  readonly checked: number;
  readonly failed: number;
  readonly files: number;
  readonly bytes: number;
  readonly busyMs: number;
}

const NO_TOTALS: Totals = { checked: 0, failed: 0, files: 0, bytes: 0, busyMs: 0 };

/** The day that a time belongs to, in UTC. */
export const dayOf = (epochMs: number) => isoTime(epochMs).slice(0, 10);

/** Checks made before this are due again: so early that no check is ever older than `days`, with a run a day. */
export const dueBefore = (now: number, days: number) => now - (days - 1) * DAY_MS;

/**
 * The `fixity` job: reads transactions back and compares them with what was archived, the one whose last check is the
 * oldest first, until everything is checked that is due, or a limit is met. Each check is complete in itself, with its
 * event, and one that is cut short goes on in the next run. It ends with `fixity_failed` when something was wrong.
 * Of several runs at a time, one works.
 */
export function fixityJob(parts: FixityJobParts): JobHandler {
  const { store, archive, clock, limits } = parts;

  async function run({ job, tasks, signal, checkpoint }: JobContext): Promise<Details> {
    const request = fixityRequest(job.input);
    const other = await earlierRun(job.id);
    if (other !== undefined) return { ...NO_TOTALS, ended: `job ${other} is at it` };

    const startedAt = typeof job.checkpoint.startedAt === "number" ? job.checkpoint.startedAt : clock.now();
    let totals = readTotals(job.checkpoint.totals);
    let savedAt = clock.now();
    const save = () => checkpoint({ startedAt, totals: { ...totals } });
    const read = contentReader(archive.storage, clock, {
      parallel: request.parallel ?? PARALLEL,
      bytesPerSecond: request.bytesPerSecond,
      signal,
      onRead: (bytes) => tasks.advance({ bytes }),
    });
    await tasks.begin("check");
    tasks.advance({ files: totals.files, bytes: totals.bytes });

    for (;;) {
      signal.throwIfAborted();
      const room = await roomLeft(request, totals);
      const due = room.ended ? undefined : await store.oldest(dueBefore(startedAt, request.days ?? limits.days));
      if (due === undefined) {
        if (totals.failed === 0) return { ...totals, ended: room.ended ?? "everything is checked" };
        await checkpoint({}); // retried, it begins anew
        throw new AppError("fixity_failed", { ...totals });
      }
      const begunAt = clock.now();
      const slice = await checkNext(read, due, begunAt, room);
      const { progress, isOver } = slice;
      const earlier = due.progress ?? NOTHING_CHECKED;
      for (const found of progress.problems.slice(earlier.problems.length)) tasks.warn(found);
      const spent = {
        bytes: progress.bytes - earlier.bytes,
        busyMs: Math.max(0, clock.now() - begunAt),
        day: dayOf(begunAt),
      };
      tasks.advance({ files: progress.files - earlier.files });
      const isFailed = isOver && progress.problemCount > 0;
      if (isOver) {
        // A clock that was set back meanwhile would have the same transactions checked again and again.
        const check = verdict(due, slice, Math.max(clock.now(), startedAt));
        const tells = isFailed && totals.failed < ALERTS_AT_ONCE;
        const messages = tells ? parts.alert(job.id, check, totals.failed === ALERTS_AT_ONCE - 1) : [];
        await store.complete(check.due, check, { fact: event(job.id, job.owner, check, slice), messages }, spent);
      } else await store.pause(due, progress, spent);
      totals = {
        checked: totals.checked + (isOver ? 1 : 0),
        failed: totals.failed + (isFailed ? 1 : 0),
        files: totals.files + progress.files - earlier.files,
        bytes: totals.bytes + spent.bytes,
        busyMs: totals.busyMs + spent.busyMs,
      };
      if (clock.now() - savedAt < CHECKPOINT_EVERY_MS) continue;
      savedAt = clock.now();
      await save();
    }
  }

  /** One slice. @throws AppError storage_unavailable when it is the storage that is gone, not the object. */
  async function checkNext(read: ContentReader, due: DueCheck, begunAt: number, room: Room): Promise<SliceResult> {
    const until = begunAt + Math.min(SLICE_MS, room.ms);
    const slice = await checkSlice(parts, read, due.transactionId, {
      from: due.progress ?? NOTHING_CHECKED,
      isSpent: (bytes) => bytes >= room.bytes || clock.now() >= until,
    });
    if (slice.progress.problemCount > 0 && !(await archive.storage.stat(ROOT_DECLARATION.path)))
      throw new AppError("storage_unavailable", { path: ROOT_DECLARATION.path, expected: "the archive's declaration" });
    return slice;
  }

  async function earlierRun(id: JobId): Promise<JobId | undefined> {
    const running = await parts.jobs.list({ kind: FIXITY_JOB, states: ["running"], limit: 100 });
    return running.find((other) => other.id < id)?.id;
  }

  async function roomLeft({ bytes, minutes }: FixityRequest, totals: Totals): Promise<Room> {
    const today = await store.day(dayOf(clock.now()));
    const { dailyBytes, dailyMinutes } = limits;
    const rooms = [
      { ended: "so many bytes were to be read", bytes: less(bytes, totals.bytes) },
      { ended: "the day's bytes are read", bytes: less(dailyBytes, today.bytes) },
      { ended: "the time is over", ms: less(minutes && minutes * MINUTE_MS, totals.busyMs) },
      { ended: "the day's time is over", ms: less(dailyMinutes && dailyMinutes * MINUTE_MS, today.busyMs) },
    ];
    const least = (amounts: readonly (number | undefined)[]) => Math.min(...amounts.map((one) => one ?? Infinity));
    return {
      bytes: least(rooms.map((room) => room.bytes)),
      ms: least(rooms.map((room) => room.ms)),
      ended: rooms.find((room) => least([room.bytes, room.ms]) <= 0)?.ended,
    };
  }

  function event(id: JobId, owner: string, check: Verdict, { progress }: SliceResult): AuditFact {
    const { files, bytes, problemCount } = progress;
    const problems = check.problems.slice(0, PROBLEMS_IN_EVENT).map((one) => ({ ...one }));
    return eventFact({
      type: "fixity check",
      transactionId: check.transactionId,
      at: check.checkedAt,
      actor: owner,
      software: parts.software,
      outcome: check.outcome,
      details: { job: id, files, bytes, ...(problemCount > 0 && { problemCount, problems }) },
    });
  }

  return { run };
}

/** What a run may still spend. */
interface Room {
  readonly bytes: number;
  readonly ms: number;
  /** Why it is over. */
  readonly ended: string | undefined;
}

type Verdict = Parameters<FixityStore["complete"]>[1] & { readonly due: DueCheck };

function verdict(due: DueCheck, { progress }: SliceResult, checkedAt: number): Verdict {
  const { problemCount, problems } = progress;
  const outcome = problemCount === 0 ? "success" : "failure";
  return { due, transactionId: due.transactionId, checkedAt, outcome, problemCount, problems };
}

function less(limit: number | undefined, spent: number): number | undefined {
  return limit === undefined ? undefined : limit - spent;
}

function readTotals(saved: DetailValue | undefined): Totals {
  return typeof saved === "object" && saved !== null && !Array.isArray(saved) ? { ...NO_TOTALS, ...saved } : NO_TOTALS;
}
