import { type DigestName, digestLength, digestName } from "../digest.ts";
import { AppError, type Problem, problem } from "../errors.ts";
import { jsonArrayElements } from "./bundle/json-array.ts";
import { logicalName } from "./bundle/logical-name.ts";
import { timeText } from "./time-text.ts";

/** One file as the depositor declares it. */
export interface DeclaredFile {
  /** Logical path: `data/` and the clipped `subdir/name`. */
  readonly path: string;
  readonly sizeBytes: number | null;
  readonly mediaType: string | null;
  readonly digest: { readonly algorithm: DigestName; readonly value: string };
  /** ISO 8601 UTC where it could be read as a time, else as it was sent. */
  readonly modifiedAt: string | null;
  readonly changedAt: string | null;
  /** Only in a move: where the file lies on the server. */
  readonly source: string | null;
}

/** What `metadata.txt` says, in our words. */
export interface BundleMetadata {
  readonly submitter: string | null;
  readonly project: string | null;
  readonly instrument: string | null;
  readonly keyValues: readonly { readonly key: string; readonly value: string }[];
  /** In document order: file ids follow it. */
  readonly files: readonly DeclaredFile[];
}

const MAX_PROBLEMS = 1_000;
/** What is read of a document is kept in memory until the job is over, so the document itself must be bounded. */
const MAX_DOCUMENT_BYTES = 512 * 1024 ** 2;

/** The object names Pacifica gives to what a transaction must say of itself. */
const TRANSACTION_FIELDS = {
  "Transactions.submitter": "submitter",
  "Transactions.project": "project",
  "Transactions.proposal": "project",
  "Transactions.instrument": "instrument",
} as const;

/**
 * Reads a Pacifica metadata document: one JSON array of flat objects, each with a `destinationTable`. Objects of other
 * tables, and fields we do not know, are kept in the document and otherwise let be: wizards add their own.
 *
 * @param wanted `move`: every file must also name its `source`.
 * @returns what it declares and everything that is wrong with it.
 * @throws AppError metadata_not_json, metadata_invalid (not an array, too large).
 */
export async function readMetadata(
  document: AsyncIterable<Uint8Array>,
  wanted: "bundle" | "move",
): Promise<{ readonly metadata: BundleMetadata; readonly problems: readonly Problem[] }> {
  const problems: Problem[] = [];
  const transaction: Record<"submitter" | "project" | "instrument", string | null> = {
    submitter: null,
    project: null,
    instrument: null,
  };
  const keyValues: { key: string; value: string }[] = [];
  const files: DeclaredFile[] = [];
  const paths = new Set<string>();
  /** Files have few different types: each is kept in memory once. */
  const mediaTypes = new Map<string, string>();
  const object = (found: Problem) => {
    if (problems.length < MAX_PROBLEMS) problems.push(found);
  };

  let index = 0;
  for await (const element of jsonArrayElements(bounded(document))) {
    const at = `object ${index++}`;
    if (!isRecord(element)) {
      object(problem("metadata_invalid", { path: at, expected: "an object", found: kindOf(element) }));
      continue;
    }
    const table = element.destinationTable;
    if (typeof table !== "string") {
      object(problem("metadata_invalid", { path: at, expected: "a destinationTable", found: kindOf(table) }));
    } else if (hasNul(element)) {
      object(problem("metadata_invalid", { path: `${at}, ${table}`, expected: "text", found: "the character U+0000" }));
    } else if (Object.hasOwn(TRANSACTION_FIELDS, table)) {
      const field = TRANSACTION_FIELDS[table as keyof typeof TRANSACTION_FIELDS];
      const value = scalar(element.value);
      if (value === null)
        object(problem("metadata_invalid", { path: table, expected: "a value", found: kindOf(element.value) }));
      else if (transaction[field] !== null && transaction[field] !== value)
        object(
          problem("metadata_invalid", { path: table, expected: `one value, ${transaction[field]}`, found: value }),
        );
      else transaction[field] = value;
    } else if (table === "TransactionKeyValue") {
      const key = scalar(element.key);
      const value = scalar(element.value);
      if (key === null || value === null)
        object(problem("metadata_invalid", { path: `${at}, ${table}`, expected: "a key and a value" }));
      else keyValues.push({ key, value });
    } else if (table === "Files") {
      const file = declaredFile(element, at, wanted);
      if (!("path" in file)) object(file.problem);
      else if (paths.has(file.path)) object(problem("file_duplicate", { path: file.path }));
      else {
        paths.add(file.path);
        files.push({ ...file, mediaType: kept(mediaTypes, file.mediaType) });
      }
    }
  }
  return { metadata: { ...transaction, keyValues, files }, problems };
}

/** The first of all equal texts. */
function kept<T extends string | null>(texts: Map<string, string>, text: T): T | string {
  if (text === null) return text;
  const first = texts.get(text) ?? text;
  texts.set(text, first);
  return first;
}

async function* bounded(document: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of document) {
    bytes += chunk.length;
    if (bytes > MAX_DOCUMENT_BYTES)
      throw new AppError("metadata_invalid", { expected: `at most ${MAX_DOCUMENT_BYTES} bytes`, found: "more" });
    yield chunk;
  }
}

/**
 * The logical path of a Files object, as Pacifica finds it: `subdir/name` with empty parts and one leading `data` dropped,
 * then `data/` put before it.
 */
export function declaredPath(subdir: string, name: string): string | undefined {
  return logicalName(`data/${clipped(`${subdir}/${name}`)}`);
}

/** A `subdir` without empty parts and without one leading `data`. */
export function clipped(path: string): string {
  const parts = path.split("/").filter((part) => part !== "");
  return (parts[0] === "data" ? parts.slice(1) : parts).join("/");
}

function declaredFile(
  element: Readonly<Record<string, unknown>>,
  at: string,
  wanted: "bundle" | "move",
): DeclaredFile | { readonly problem: Problem } {
  const name = element.name;
  const subdir = element.subdir ?? "";
  const refuse = (path: string, expected: string, found: unknown) => ({
    problem: problem("metadata_invalid", { path, expected, found: shown(found) }),
  });
  if (typeof name !== "string" || name === "") return refuse(at, "a Files object with a name", name);
  if (typeof subdir !== "string") return refuse(`${at}, ${name}`, "subdir as text", subdir);
  const path = declaredPath(subdir, name);
  if (path === undefined || path === "data" || name.endsWith("/"))
    return { problem: problem("bundle_name_unsafe", { path: `${subdir}/${name}` }) };

  const hashtype = element.hashtype;
  if (typeof hashtype !== "string") return refuse(path, "hashtype, such as sha1", hashtype);
  const algorithm = digestName(hashtype);
  if (!algorithm) return { problem: problem("digest_unknown", { path, found: hashtype }) };
  const hashsum = element.hashsum;
  if (typeof hashsum !== "string") return refuse(path, "hashsum as hex digits", hashsum);
  // Clients write `sha1:<hex>` for any algorithm as well as plain hex.
  const value = hashsum.replace(/^[\w-]+:/, "").toLowerCase();
  if (!/^[0-9a-f]*$/.test(value) || value.length !== digestLength(algorithm))
    return refuse(path, `hashsum of ${digestLength(algorithm)} hex digits for ${algorithm}`, hashsum);

  const size = element.size ?? null;
  const sizeBytes = typeof size === "string" && /^\d+$/.test(size) ? Number(size) : size;
  if (sizeBytes !== null && !(Number.isSafeInteger(sizeBytes) && Number(sizeBytes) >= 0))
    return refuse(path, "size as a number of bytes", size);
  const source = element.source ?? null;
  if (wanted === "move" && (typeof source !== "string" || !source.startsWith("/")))
    return refuse(path, "source as an absolute path", source);
  return {
    path,
    sizeBytes: sizeBytes === null ? null : Number(sizeBytes),
    mediaType: textOrNull(element.mimetype),
    digest: { algorithm, value },
    modifiedAt: timeOrNull(element.mtime),
    changedAt: timeOrNull(element.ctime),
    source: wanted === "move" ? textOrNull(source) : null,
  };
}

function timeOrNull(value: unknown): string | null {
  const text = scalar(value);
  return text === null || text === "" ? null : timeText(text);
}

/** Text with U+0000 is text to JSON, but not to databases and other programs. */
function hasNul(element: Readonly<Record<string, unknown>>): boolean {
  return Object.values(element).some((value) => typeof value === "string" && value.includes("\0"));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Text and numbers as text; everything else is no value. */
function scalar(value: unknown): string | null {
  return typeof value === "string"
    ? value
    : typeof value === "number" || typeof value === "boolean"
      ? String(value)
      : null;
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  return value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
}

function shown(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value).slice(0, 200) : kindOf(value);
}
