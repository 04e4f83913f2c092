import { hasScope, type Principal } from "../access/access.ts";
import type { Clock } from "../clock.ts";
import { AppError, type DetailValue } from "../errors.ts";
import type { JobId } from "../ids.ts";
import type { Jobs } from "../jobs/jobs.ts";
import { type Declaration, statusOf } from "./declaration.ts";
import type { Who } from "./declaration-form.ts";
import type { DeclaredRegister, DeclaredRegisters } from "./declared-registers.ts";
import type { Entry, EntryEvent, Fields } from "./entry.ts";
import { fieldsOf, keysOf } from "./entry-fields.ts";
import { type ExchangeFormat, imported } from "./exchange.ts";
import { type EntryChange, type EntryQuery, type NewEntry, type RegisterStore, STALE } from "./register-store.ts";
import { type ArrivalParts, arrivalAt } from "./transitions.ts";

/** What a client sends for an entry: fields by their names or aliases. */
export type Sent = Readonly<Record<string, DetailValue>>;

export interface WantedChange {
  /** Left out: the fields stay. */
  readonly fields?: Sent;
  /** The fields that are not sent go, or become their defaults. */
  readonly isWhole?: boolean;
  /** The next status. */
  readonly to?: string;
  /** Only when the entry has this status. */
  readonly from?: string;
  /** Only when the entry has this version. */
  readonly version?: number;
  readonly reason?: string;
}

/** Registers and their entries, as callers see them. */
export interface Registers extends Pick<DeclaredRegisters, "list" | "get"> {
  /** @throws as {@link DeclaredRegisters.declare}. */
  declare(text: string): Promise<DeclaredRegister>;
  /** @throws as {@link DeclaredRegisters.check}. */
  check(text: string): ReturnType<DeclaredRegisters["check"]>;
  /** @throws AppError register_unknown, register_fixed, register_in_use. */
  forget(name: string): Promise<void>;
  /** How many entries there are of each status. @throws AppError entry_refused to who does not see everybody's. */
  counts(principal: Principal, name: string): Promise<Readonly<Record<string, number>>>;
  /**
   * @param repeatable key of the request: repeated, the entry it made.
   * @throws AppError register_unknown, entry_refused, entry_invalid, entry_exists.
   */
  create(principal: Principal, name: string, sent: Sent, repeatable?: string): Promise<Entry>;
  /**
   * All or none. Operators may give entries any status; its action begins then.
   * @throws AppError entry_invalid, with `details.problems`, each with its `line`; entry_exists.
   */
  import(principal: Principal, name: string, text: string, format: ExchangeFormat): Promise<readonly Entry[]>;
  /** @throws AppError register_unknown, entry_unknown, also for an entry that this caller may not see. */
  entry(principal: Principal, name: string, id: number): Promise<Entry>;
  /** Those that this caller may see. */
  entries(principal: Principal, name: string, query: Omit<EntryQuery, "register" | "owner">): Promise<readonly Entry[]>;
  /** The same, all of them. Memory: one page. */
  each(principal: Principal, name: string, query: Pick<EntryQuery, "status" | "id" | "fields">): AsyncGenerator<Entry>;
  /**
   * Compare-and-set: of several who want the same at once, one gets it.
   * @throws AppError entry_unknown, entry_conflict, entry_refused, entry_invalid, entry_exists.
   */
  change(principal: Principal, name: string, id: number, wanted: WantedChange): Promise<Entry>;
  /** @throws AppError entry_unknown, entry_refused, entry_conflict. */
  remove(principal: Principal, name: string, id: number, reason?: string): Promise<void>;
  /** Oldest first. @throws AppError entry_unknown. */
  history(
    principal: Principal,
    name: string,
    id: number,
    afterSeq: number,
    limit: number,
  ): Promise<readonly EntryEvent[]>;
}

export interface RegisterParts extends ArrivalParts {
  readonly store: RegisterStore;
  readonly declared: DeclaredRegisters;
  readonly jobs: Pick<Jobs, "cancel">;
  readonly clock: Clock;
}

const PAGE = 500;
const PROBLEMS_TOLD = 100;

export function registerService(parts: RegisterParts): Registers {
  const { store, declared, jobs, clock } = parts;

  async function seen(principal: Principal, { declaration }: DeclaredRegister, id: number): Promise<Entry> {
    const entry = await store.get(declaration.name, id);
    if (entry && may(principal, declaration.permissions.read, entry.owner)) return entry;
    throw new AppError("entry_unknown", { register: declaration.name, id });
  }

  /** `undefined`: everybody's. */
  function ownerSeen(principal: Principal, { permissions }: Declaration): { readonly owner?: string } {
    const others = permissions.read.filter((one) => one !== "owner");
    return may(principal, others, "") ? {} : { owner: principal.name };
  }

  async function newEntry(principal: Principal, declaration: Declaration, sent: Sent, allowed: readonly string[]) {
    const { status = declaration.initial, ...values } = sent;
    if (typeof status !== "string" || !allowed.includes(status))
      throw new AppError("entry_invalid", { field: "status", expected: allowed.join(" or "), found: String(status) });
    const fields = fieldsOf(declaration, values, {}, clock);
    const owner = principal.name;
    const arrival = await arrivalAt(parts, declaration, status, { owner }, clock.now());
    return {
      ...arrival,
      owner,
      status,
      fields,
      keys: keysOf(declaration, fields),
      actor: owner,
      reason: null,
    };
  }

  async function create(principal: Principal, name: string, sent: Sent, repeatable?: string): Promise<Entry> {
    for (;;) {
      const { declaration, revision } = await declared.get(name);
      requireMaker(principal, declaration);
      const entry = await newEntry(principal, declaration, sent, [declaration.initial]);
      const key = repeatable === undefined ? undefined : `${principal.name}\n${repeatable}`;
      const made = await store.create(name, revision, [entry], clock.now(), key);
      if (made !== STALE && made[0]) return made[0];
    }
  }

  async function importAll(principal: Principal, name: string, text: string, format: ExchangeFormat) {
    for (;;) {
      const { declaration, revision } = await declared.get(name);
      requireMaker(principal, declaration);
      const allowed = hasScope(principal, "operate") ? Object.keys(declaration.statuses) : [declaration.initial];
      const entries: NewEntry[] = [];
      const problems: DetailValue[] = [];
      const found = imported(declaration, text, format);
      for (const { line, sent } of found)
        try {
          entries.push(await newEntry(principal, declaration, sent, allowed));
        } catch (error) {
          if (!(error instanceof AppError) || error.code !== "entry_invalid") throw error;
          problems.push(...problemsAt(error, line));
          if (problems.length >= PROBLEMS_TOLD) break;
        }
      if (problems.length > 0) throw new AppError("entry_invalid", { register: name, problems });
      try {
        const made = await store.create(name, revision, entries, clock.now());
        if (made !== STALE) return made;
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== "entry_exists") throw error;
        throw new AppError("entry_exists", { ...error.details, line: found[Number(error.details.at)]?.line ?? 0 });
      }
    }
  }

  function requireMaker(principal: Principal, { name, permissions, initial }: Declaration): void {
    requireOneOf(principal, permissions.create, principal.name, { register: name, to: initial });
  }

  /** @throws AppError entry_conflict, entry_refused. */
  function requireNext(principal: Principal, declaration: Declaration, entry: Entry, to: string): void {
    const { status } = entry;
    const who = statusOf(declaration, status)?.next[to];
    if (who === undefined)
      throw conflict(
        entry,
        `one of ${Object.keys(statusOf(declaration, status)?.next ?? {}).join(", ") || "none"}`,
        to,
      );
    requireOneOf(principal, who, entry.owner, { register: entry.register, id: entry.id, from: status, to });
  }

  async function changeOf(principal: Principal, declaration: Declaration, entry: Entry, wanted: WantedChange) {
    const { to, reason, fields: sent, isWhole } = wanted;
    const change: { -readonly [K in keyof EntryChange]: EntryChange[K] } = { actor: principal.name, isNoted: true };
    if (sent) {
      requireOneOf(principal, declaration.permissions.change, entry.owner, { register: entry.register, id: entry.id });
      if (isUnderWay(declaration, entry)) throw conflict(entry, "an entry whose action is not under way");
      change.fields = fieldsOf(declaration, sent, isWhole ? {} : entry.fields, clock);
      change.keys = keysOf(declaration, change.fields);
    }
    if (to !== undefined) {
      requireNext(principal, declaration, entry, to);
      const about = { owner: entry.owner, entry: entry.id };
      const arrival = await arrivalAt(parts, declaration, to, about, clock.now());
      Object.assign(change, { status: to, attempts: 0, settled: false, ...arrival });
    }
    if (to !== undefined || reason !== undefined) change.reason = reason ?? null;
    return change;
  }

  /** What its job has left to do is not worth doing any more. */
  async function stopJob(job: JobId, actor: string): Promise<void> {
    await jobs.cancel(job, actor).catch((error: unknown) => {
      const isOver = error instanceof AppError && (error.code === "job_state_conflict" || error.code === "job_unknown");
      if (!isOver) throw error;
    });
  }

  async function* each(principal: Principal, name: string, query: Pick<EntryQuery, "status" | "id" | "fields">) {
    const { declaration } = await declared.get(name);
    const own = ownerSeen(principal, declaration);
    for (let afterId = 0; ; ) {
      const page = await store.list({ ...query, ...own, register: name, afterId, limit: PAGE });
      yield* page;
      const last = page.at(-1);
      if (!last || page.length < PAGE) return;
      afterId = last.id;
    }
  }

  return {
    list: declared.list,
    get: declared.get,
    declare: (text) => declared.declare(text, "api", "the declaration"),
    check: (text) => declared.check(text, "the declaration"),

    async forget(name) {
      const { source } = await declared.get(name);
      if (source === "file") throw new AppError("register_fixed", { name });
      if (!(await store.forget(name))) throw new AppError("register_in_use", { name });
    },

    async counts(principal, name) {
      const { declaration } = await declared.get(name);
      if (ownerSeen(principal, declaration).owner !== undefined)
        throw new AppError("entry_refused", { register: name, expected: declaration.permissions.read.join(" or ") });
      return store.counts(name);
    },

    create,
    import: importAll,
    entry: async (principal, name, id) => seen(principal, await declared.get(name), id),

    async entries(principal, name, query) {
      const { declaration } = await declared.get(name);
      return store.list({ ...query, ...ownerSeen(principal, declaration), register: name });
    },
    each,

    async change(principal, name, id, wanted) {
      for (;;) {
        const register = await declared.get(name);
        const entry = await seen(principal, register, id);
        const { from, version } = wanted;
        if (from !== undefined && entry.status !== from) throw conflict(entry, from);
        if (version !== undefined && entry.version !== version) throw conflict(entry, `version ${version}`);
        if (entry.settled) throw conflict(entry, "an entry whose action can still be stopped");
        const change = await changeOf(principal, register.declaration, entry, wanted);
        const guard = { register: name, id, revision: register.revision, version: entry.version };
        const changed = await store.change(guard, change, clock.now());
        // Somebody was quicker: whether it may still be changed so is judged anew.
        if (changed === STALE || changed === undefined) continue;
        if (wanted.to !== undefined && entry.job !== null) await stopJob(entry.job, principal.name);
        return changed;
      }
    },

    async remove(principal, name, id, reason) {
      for (;;) {
        const register = await declared.get(name);
        const entry = await seen(principal, register, id);
        requireOneOf(principal, register.declaration.permissions.remove, entry.owner, { register: name, id });
        if (entry.settled) throw conflict(entry, "an entry whose action can still be stopped");
        const guard = { register: name, id, version: entry.version };
        if (!(await store.remove(guard, principal.name, reason ?? null, clock.now()))) continue;
        if (entry.job !== null) await stopJob(entry.job, principal.name);
        return;
      }
    },

    async history(principal, name, id, afterSeq, limit) {
      await seen(principal, await declared.get(name), id);
      return store.history(name, id, afterSeq, limit);
    },
  };
}

/** Whether one of those who may is the caller. */
export function may(principal: Principal, who: readonly Who[], owner: string): boolean {
  return who.some((one) => {
    if (one === "anyone") return true;
    return one === "owner" ? owner === principal.name : hasScope(principal, one);
  });
}

/** @throws AppError entry_refused. */
function requireOneOf(
  principal: Principal,
  who: readonly Who[],
  owner: string,
  about: Readonly<Record<string, DetailValue>>,
) {
  if (may(principal, who, owner)) return;
  throw new AppError("entry_refused", { ...about, expected: who.join(" or ") || "Longshore itself" });
}

/** Its action is being done, and reads the fields. */
function isUnderWay(declaration: Declaration, { status, job, attempts, settled }: Entry): boolean {
  return settled || (job !== null && (attempts > 0 || statusOf(declaration, status)?.action === undefined));
}

function conflict({ register, id, status, version }: Entry, expected: string, wanted?: string): AppError {
  return new AppError("entry_conflict", { register, id, expected, found: wanted ?? status, status, version });
}

function problemsAt({ details, message }: AppError, line: number): readonly DetailValue[] {
  const problems = details.problems;
  if (!Array.isArray(problems)) return [{ line, field: details.field ?? "", message }];
  return problems.map((one: Fields) => ({ line, ...one }));
}
