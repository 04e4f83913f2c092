import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** A value of a stand-in's table: `number` texts keep their digits as PostgreSQL would. */
export type Value = string | number | boolean | null | { readonly digits: string } | { readonly json: unknown };
export interface Column {
  readonly id: string;
  readonly type: string;
}

export interface CkanTable {
  /** Without `_id`, which every table of CKAN's has first. */
  readonly columns: readonly Column[];
  readonly rowCount: number;
  /** Values of the row whose `_id` is `id`, 1-based. */
  row(id: number): readonly Value[];
  /** `_id`s in order, where they have gaps. */
  idAt?(index: number): number;
  /** Needs this key. */
  readonly key?: string;
}

export interface CkanRequest {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Readonly<Record<string, unknown>>;
}

export interface CkanOptions {
  /** 2.9 to 2.11 have offsets only and refuse ranges in filters; 2.12 and later have them. */
  readonly version?: "2.9" | "2.11" | "2.12";
  readonly backend?: "solr" | "versioned-datastore";
  readonly rowsMax?: number;
  readonly tables: Readonly<Record<string, CkanTable>>;
  /** Passes over ranges in filters without a word. */
  readonly ignoresRanges?: boolean;
  /** Says another total than there is, or that it is a guess. */
  readonly total?: (real: number) => number;
  readonly estimates?: boolean;
  /** May answer in the portal's place; `true` when it has. `n` counts requests from 1. */
  readonly fault?: (n: number, request: CkanRequest, response: ServerResponse) => boolean | Promise<boolean>;
}

export interface Ckan {
  readonly origin: string;
  readonly apiUrl: string;
  readonly requests: CkanRequest[];
  close(): Promise<void>;
}

/** What CKAN's datastore knows of a search; any other key is refused (`__extras`). */
const KNOWN = [
  ..."resource_id id filters q full_text distinct plain language limit offset fields sort include_total".split(" "),
  ..."records_format total_estimation_threshold include_next_page".split(" "),
];

/**
 * CKAN's `datastore_search` as its versions answer it, on this machine. Rows are made when they are asked for, so a table
 * may have millions.
 *
 * Without a sort the order changes from request to request, which PostgreSQL is free to do. Objects lose themselves in a
 * column called `j`, as in CKAN up to 2.11.
 */
export async function ckan(options: CkanOptions): Promise<Ckan> {
  const requests: CkanRequest[] = [];
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });

  async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = incoming.url ?? "";
    const body = JSON.parse((await text(incoming)) || "{}");
    const request = { path, headers: incoming.headers, body };
    requests.push(request);
    if (options.fault && (await options.fault(requests.length, request, response))) return;
    if (!path.endsWith("/datastore_search"))
      return fail(response, 404, { __type: "Not Found Error", message: "Not found" });
    search(request, response);
  }

  function search({ headers, body }: CkanRequest, response: ServerResponse): unknown {
    const { backend, version = "2.11", rowsMax = 32_000 } = options;
    const extras = Object.keys(body).filter((key) => !backend && !KNOWN.includes(key));
    if (extras.length > 0)
      return fail(response, 409, { __type: "Validation Error", __extras: [`invalid value "${extras.join()}"`] });
    const table = options.tables[String(body.resource_id)];
    if (!table)
      return fail(response, 404, { __type: "Not Found Error", message: "Not found: Resource was not found." });
    if (table.key !== undefined && headers.authorization !== table.key)
      return fail(response, 403, { __type: "Authorization Error", message: "Access denied: not authorized to read" });

    const filters = (body.filters ?? {}) as Readonly<Record<string, unknown>>;
    const range = (filters._id as { gt?: number } | undefined)?.gt;
    if (range !== undefined && version !== "2.12" && !options.ignoresRanges)
      return fail(response, 409, { __type: "Validation Error", filters: ["invalid filter"] });

    const asked = typeof body.fields === "string" ? body.fields.split(",").map((id) => id.trim()) : undefined;
    const all: Column[] = [{ id: "_id", type: "int" }, ...table.columns];
    const columns = asked ? asked.flatMap((id) => all.find((column) => column.id === id) ?? []) : all;
    const ids = matching(table, filters, all, options.ignoresRanges ? undefined : range);
    const total = options.total ? options.total(ids.count) : ids.count;
    const limit = Math.min(typeof body.limit === "number" ? body.limit : 100, rowsMax);
    const from =
      backend === "solr" && body.cursor !== undefined
        ? Number(body.cursor === "*" ? 0 : body.cursor)
        : backend === "versioned-datastore" && Array.isArray(body.after)
          ? Number(body.after[0])
          : Number(body.offset ?? 0);
    const isSorted = body.sort !== undefined || backend !== undefined;
    const order = orderOf(table, ids, all, typeof body.sort === "string" ? body.sort : undefined);
    // Nobody promised an order: begin somewhere else each time.
    const shift = isSorted ? 0 : requests.length * 7;
    const rows: number[] = [];
    for (let at = from; at < Math.min(from + limit, ids.count); at++) rows.push(order((at + shift) % ids.count));

    const format = backend ? "objects" : String(body.records_format ?? "objects");
    const indexes = columns.map((column) => all.findIndex(({ id }) => id === column.id));
    const cells = (id: number) => {
      const row = [id, ...table.row(id)];
      return indexes.map((index) => row[index] ?? null);
    };
    const head: Record<string, unknown> = {
      resource_id: body.resource_id,
      fields: columns,
      records_format: format,
      limit,
      ...(body.include_total === false ? {} : { total, total_was_estimated: options.estimates ?? false }),
      ...(backend ? { _backend: backend } : {}),
      ...(backend === "solr" && body.cursor !== undefined
        ? { next_cursor: String(Math.min(from + limit, ids.count)) }
        : {}),
      ...(backend === "versioned-datastore" ? { after: rows.length > 0 ? [from + rows.length] : null } : {}),
    };
    response.writeHead(200, { "content-type": "application/json;charset=utf-8" });
    response.end(
      `{"help":"","success":true,"result":{${JSON.stringify(head).slice(1, -1)},"records":${recordsText(rows, columns, cells, format, version)}}}`,
    );
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    apiUrl: `${origin}/api/action/datastore_search`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** CKAN's error envelope. */
export function fail(response: ServerResponse, status: number, error: Readonly<Record<string, unknown>>): void {
  response.writeHead(status, { "content-type": "application/json;charset=utf-8" });
  response.end(JSON.stringify({ help: "", success: false, error }));
}

interface Ids {
  readonly count: number;
  at(index: number): number;
}

function matching(
  table: CkanTable,
  filters: Readonly<Record<string, unknown>>,
  columns: readonly Column[],
  above: number | undefined,
): Ids {
  const idAt = table.idAt ?? ((index: number) => index + 1);
  const equal = Object.entries(filters).filter(([, value]) => typeof value !== "object" || Array.isArray(value));
  if (equal.length === 0) {
    let first = 0;
    if (above !== undefined)
      for (let [low, high] = [0, table.rowCount]; low < high; first = low) {
        const middle = (low + high) >> 1;
        if (idAt(middle) <= above) low = middle + 1;
        else high = middle;
      }
    return { count: table.rowCount - first, at: (index) => idAt(index + first) };
  }
  const found: number[] = [];
  for (let index = 0; index < table.rowCount; index++) {
    const id = idAt(index);
    const row = [id, ...table.row(id)];
    const fits = equal.every(([name, wanted]) => {
      const value = row[columns.findIndex((column) => column.id === name)];
      return (Array.isArray(wanted) ? wanted : [wanted]).some((one) => one === value);
    });
    if (fits && (above === undefined || id > above)) found.push(id);
  }
  return { count: found.length, at: (index) => found[index] ?? 0 };
}

/** By one column and then by `_id`, either way round. */
function orderOf(table: CkanTable, ids: Ids, columns: readonly Column[], sort: string | undefined): Ids["at"] {
  const [name = "_id", direction = "asc"] = (sort ?? "_id").split(",")[0]?.trim().split(/\s+/) ?? [];
  if (name === "_id") return direction === "desc" ? (index) => ids.at(ids.count - 1 - index) : ids.at;
  const column = columns.findIndex(({ id }) => id === name);
  const sign = direction === "desc" ? -1 : 1;
  const sorted = Array.from({ length: ids.count }, (_, index) => ids.at(index)).sort((a, b) => {
    const [left, right] = [String([a, ...table.row(a)][column]), String([b, ...table.row(b)][column])];
    return left === right ? a - b : sign * (left < right ? -1 : 1);
  });
  return (index) => sorted[index] ?? 0;
}

function recordsText(
  ids: readonly number[],
  columns: readonly Column[],
  cells: (id: number) => readonly Value[],
  format: string,
  version: string,
): string {
  if (format === "csv") return JSON.stringify(ids.map((id) => `${cells(id).map(copyText).join(",")}\n`).join(""));
  if (format === "lists") return `[${ids.map((id) => `[${cells(id).map(jsonText).join(",")}]`).join(",")}]`;
  const names = columns.map(({ id }) => JSON.stringify(id));
  const j = version === "2.12" ? -1 : columns.findIndex(({ id }) => id === "j");
  const objects = ids.map((id) => {
    const values = cells(id).map(jsonText);
    return j >= 0 ? (values[j] ?? "null") : `{${values.map((value, at) => `${names[at]}:${value}`).join(",")}}`;
  });
  return `[${objects.join(",")}]`;
}

function jsonText(value: Value): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return "digits" in value ? value.digits : JSON.stringify(value.json);
}

/** PostgreSQL's COPY … WITH CSV: quoted where it must be, an empty text always, null never. */
function copyText(value: Value): string {
  if (value === null) return "";
  if (typeof value === "boolean") return value ? "t" : "f";
  if (typeof value === "number") return String(value);
  if (typeof value === "object") return "digits" in value ? value.digits : quoted(JSON.stringify(value.json));
  return value === "" ? '""' : quoted(value);
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) || text === "\\." ? `"${text.replaceAll('"', '""')}"` : text;
}
