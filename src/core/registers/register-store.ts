import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import type { JobId } from "../ids.ts";
import type { NewJob } from "../jobs/job-store.ts";
import type { Entry, EntryEvent, Fields } from "./entry.ts";

/** A declaration as it is kept. */
export interface KeptDeclaration {
  readonly name: string;
  /** JSON. */
  readonly text: string;
  /** Files are read at start, and win. */
  readonly source: "file" | "api";
  readonly revision: number;
}

/** A view over the entries for programs that read the database's file. */
export interface EntryView {
  readonly name: string;
  /** Names of fields, and what else an entry has, by {@link VIEW_COLUMNS}. */
  readonly columns: readonly string[];
}

/** What a view shows beside fields. `date`: when the entry was made, `YYYY-MM-DD HH:MM:SS` in UTC. */
export const VIEW_COLUMNS = ["id", "status", "owner", "version", "attempts", "reason", "date"] as const;

/** Judges entries that are there by a new declaration. */
export interface Judge {
  /** @returns the keys that each of these has from now on. */
  keysOf(entries: readonly Entry[]): readonly EntryKey[];
  /** After the last of them. @throws AppError: then nothing changes. */
  end(): void;
}

export interface EntryKey {
  readonly entry: number;
  readonly key: string;
}

export interface NewEntry {
  readonly owner: string;
  readonly status: string;
  readonly fields: Fields;
  /** What no other entry may have. */
  readonly keys: readonly string[];
  readonly dueAt: number | null;
  /** Enters the queue with the entry. Its input is `{ register, status }` and, once it is known, `entry`. */
  readonly job: NewJob | null;
  readonly actor: string;
  readonly reason: string | null;
  /** What is told, when the entry has an id. */
  tell(entry: Entry): readonly OutboxMessage[];
}

/** What becomes of an entry. What is left out stays. */
export interface EntryChange {
  readonly status?: string;
  readonly fields?: Fields;
  /** All of them, in place of those it has. */
  readonly keys?: readonly string[];
  readonly attempts?: number;
  readonly reason?: string | null;
  /** A new job enters the queue with the change; `null` leaves the entry without one. */
  readonly job?: NewJob | null;
  readonly settled?: boolean;
  readonly dueAt?: number | null;
  readonly actor: string;
  /** Not every change is worth a line in the history. */
  readonly isNoted: boolean;
  tell?(entry: Entry): readonly OutboxMessage[];
}

/** An entry as its changer knows it: compare-and-set. */
export interface EntryGuard {
  readonly register: string;
  readonly id: number;
  /** Of the declaration that the change was judged by. */
  readonly revision: number;
  readonly version?: number;
  /** The change is this job's, as long as the entry is. */
  readonly job?: JobId;
}

export interface EntryQuery {
  readonly register: string;
  readonly owner?: string;
  readonly status?: string;
  readonly id?: number;
  /** Fields that have these values, all of them. */
  readonly fields?: Fields;
  readonly afterId?: number;
  readonly limit: number;
}

/** The declaration has changed since the entry was judged: judge it anew. */
export const STALE = Symbol("stale");
export type Stale = typeof STALE;

/**
 * Registers and their entries. Whatever makes or changes an entry also queues its job, notes its history and puts what is to
 * be told into the outbox, all or nothing: so nothing is begun twice, and nothing is forgotten, wherever a process dies.
 *
 * Adapter: `adapters/db/register-store.ts` over SQLite and PostgreSQL. Contract: `test/conformance/register-store.ts`.
 */
export interface RegisterStore {
  /** By name. */
  declarations(): Promise<readonly KeptDeclaration[]>;
  declaration(name: string): Promise<KeptDeclaration | undefined>;
  /**
   * Keeps a declaration in place of an earlier one, once all entries that are there have been judged by it.
   * @throws AppError what `judge` throws; register_invalid when the view's name is taken.
   */
  declare(
    declared: Omit<KeptDeclaration, "revision"> & { readonly view: EntryView | null },
    judge: Judge,
    now: number,
  ): Promise<KeptDeclaration>;
  /** Forgets a register without entries. @returns false when it has some; then it stays. */
  forget(name: string): Promise<boolean>;

  /**
   * Makes entries, all or none.
   * @param repeatable key of a request for one entry: when it is known, the entry it made is returned.
   * @throws AppError entry_exists, with `details.at` (place in the list) and `details.entry`, whose keys they are.
   */
  create(
    register: string,
    revision: number,
    entries: readonly NewEntry[],
    now: number,
    repeatable?: string,
  ): Promise<readonly Entry[] | Stale>;
  get(register: string, id: number): Promise<Entry | undefined>;
  /** In id order. Cost does not grow with entries that do not fit. */
  list(query: EntryQuery): Promise<readonly Entry[]>;
  /** How many entries have each status. */
  counts(register: string): Promise<Readonly<Record<string, number>>>;
  /**
   * Compare-and-set.
   * @returns `undefined` when the entry is not as the guard says, or gone. @throws AppError entry_exists.
   */
  change(guard: EntryGuard, change: EntryChange, now: number): Promise<Entry | Stale | undefined>;
  /** Its history stays. @returns false when the entry is not as the guard says. */
  remove(
    guard: Omit<EntryGuard, "revision" | "job">,
    actor: string,
    reason: string | null,
    now: number,
  ): Promise<boolean>;
  /** Oldest first. */
  history(register: string, id: number, afterSeq: number, limit: number): Promise<readonly EntryEvent[]>;
  /** Entries whose time has come, the longest due first. */
  due(now: number, limit: number): Promise<readonly Entry[]>;
  /** Entries of a status that have no job. */
  idle(register: string, status: string, limit: number): Promise<readonly Entry[]>;
}
