import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Jobs } from "../jobs/jobs.ts";
import { statusOf } from "./declaration.ts";
import type { DeclaredRegisters } from "./declared-registers.ts";
import type { Entry } from "./entry.ts";
import type { RegisterStore } from "./register-store.ts";
import { type ArrivalParts, arrivalAt, ITSELF } from "./transitions.ts";

export interface TidyParts extends ArrivalParts {
  readonly store: RegisterStore;
  readonly declared: DeclaredRegisters;
  readonly jobs: Pick<Jobs, "cancel">;
  readonly clock: Clock;
}

const PAGE = 200;
/** An entry that cannot be stopped now is looked at again after this. */
const LATER_MS = 60_000;

/**
 * Nothing stays as it is for ever: statuses whose time is over give way to the next, entries that are kept no longer go, and
 * those whose status has been given an action get its job.
 */
export async function tidyRegisters(parts: TidyParts, signal: AbortSignal): Promise<void> {
  const { store, declared, clock } = parts;
  for (let more = true; more && !signal.aborted; ) {
    const due = await store.due(clock.now(), PAGE);
    for (const entry of due) await settleDue(parts, entry);
    more = due.length === PAGE;
  }
  for (const { declaration } of await declared.list())
    for (const [status, { action }] of Object.entries(declaration.statuses)) {
      if (!action || signal.aborted) continue;
      for (const entry of await store.idle(declaration.name, status, PAGE)) await arriveAnew(parts, entry);
    }
}

async function settleDue(parts: TidyParts, entry: Entry): Promise<void> {
  const { store, declared, jobs, clock } = parts;
  const { declaration, revision } = await declared.get(entry.register);
  const status = statusOf(declaration, entry.status);
  const guard = { register: entry.register, id: entry.id, revision, version: entry.version };
  const now = clock.now();
  if (!status?.expires && status?.keep === undefined) {
    await store.change(guard, { dueAt: null, actor: ITSELF, isNoted: false }, now);
    return;
  }
  if (entry.settled) {
    await store.change(guard, { dueAt: now + LATER_MS, actor: ITSELF, isNoted: false }, now);
    return;
  }
  if (status.expires) {
    const { to } = status.expires;
    const arrival = await arrivalAt(parts, declaration, to, { owner: entry.owner, entry: entry.id }, now);
    const reason = `nothing came of it in time${entry.reason === null ? "" : ` (${entry.reason})`}`;
    await store.change(guard, { ...arrival, status: to, attempts: 0, reason, actor: ITSELF, isNoted: true }, now);
  } else await store.remove(guard, ITSELF, "it has been kept as long as it is to be", now);
  if (entry.job !== null) await jobs.cancel(entry.job, ITSELF).catch(ifOver);
}

async function arriveAnew(parts: TidyParts, entry: Entry): Promise<void> {
  const { store, declared, clock } = parts;
  const { declaration, revision } = await declared.get(entry.register);
  const about = { owner: entry.owner, entry: entry.id };
  const { job } = await arrivalAt(parts, declaration, entry.status, about, clock.now());
  const guard = { register: entry.register, id: entry.id, revision, version: entry.version };
  await store.change(guard, { job, actor: ITSELF, isNoted: false }, clock.now());
}

function ifOver(error: unknown): void {
  if (!(error instanceof AppError) || (error.code !== "job_state_conflict" && error.code !== "job_unknown"))
    throw error;
}
