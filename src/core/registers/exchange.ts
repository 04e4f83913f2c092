import { isoTime } from "../clock.ts";
import { AppError, type DetailValue } from "../errors.ts";
import { csvLine, readCsv, withoutGuard } from "./csv.ts";
import { type Declaration, fieldName, RESERVED } from "./declaration.ts";
import type { Entry } from "./entry.ts";

/** Registers as files: what is exported can be imported again. */
export const EXCHANGE_FORMATS = ["csv", "json"] as const;
export type ExchangeFormat = (typeof EXCHANGE_FORMATS)[number];

/** Most entries in one import: they are made all at once. */
const MOST_ENTRIES = 100_000;

/** What an entry is beside its fields; a field called `id` leaves that name to itself. */
const facts = ({ id, status, version, attempts, reason, owner, createdAt, updatedAt }: Entry) => ({
  before: { id },
  after: {
    status,
    version,
    attempts,
    reason,
    owner,
    createdAt: isoTime(createdAt),
    updatedAt: isoTime(updatedAt),
  },
});

/** An entry as one flat object: its id, its fields in order, the rest. */
export function flatEntry({ fieldNames }: Declaration, entry: Entry): Readonly<Record<string, DetailValue>> {
  const { before, after } = facts(entry);
  const fields = Object.fromEntries(fieldNames.map((name) => [name, entry.fields[name] ?? null]));
  return { ...before, ...fields, ...after };
}

/** The file, piece by piece. */
export async function* exported(
  declaration: Declaration,
  entries: AsyncIterable<Entry>,
  format: ExchangeFormat,
): AsyncGenerator<string> {
  if (format === "json") {
    let isFirst = true;
    for await (const entry of entries) {
      yield `${isFirst ? "[\n" : ",\n"}${JSON.stringify(flatEntry(declaration, entry))}`;
      isFirst = false;
    }
    yield isFirst ? "[]\n" : "\n]\n";
    return;
  }
  const names = [...new Set(["id", ...declaration.fieldNames, ...RESERVED.filter((name) => name !== "from")])];
  yield csvLine(names);
  for await (const entry of entries) {
    const flat = flatEntry(declaration, entry);
    yield csvLine(names.map((name) => cellText(flat[name] ?? null)));
  }
}

function cellText(value: DetailValue): string {
  if (value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

export interface ImportedEntry {
  /** Of the file, from 1; of JSON, the place in the list. */
  readonly line: number;
  readonly sent: Readonly<Record<string, DetailValue>>;
}

/** What only the register itself decides is passed over, so that an export can be imported. */
const DECIDED: readonly string[] = RESERVED.filter((name) => name !== "status");

/** @throws AppError request_invalid: no such file; entry_invalid with `details.problems`: columns that are no fields. */
export function imported(declaration: Declaration, text: string, format: ExchangeFormat): readonly ImportedEntry[] {
  const entries = format === "csv" ? fromCsv(declaration, text) : fromJsonText(declaration, text);
  if (entries.length > MOST_ENTRIES)
    throw new AppError("request_invalid", { expected: `at most ${MOST_ENTRIES} entries`, found: entries.length });
  return entries;
}

function fromCsv(declaration: Declaration, text: string): readonly ImportedEntry[] {
  const [head, ...records] = readCsv(text);
  if (!head) throw new AppError("request_invalid", { expected: "a first line with the names of fields" });
  const problems = head.cells
    .filter((name) => !isColumn(declaration, name))
    .map((name) => ({ line: head.line, field: name, message: "there is no field of this name" }));
  for (const { line, cells } of records)
    if (cells.length !== head.cells.length)
      problems.push({ line, field: "", message: `expected ${head.cells.length} cells, found ${cells.length}` });
  if (problems.length > 0)
    throw new AppError("entry_invalid", { reason: problems[0]?.message ?? "", problems: problems.slice(0, 100) });
  return records.map(({ line, cells }) => ({
    line,
    sent: Object.fromEntries(
      head.cells.flatMap((name, at) => {
        const cell = withoutGuard(cells[at] ?? "");
        return cell === "" || !isKept(declaration, name) ? [] : [[name, cell]];
      }),
    ),
  }));
}

function fromJsonText(declaration: Declaration, text: string): readonly ImportedEntry[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AppError("request_invalid", { expected: "JSON", reason: (cause as Error).message }, { cause });
  }
  if (!Array.isArray(value)) throw new AppError("request_invalid", { expected: "a list of objects" });
  return value.map((one: unknown, at) => {
    if (typeof one !== "object" || one === null || Array.isArray(one))
      throw new AppError("request_invalid", { at, expected: "an object" });
    const kept = Object.entries(one).filter(([name, given]) => given !== null && isKept(declaration, name));
    return { line: at + 1, sent: Object.fromEntries(kept) };
  });
}

const isOwnId = (declaration: Declaration, name: string) => name === "id" && !Object.hasOwn(declaration.fields, name);
const isColumn = (declaration: Declaration, name: string) =>
  fieldName(declaration, name) !== undefined ||
  isOwnId(declaration, name) ||
  (RESERVED as readonly string[]).includes(name);
const isKept = (declaration: Declaration, name: string) => !DECIDED.includes(name) && !isOwnId(declaration, name);
