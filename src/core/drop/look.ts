import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import { AppError, CODES, type ErrorRecord } from "../errors.ts";
import { transactionOf } from "../ids.ts";
import type { Jobs } from "../jobs/jobs.ts";
import { ALERTS_AT_ONCE } from "../notify/alerts.ts";
import type { Switches } from "../switches/switches.ts";
import { type Candidate, candidates } from "./candidates.ts";
import type { Delivery, DeliveryChange, Drop, DropFiles, DropStore, NewDelivery } from "./drop.ts";
import type { DropAlerts } from "./drop-alerts.ts";
import { type DeliveryInput, DROP_INGEST_JOB } from "./drop-ingest-job.ts";
import { DROP_REMOVE_JOB } from "./drop-remove-job.ts";
import { everything, fingerprint } from "./inspect.ts";

export interface LookParts {
  readonly store: DropStore;
  readonly files: DropFiles;
  readonly jobs: Pick<Jobs, "submit" | "get">;
  readonly switches: Pick<Switches, "mayRun">;
  readonly clock: Clock;
  readonly alerts: DropAlerts;
}

/** Of one look: how many deliveries were found, and what became of some. */
export interface LookSummary {
  readonly found: number;
  readonly taken: number;
  readonly rejected: number;
  readonly paused: number;
}

/** Deliveries of one drop folder that are taken at a time; the others wait for a later look. */
const MOST_TAKEN = 64;
/** Bigger than this goes to the slow lane, as with bundles. */
const SLOW_FROM_BYTES = 4 * 1024 ** 3;
const HOUR_MS = 3_600_000;
/** What a delivery's own content is at fault for ends it in quarantine; these say that it changed on the way. */
const CHANGED = ["source_changed", "source_missing"];

/**
 * One look at a drop folder: everything in it is compared with what is known of it, and goes one step further if it can.
 * What is known is changed by compare-and-set, jobs are submitted under keys of their own, and moving into the quarantine
 * goes on where it was broken off: looks may overlap, and be killed at any line.
 */
export async function look(drop: Drop, parts: LookParts, signal: AbortSignal): Promise<LookSummary> {
  const { store, files, jobs, switches, clock, alerts } = parts;
  const counts = { found: 0, taken: 0, rejected: 0, paused: 0 };
  const known = new Map((await store.open(drop.name)).map((delivery) => [delivery.name, delivery]));
  let overdue = 0;
  let underWay = [...known.values()].filter(({ state }) => state === "taking").length;
  const fresh: NewDelivery[] = [];

  const change = (delivery: Delivery, fields: DeliveryChange) => store.change(delivery, fields, clock.now());

  async function step(candidate: Candidate): Promise<void> {
    const entries = await everything(files, drop.folder, candidate.entries);
    const now = fingerprint(entries);
    const delivery = known.get(candidate.name);
    const seen = { drop: drop.name, name: candidate.name, fingerprint: now, stableAt: clock.now() };
    if (!delivery) {
      fresh.push({ ...seen, note: candidate.waitsFor });
      return;
    }
    const isChanged = delivery.fingerprint !== now;
    const anew = { state: "arriving", fingerprint: now, stableAt: clock.now(), note: candidate.waitsFor } as const;
    switch (delivery.state) {
      case "arriving":
        if (isChanged) await change(delivery, anew);
        else
          await arrived(
            delivery,
            candidate,
            entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
          );
        return;
      case "archived":
        // Something else lies there under the name: it is another delivery.
        if (isChanged) {
          const note = "Something else took its place in the drop folder.";
          if (await change(delivery, { state: "gone", note })) fresh.push({ ...seen, note: candidate.waitsFor });
        } else await removeIfPermitted(delivery);
        return;
      case "rejected":
        // Whoever sends it again may have put right what was wrong.
        if (isChanged) await change(delivery, { ...anew, job: null });
        else
          await quarantine(
            delivery,
            candidate.entries.map(({ path }) => path),
          );
        return;
      default:
        await followed(delivery);
    }
  }

  /** One delivery that cannot be read keeps no other from being taken. */
  async function readable(candidate: Candidate): Promise<void> {
    try {
      await step(candidate);
    } catch (error) {
      if (!(error instanceof AppError && error.code === "drop_unreadable")) throw error;
      const delivery = known.get(candidate.name);
      const note = error.message;
      if (!delivery)
        fresh.push({ drop: drop.name, name: candidate.name, fingerprint: "", stableAt: clock.now(), note });
      else if (delivery.note !== note) await change(delivery, { note });
    }
  }

  /** What no look has seen change. */
  async function arrived(delivery: Delivery, candidate: Candidate, sizeBytes: number): Promise<void> {
    const quietMs = clock.now() - delivery.stableAt;
    if (quietMs < drop.quietMs || quietMs <= 0) return;
    if (candidate.objection !== null) return reject(delivery, candidate.objection);
    if (candidate.waitsFor !== null) return waits(delivery, candidate.waitsFor);
    if (underWay >= MOST_TAKEN) return;
    underWay++;
    const input: DeliveryInput = {
      drop: drop.name,
      delivery: delivery.name,
      paths: candidate.entries.map(({ path }) => path),
      groups: candidate.groups,
      fingerprint: delivery.fingerprint,
    };
    const job = await jobs.submit({
      kind: DROP_INGEST_JOB,
      lane: sizeBytes >= SLOW_FROM_BYTES ? "slow" : "fast",
      owner: drop.owner,
      input: { ...input },
      // Of the delivery as it is now: killed before the change below, the next look gets the same job.
      idempotencyKey: `drop:${delivery.id}:${delivery.version}`,
    });
    if (await change(delivery, { state: "taking", job: job.id, note: null })) counts.taken++;
  }

  /** What is missing may come yet; when it does not, somebody is told, once. */
  async function waits(delivery: Delivery, reason: string): Promise<void> {
    const isOverdue = clock.now() - delivery.stableAt >= drop.overdueMs;
    const note = isOverdue ? `${reason} It has been waiting for more than ${drop.overdueMs / HOUR_MS} hours.` : reason;
    if (note === delivery.note) return;
    const nth = overdue + 1;
    const isTold = isOverdue && nth <= ALERTS_AT_ONCE;
    const told = isTold ? alerts.overdue(drop, delivery, note, nth === ALERTS_AT_ONCE) : [];
    if ((await store.change(delivery, { note }, clock.now(), told)) && isOverdue) overdue = nth;
  }

  async function reject(delivery: Delivery, reason: string): Promise<void> {
    // Its entries are moved with the next step of this look, or by the next look when this one is killed.
    const nth = counts.rejected + 1;
    const told = nth <= ALERTS_AT_ONCE ? alerts.rejected(drop, delivery, reason, nth === ALERTS_AT_ONCE) : [];
    const rejected = await store.change(delivery, { state: "rejected", note: reason }, clock.now(), told);
    if (!rejected) return;
    counts.rejected = nth;
    const paths = listed.find(({ name }) => name === delivery.name)?.entries.map(({ path }) => path) ?? [];
    await quarantine(rejected, paths);
  }

  async function quarantine(delivery: Delivery, paths: readonly string[]): Promise<void> {
    const place = placeOf(delivery);
    const job = delivery.job === null ? "" : `Job: ${delivery.job}\n`;
    const text = `Delivery ${delivery.id}, ${delivery.name}, of the drop folder ${drop.name} was rejected.\n${delivery.note ?? ""}\n${job}`;
    await files.quarantine(drop, paths, place, text);
    await change(delivery, { state: "quarantined" });
  }

  /** What a job is at work on. */
  async function followed(delivery: Delivery): Promise<void> {
    const job = delivery.job === null ? undefined : await jobs.get(delivery.job);
    if (!job) return;
    if (delivery.state === "removing") return removed(delivery);
    if (job.state === "succeeded") {
      const archived = await change(delivery, {
        state: "archived",
        transactionId: transactionOf(job.id),
        note: null,
      });
      if (archived) await removeIfPermitted(archived);
    } else if (job.state === "failed" && job.error) await failed(delivery, job.error);
    else if (job.state === "cancelled" && delivery.state !== "failed")
      await change(delivery, { state: "failed", note: "Its job was cancelled; it can be retried." });
    else if (delivery.state === "failed" && (job.state === "queued" || job.state === "running"))
      await change(delivery, { state: "taking", note: null });
  }

  async function failed(delivery: Delivery, error: ErrorRecord): Promise<void> {
    const [kind] = CODES[error.code];
    if (CHANGED.includes(error.code)) {
      const note = "It changed while it was taken.";
      // As if it were seen for the first time: the next look finds out what it is now.
      await change(delivery, { state: "arriving", fingerprint: "", stableAt: clock.now(), note, job: null });
    } else if (kind === "unavailable" || kind === "internal" || kind === "cancelled") {
      const note = `${error.message} Its job can be retried.`;
      if (delivery.state !== "failed" || delivery.note !== note) await change(delivery, { state: "failed", note });
    } else await reject(delivery, reasonOf(error));
  }

  async function removeIfPermitted(delivery: Delivery): Promise<void> {
    const isPermitted = drop.removal === "always" || (drop.removal === "approved" && delivery.permittedBy !== null);
    // A note tells why it failed: that takes another permission.
    if (!isPermitted || delivery.note !== null) return;
    const job = await jobs.submit({
      kind: DROP_REMOVE_JOB,
      lane: "slow",
      owner: drop.owner,
      input: { delivery: delivery.id },
      idempotencyKey: `drop-remove:${delivery.id}:${delivery.version}`,
    });
    await change(delivery, { state: "removing", removalJob: job.id });
  }

  async function removed(delivery: Delivery): Promise<void> {
    if (delivery.removalJob === null) return;
    const { state, error } = await jobs.get(delivery.removalJob);
    if (state === "succeeded") await change(delivery, { state: "removed" });
    else if (state === "failed" || state === "cancelled") {
      const note = `Not removed: ${error?.message ?? "its job was cancelled."}`;
      await change(delivery, { state: "archived", note, permittedBy: null });
    }
  }

  /** What is known, and lies there no longer. */
  async function vanished(delivery: Delivery): Promise<void> {
    if (delivery.state === "arriving")
      await change(delivery, { state: "gone", note: "It was taken away, or belongs to another delivery now." });
    else if (delivery.state === "archived")
      await change(delivery, { state: "gone", note: "It was taken away after it was archived." });
    else if (delivery.state === "rejected") await change(delivery, { state: "quarantined" });
    else await followed(delivery);
  }

  const listed = candidates(drop, await files.list(drop.folder));
  for (const candidate of listed) {
    signal.throwIfAborted();
    counts.found++;
    if (await switches.mayRun("drops", `${drop.folder}/${candidate.name}`)) await readable(candidate);
    else counts.paused++;
  }
  await store.add(fresh, clock.now());
  const names = new Set(listed.map(({ name }) => name));
  for (const delivery of known.values()) {
    signal.throwIfAborted();
    if (!names.has(delivery.name) && (await switches.mayRun("drops", `${drop.folder}/${delivery.name}`)))
      await vanished(delivery);
  }
  return counts;
}

/** The error's own sentence, and one for each problem with a file. */
function reasonOf({ message, details }: ErrorRecord): string {
  const problems = Array.isArray(details.problems) ? details.problems : [];
  const lines = problems.flatMap((one: unknown) => {
    const { path, message: text } = Object(one) as { readonly path?: unknown; readonly message?: unknown };
    return typeof text === "string" ? [`- ${String(path ?? "")}: ${text}`] : [];
  });
  return [message, ...lines].join("\n");
}

/** A folder of its own in the quarantine, the same whenever it is asked for. */
function placeOf({ id, name, fingerprint: found }: Delivery): string {
  const readable = name
    .replace(/[^A-Za-z0-9._-]+/g, "_")
    .replace(/^[._]+/, "")
    .slice(0, 60);
  const distinct = createHash("sha256").update(`${name}\n${found}`).digest("hex").slice(0, 8);
  return `${id}-${readable}-${distinct}`;
}
