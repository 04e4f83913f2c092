import { bodyOf, type Connection, jsonBody, query } from "./connection.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";

/** A table of requests, as it is declared. */
export interface Register {
  /** The same as `name`. */
  readonly id: string;
  readonly name: string;
  readonly title: string;
  /** A register of a file changes there alone. */
  readonly source: "file" | "api";
  readonly revision: number;
  /** See docs/formats/register.md. */
  readonly declaration: Readonly<Record<string, unknown>>;
}

export interface RegisterEntry {
  readonly id: number;
  readonly register: string;
  readonly owner: string;
  readonly status: string;
  /** Grows with every change. */
  readonly version: number;
  /** How often the action of its status was begun. */
  readonly attempts: number;
  readonly reason: string | null;
  readonly fields: Readonly<Record<string, unknown>>;
  /** Of the action of its status, while it is to be done. */
  readonly job: number | null;
  /** When its status expires, or it is removed. */
  readonly dueAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface RegisterEvent {
  readonly id: number;
  readonly at: string;
  /** `longshore`: it happened by itself. */
  readonly actor: string;
  readonly from: string | null;
  /** `null`: it was removed. */
  readonly to: string | null;
  readonly reason: string | null;
  /** Names of the fields whose values changed. */
  readonly changed: readonly string[];
}

export interface EntryFilter extends PageOptions {
  readonly status?: string;
  /** Exact values, all of them. */
  readonly fields?: Readonly<Record<string, string | number | boolean>>;
}

export interface StatusChange {
  readonly to: string;
  /** Only when the entry has this status. */
  readonly from?: string;
  /** Only when the entry has this version. */
  readonly version?: number;
  readonly reason?: string;
}

export type ExchangeFormat = "csv" | "json";

/** Registers and their entries. */
export interface RegistersApi {
  list(): Listing<Register>;
  get(name: string): Promise<Register>;
  /** Whether a declaration would do, as JSON; keeps nothing. @throws LongshoreError register_invalid, register_contradicted. */
  check(declaration: string): Promise<{ readonly name: string; readonly entries: number }>;
  /** New, or in place of an earlier one. @throws LongshoreError as `check`, register_fixed. */
  declare(name: string, declaration: string): Promise<Register>;
  /** Of a register without entries. @throws LongshoreError register_in_use, register_fixed. */
  forget(name: string): Promise<void>;
  /** How many entries have each status. */
  counts(name: string): Promise<Readonly<Record<string, number>>>;
  /** Oldest first. */
  entries(name: string, filter?: EntryFilter): Listing<RegisterEntry>;
  entry(name: string, id: number): Promise<RegisterEntry>;
  /**
   * @param idempotencyKey repeated with the same one, the entry that was made.
   * @throws LongshoreError entry_invalid, entry_exists, entry_refused.
   */
  add(name: string, fields: Readonly<Record<string, unknown>>, idempotencyKey?: string): Promise<RegisterEntry>;
  change(
    name: string,
    id: number,
    change: { readonly fields: Readonly<Record<string, unknown>>; readonly version?: number; readonly reason?: string },
  ): Promise<RegisterEntry>;
  /** Compare-and-set: of several who ask for the same at once, one gets it. @throws LongshoreError entry_conflict. */
  setStatus(name: string, id: number, change: StatusChange): Promise<RegisterEntry>;
  /** Its history stays. */
  remove(name: string, id: number): Promise<void>;
  /** Oldest first. */
  history(name: string, id: number, options?: PageOptions): Listing<RegisterEvent>;
  /** All entries that one may see, as a file. */
  export(name: string, format: ExchangeFormat, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** All of them, or none. @throws LongshoreError entry_invalid, with the lines in `details.problems`. */
  import(
    name: string,
    text: string,
    format: ExchangeFormat,
  ): Promise<{ readonly created: number; readonly firstId: number | null }>;
}

export function registersApi(connection: Connection): RegistersApi {
  const pathOf = (name: string) => `/registers/${encodeURIComponent(name)}`;
  const entryPath = (name: string, id: number) => `${pathOf(name)}/entries/${id}`;
  const asJson = (method: string, body: string) => ({ method, body, headers: { "content-type": "application/json" } });

  return {
    list: () => listing<Register>(connection, "/registers", {}, undefined),
    get: (name) => connection.json<Register>(pathOf(name)),
    check: (declaration) => connection.json("/registers/check", asJson("POST", declaration)),
    declare: (name, declaration) => connection.json<Register>(pathOf(name), asJson("PUT", declaration)),
    async forget(name) {
      await connection.send(pathOf(name), { method: "DELETE" });
    },
    counts: (name) => connection.json(`${pathOf(name)}/counts`),
    entries(name, { fields = {}, signal, ...filter } = {}) {
      const field = Object.entries(fields).map(([key, value]) => `${key}=${value}`);
      return listing<RegisterEntry>(connection, `${pathOf(name)}/entries`, { ...filter, field }, signal);
    },
    entry: (name, id) => connection.json<RegisterEntry>(entryPath(name, id)),
    async add(name, fields, key) {
      const { headers, ...request } = jsonBody("POST", { fields });
      const withKey = { ...headers, ...(key !== undefined && { "idempotency-key": key }) };
      return connection.json<RegisterEntry>(`${pathOf(name)}/entries`, { ...request, headers: withKey });
    },
    change: (name, id, change) => connection.json<RegisterEntry>(entryPath(name, id), jsonBody("PATCH", change)),
    setStatus: (name, id, change) =>
      connection.json<RegisterEntry>(`${entryPath(name, id)}/status`, jsonBody("POST", change)),
    async remove(name, id) {
      await connection.send(entryPath(name, id), { method: "DELETE" });
    },
    history: (name, id, { signal, ...page } = {}) =>
      listing<RegisterEvent>(connection, `${entryPath(name, id)}/history`, page, signal),
    async *export(name, format, signal) {
      yield* bodyOf(await connection.send(`${pathOf(name)}/export${query({ format })}`, { signal }), signal);
    },
    import: (name, text, format) =>
      connection.json(`${pathOf(name)}/import`, {
        method: "POST",
        headers: { "content-type": format === "csv" ? "text/csv" : "application/json" },
        body: text,
      }),
  };
}
