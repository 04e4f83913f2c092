import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { InvalidArgumentError } from "commander";
import {
  type CatalogueQuery,
  type ChosenFile,
  type ChosenTransaction,
  LongshoreError,
  type NewCart,
} from "../sdk/index.ts";
import { id } from "./command.ts";
import type { KeyValue } from "./put-metadata.ts";

/** The options that say which files go into a cart. */
export interface CartChoice {
  readonly file?: readonly ChosenFile[];
  readonly transaction?: readonly ChosenTransaction[];
  readonly query?: CatalogueQuery;
  readonly kv?: readonly KeyValue[];
  /** What `longshore search` finds. */
  readonly search?: string;
  /** A file of file ids; `-` for standard input. */
  readonly from?: string;
}

/** What can be asked for, as it is written after `--query`. */
const CONDITIONS = {
  submitter: "submitter",
  project: "project",
  instrument: "instrument",
  prefix: "prefix",
  "media-type": "mediaType",
  from: "from",
  until: "until",
} as const satisfies Readonly<Record<string, keyof CatalogueQuery>>;
export const CONDITION_NAMES = Object.keys(CONDITIONS).join(", ");

/** Parses `--file`: a number of this archive's; anything else is a name in a remote archive. */
export function collectFile(text: string, earlier: readonly ChosenFile[] = []): readonly ChosenFile[] {
  return [...earlier, fileOf(text)];
}

/** Parses `--transaction 12` and `--transaction 12:data/images/`. */
export function collectTransaction(
  text: string,
  earlier: readonly ChosenTransaction[] = [],
): readonly ChosenTransaction[] {
  const colon = text.indexOf(":");
  if (colon < 0) return [...earlier, id(text)];
  return [...earlier, { id: id(text.slice(0, colon)), prefix: text.slice(colon + 1) }];
}

/** Parses `--query key=value`. */
export function collectCondition(text: string, earlier: CatalogueQuery = {}): CatalogueQuery {
  const cut = text.indexOf("=");
  const name = text.slice(0, Math.max(0, cut));
  if (!isCondition(name))
    throw new InvalidArgumentError(`Expected key=value, the key being one of ${CONDITION_NAMES}.`);
  const [field, value] = [CONDITIONS[name], text.slice(cut + 1)];
  if (field !== "from" && field !== "until") return { ...earlier, [field]: value };
  const time = Date.parse(value);
  if (Number.isNaN(time)) throw new InvalidArgumentError("Expected a time such as 2026-11-30 or 2026-11-30T08:00Z.");
  return { ...earlier, [field]: new Date(time).toISOString() };
}

const isCondition = (name: string): name is keyof typeof CONDITIONS => Object.hasOwn(CONDITIONS, name);

/** Seconds of `90m`, `12h`, `7d` or `2w`; or the end of a day (UTC). */
export function expiry(text: string): number | string {
  const [, amount, unit] = /^([1-9]\d{0,5})([mhdw])$/.exec(text) ?? [];
  if (amount !== undefined)
    return Number(amount) * { m: 60, h: 3600, d: 86_400, w: 604_800 }[unit as "m" | "h" | "d" | "w"];
  const time = Date.parse(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T23:59:59Z` : text);
  if (Number.isNaN(time)) throw new InvalidArgumentError("Expected 12h, 7d, 2w or a date such as 2030-12-31.");
  return new Date(time).toISOString();
}

/** Everything that was chosen. @throws LongshoreError cart_empty, local_file_unusable, usage. */
export async function chosen({
  file = [],
  transaction = [],
  query,
  kv = [],
  search,
  from,
}: CartChoice): Promise<NewCart> {
  const files = from === undefined ? file : [...file, ...(await readIds(from))];
  const keyValues = Object.fromEntries(kv.map(({ key, value }) => [key, value]));
  if (files.length === 0 && transaction.length === 0 && !query && kv.length === 0 && search === undefined)
    throw new LongshoreError(
      "cart_empty",
      "Nothing is chosen: give --file, --transaction, --query, --kv, --search or --from.",
    );
  return {
    ...(files.length > 0 ? { files } : {}),
    ...(transaction.length > 0 ? { transactions: transaction } : {}),
    ...(search === undefined ? {} : { search }),
    ...(query || kv.length > 0 ? { query: { ...query, ...(kv.length > 0 ? { keyValues } : {}) } } : {}),
  };
}

/**
 * One file a line: its number, then if wanted a tab and its path in the download; or a line of JSON with an `id`, as
 * `longshore transactions files --json` prints it.
 */
async function readIds(from: string): Promise<readonly ChosenFile[]> {
  let list: string;
  try {
    // As a stream: read at once, a pipe whose other end is still thinking is EAGAIN.
    list = from === "-" ? await text(process.stdin) : await readFile(from, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new LongshoreError("local_file_unusable", `${from} cannot be read: ${reason}`, {
      details: { path: from },
      cause,
    });
  }
  return list.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const file = lineOf(line);
    if (file === undefined)
      throw new LongshoreError("usage", `Line ${index + 1} of ${from} names no file: ${line.slice(0, 200)}`, {
        details: { line: index + 1 },
      });
    return [file];
  });
}

function lineOf(line: string): ChosenFile | undefined {
  if (line.startsWith("{")) return jsonId(line);
  const [name = "", path = ""] = line.split("\t", 2).map((part) => part.trim());
  if (name === "") return undefined;
  const file = fileOf(name);
  return path === "" ? file : { id: file, path };
}

function jsonId(line: string): number | undefined {
  try {
    const { id } = JSON.parse(line);
    return typeof id === "number" ? id : undefined;
  } catch {
    return undefined; // reported with its line number
  }
}

const fileOf = (text: string) => (/^\d{1,15}$/.test(text) ? id(text) : text);
