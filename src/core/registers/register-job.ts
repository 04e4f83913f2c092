import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import type { Clock } from "../clock.ts";
import { AppError, type Code, type Details, type DetailValue, errorRecord } from "../errors.ts";
import type { Job } from "../jobs/job.ts";
import { type JobContext, type JobHandler, PutOff } from "../jobs/worker.ts";
import { statusOf } from "./declaration.ts";
import type { Action } from "./declaration-form.ts";
import type { DeclaredRegister, DeclaredRegisters } from "./declared-registers.ts";
import type { Entry } from "./entry.ts";
import { type EntryChange, type RegisterStore, STALE } from "./register-store.ts";
import { type ArrivalParts, arrivalAt, dueAt, ITSELF, mails } from "./transitions.ts";

/** What an action works with. */
export interface ActionContext<A extends Action = Action> {
  readonly entry: Entry;
  readonly action: A;
  readonly signal: AbortSignal;
  readonly tasks: JobContext["tasks"];
  /** What an earlier worker of this attempt has noted. */
  readonly noted: Details;
  note(data: Details): Promise<void>;
  /**
   * The point of no return: from here on nobody stops the action. What cannot be undone comes after it.
   * @throws AppError job_cancelled when somebody has stopped it already.
   */
  settle(): Promise<void>;
}

/** How an action came to its end: what is said of it, and where the entry goes when not to `success`. */
export interface ActionOutcome {
  readonly reason: string;
  readonly to?: string;
  /** Told with it. */
  readonly messages?: readonly OutboxMessage[];
}

/** Does one kind of action; must be idempotent. @throws AppError: then it is tried again, or has failed. */
export type ActionRunner<A extends Action = Action> = (context: ActionContext<A>) => Promise<ActionOutcome>;

export type ActionRunners = { readonly [K in Action["do"]]: ActionRunner<Extract<Action, { do: K }>> };

export interface RegisterJobParts extends ArrivalParts {
  readonly store: RegisterStore;
  readonly declared: DeclaredRegisters;
  readonly runners: ActionRunners;
  readonly clock: Clock;
}

/** However often it is tried. */
const HOPELESS: readonly Code[] = ["request_invalid", "fetch_refused", "endpoint_refused", "source_outside_roots"];
const LONGEST_PAUSE_MS = 86_400_000;

/**
 * The `register-action` job: does the action of an entry's status, as long as the entry has it. The entry says how it
 * stands: `during` while it is being done, the status of the action between two attempts, `success` or `failure` in the end;
 * so it is never left behind, whatever becomes of the job.
 */
export function registerJob(parts: RegisterJobParts): JobHandler {
  const { store, declared, runners, clock } = parts;

  /** The entry with its declaration, while it is this job's. */
  async function own({
    id,
    input,
  }: Job): Promise<{ readonly register: DeclaredRegister; readonly entry: Entry } | undefined> {
    const { register: name, entry: number } = input as { readonly register: string; readonly entry: number };
    const entry = await store.get(name, number);
    if (entry?.job !== id) return undefined;
    return { register: await declared.get(name), entry };
  }

  /** @returns the entry, or `undefined` when it is no longer this job's. */
  async function change(
    job: Job,
    make: (found: Found) => EntryChange | Promise<EntryChange>,
  ): Promise<Entry | undefined> {
    for (;;) {
      const found = await own(job);
      if (!found) return undefined;
      const { entry, register } = found;
      const guard = { register: entry.register, id: entry.id, revision: register.revision, job: job.id };
      const changed = await store.change(guard, await make(found), clock.now());
      if (changed !== STALE) return changed;
    }
  }

  /** The entry goes on; the job has nothing more to do with it. */
  const goOn = (job: Job, to: string, reason: string, messages: readonly OutboxMessage[] = []) =>
    change(job, async ({ entry, register: { declaration } }) => {
      const arrival = await arrivalAt(parts, declaration, to, { owner: entry.owner, entry: entry.id }, clock.now());
      return {
        ...arrival,
        status: to,
        attempts: 0,
        reason,
        settled: false,
        actor: ITSELF,
        isNoted: true,
        tell: (arrived) => [...messages, ...arrival.tell(arrived)],
      };
    });

  async function attempt(context: JobContext, { entry, register }: Found, action: Action): Promise<ActionOutcome> {
    const { job, signal, tasks, checkpoint } = context;
    const isBegun = job.checkpoint.attempt !== undefined;
    let noted = (job.checkpoint.noted ?? {}) as Details;
    const note = async (data: Details) => {
      noted = data;
      await checkpoint({ attempt: entry.attempts, noted: data });
    };
    let current = entry;
    if (!isBegun) {
      const during = action.during ?? entry.status;
      const tell = (arrived: Entry) => mails(register.declaration, during, arrived, parts.mailFrom);
      const begun = await change(job, () => ({
        status: during,
        attempts: entry.attempts + 1,
        reason: null,
        ...(action.during !== undefined && { dueAt: dueAt(register.declaration, during, clock.now()), tell }),
        actor: ITSELF,
        isNoted: true,
      }));
      if (!begun) throw new AppError("job_cancelled");
      current = begun;
      await note({});
    }
    await tasks.begin(action.do);
    signal.throwIfAborted();
    // The runner for `do` takes the action with that `do`.
    const run = runners[action.do] as ActionRunner;
    return run({
      entry: current,
      action,
      signal,
      tasks,
      get noted() {
        return noted;
      },
      note,
      async settle() {
        signal.throwIfAborted();
        const settled = await change(job, () => ({ settled: true, actor: ITSELF, isNoted: false }));
        if (!settled) throw new AppError("job_cancelled");
      },
    });
  }

  return {
    async run(context) {
      const { job, signal, checkpoint } = context;
      const found = await own(job);
      const action = found && actionOf(found, job);
      if (!found || !action) return { outcome: "the entry has gone on" };
      const { entry } = found;
      if (!applies(action, entry)) {
        await goOn(job, action.otherwise ?? action.success, "nothing to be done");
        return { outcome: action.otherwise ?? action.success };
      }
      const waitMs = waitOf(action, entry, clock);
      if (waitMs > 0 && job.checkpoint.attempt === undefined) throw new PutOff(Math.min(waitMs, LONGEST_PAUSE_MS));
      try {
        const { to = action.success, reason, messages } = await attempt(context, found, action);
        await goOn(job, to, reason, messages);
        return { outcome: to, reason };
      } catch (error) {
        if (error instanceof PutOff || signal.aborted) throw error;
        const now = await own(job);
        if (!now) return { outcome: "the entry has gone on" };
        const { message, code } = errorRecord(error);
        const { attempts } = now.entry;
        if (attempts >= action.attempts || HOPELESS.includes(code)) {
          await goOn(job, action.failure, message);
          throw error;
        }
        const pauseMs = Math.min(action.backOff * 2 ** (attempts - 1), LONGEST_PAUSE_MS);
        await change(job, ({ register }) => ({
          status: String(job.input.status),
          settled: false,
          reason: `attempt ${attempts} of ${action.attempts}: ${message}`,
          dueAt: dueAt(register.declaration, String(job.input.status), clock.now()),
          actor: ITSELF,
          isNoted: true,
        }));
        await checkpoint({});
        throw new PutOff(pauseMs);
      }
    },

    /** The job is over and has left its entry behind: a worker died too often with it, or somebody has cancelled it. */
    async cleanUp(job) {
      const found = await own(job);
      const action = found && actionOf(found, job);
      if (!action) return;
      const to = job.state === "cancelled" ? (action.cancelled ?? action.failure) : action.failure;
      await goOn(job, to, job.error?.message ?? `its job is ${job.state}`);
    },

    retryable: async (job) => (await own(job)) !== undefined,
    committed: async (job) => (await own(job))?.entry.settled === true,
  };
}

type Found = { readonly register: DeclaredRegister; readonly entry: Entry };

/** While the entry has the status of the job's action, or the one during it. */
function actionOf({ register: { declaration }, entry }: Found, { input }: Job): Action | undefined {
  const action = statusOf(declaration, String(input.status))?.action;
  const isThere = entry.status === input.status || entry.status === action?.during;
  return isThere ? action : undefined;
}

function applies({ when = {} }: Action, { fields }: Entry): boolean {
  return Object.entries(when).every(([name, values]) =>
    values.some((value) => JSON.stringify(value) === JSON.stringify(fields[name] ?? null)),
  );
}

/** How long the action must still wait for its day. */
function waitOf({ notBefore }: Action, { fields }: Entry, clock: Clock): number {
  if (!notBefore) return 0;
  const date: DetailValue = fields[notBefore.field] ?? null;
  const from = typeof date === "string" ? Date.parse(date) : Number.NaN;
  return Number.isNaN(from) ? 0 : from + notBefore.plus - clock.now();
}
