import { hash } from "node:crypto";
import type { ArchiveDigestName, DigestName, Digests } from "../digest.ts";
import { type TransactionId, transactionId } from "../ids.ts";

/**
 * The Oxford Common File Layout 1.1, as far as Longshore writes it: one object per transaction, one version per object.
 * This file computes every path and every file of the layout. Specification: https://ocfl.io/1.1/spec/.
 */
export const ROOT_DECLARATION = { path: "0=ocfl_1.1", text: "ocfl_1.1\n" } as const;
export const OBJECT_DECLARATION = { path: "0=ocfl_object_1.1", text: "ocfl_object_1.1\n" } as const;
export const INVENTORY = "inventory.json";
/** The only version of every object. */
export const VERSION = "v1";
export const VERSION_INVENTORY = `${VERSION}/${INVENTORY}`;
export const CONTENT_FOLDER = `${VERSION}/content`;

const LAYOUT_EXTENSION = "0004-hashed-n-tuple-storage-layout";
export const INVENTORY_TYPE = "https://ocfl.io/1.1/spec/#inventory";

/** OCFL 1.1 §3.4: what a fixity block may name. Digests by other algorithms are kept in the transaction document only. */
const FIXITY_ALGORITHMS: ReadonlySet<string> = new Set<DigestName>(["blake2b-512", "md5", "sha1", "sha256", "sha512"]);

/** OCFL 1.1 §3.6: the sidecar of an inventory names its digest algorithm. */
export const sidecarOf = (inventory: string, algorithm: ArchiveDigestName) => `${inventory}.${algorithm}`;

/** The sidecar's text: digest, blanks, file name (OCFL 1.1 §3.6). */
export const sidecarText = (digest: string) => `${digest}  ${INVENTORY}\n`;

/** The files that make a folder an OCFL storage root (OCFL 1.1 §4.1) with layout extension 0004. */
export function rootFiles(): readonly { readonly path: string; readonly text: string }[] {
  const layout = {
    extension: LAYOUT_EXTENSION,
    description:
      "Object folders are three tuples of three characters of the SHA-256 of the object id, then the whole of it.",
  };
  const config = {
    extensionName: LAYOUT_EXTENSION,
    digestAlgorithm: "sha256",
    tupleSize: 3,
    numberOfTuples: 3,
    shortObjectRoot: false,
  };
  return [
    { path: `extensions/${LAYOUT_EXTENSION}/config.json`, text: json(config) },
    { path: "ocfl_layout.json", text: json(layout) },
    // Last: with it the folder is a storage root.
    ROOT_DECLARATION,
  ];
}

/** Whether a file of the root says what it must. The description in `ocfl_layout.json` is for people, and free. */
export function isRootFileText(path: string, text: string): boolean {
  const expected = rootFiles().find((file) => file.path === path)?.text;
  return expected !== undefined && facts(path, text) === facts(path, expected);
}

function facts(path: string, text: string): string {
  if (!path.endsWith(".json")) return text;
  try {
    const { description: _, ...rest } = JSON.parse(text);
    return JSON.stringify(Object.entries(rest).sort());
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return text;
    throw error;
  }
}

export const objectId = (transaction: TransactionId) => `longshore:transaction:${transaction}`;

/** The transaction an object id names, if it is one of ours. */
export function transactionOfObject(id: string): TransactionId | undefined {
  const number = Number(/^longshore:transaction:([1-9]\d*)$/.exec(id)?.[1]);
  return Number.isSafeInteger(number) ? transactionId(number) : undefined;
}

/** The object folder a path lies in by its form (extension 0004), if it has that form. */
export function objectFolderOf(path: string): string | undefined {
  return /^(?:[0-9a-f]{3}\/){3}[0-9a-f]{64}(?=\/)/.exec(path)?.[0];
}

/** Extension 0004: `abc/def/012/abcdef012…` of the id's SHA-256. */
export function objectPath(transaction: TransactionId): string {
  const digest = hash("sha256", objectId(transaction));
  return `${digest.slice(0, 3)}/${digest.slice(3, 6)}/${digest.slice(6, 9)}/${digest}`;
}

/** One file of an object's only version. */
export interface InventoryEntry {
  readonly logicalPath: string;
  readonly contentPath: string;
  /** Holds the archive's algorithm; of the others, those OCFL names go to the fixity block. */
  readonly digests: Digests;
}

export interface InventoryHead {
  readonly id: string;
  readonly algorithm: ArchiveDigestName;
  readonly createdAt: string;
  readonly message: string;
  readonly user: { readonly name: string; readonly address?: string };
}

/**
 * The text of an inventory (OCFL 1.1 §3.5), in pieces, so that a million files need no document in memory. Identical
 * content keeps every place it was written to: OCFL allows several content paths per digest.
 * @param entries gone through several times.
 */
export function* inventoryText(head: InventoryHead, entries: Iterable<InventoryEntry>): Generator<string> {
  const names = new Set<DigestName>();
  for (const { digests } of entries) for (const name in digests) names.add(name as DigestName);
  const fixity = [...names].filter((name) => name !== head.algorithm && FIXITY_ALGORITHMS.has(name)).sort();
  yield `{\n  "id": ${json1(head.id)},\n  "type": ${json1(INVENTORY_TYPE)},\n`;
  yield `  "digestAlgorithm": ${json1(head.algorithm)},\n  "head": "v1",\n  "contentDirectory": "content",\n`;
  if (fixity.length > 0) {
    yield '  "fixity": {\n';
    for (const [i, name] of fixity.entries()) {
      yield `    ${json1(name)}: {`;
      yield* digestBlock(entries, name, ({ contentPath }) => contentPath, "      ");
      yield `\n    }${i + 1 < fixity.length ? "," : ""}\n`;
    }
    yield "  },\n";
  }
  yield '  "manifest": {';
  yield* digestBlock(entries, head.algorithm, ({ contentPath }) => contentPath, "    ");
  yield '\n  },\n  "versions": {\n    "v1": {\n';
  yield `      "created": ${json1(head.createdAt)},\n      "message": ${json1(head.message)},\n`;
  yield `      "user": ${JSON.stringify(head.user)},\n      "state": {`;
  yield* digestBlock(entries, head.algorithm, ({ logicalPath }) => logicalPath, "        ");
  yield "\n      }\n    }\n  }\n}\n";
}

/**
 * `"digest": ["path", …]` for each different digest: first those of one file, then those that files share. Only the
 * latter are gathered, so memory is 8 bytes a file where contents differ, as they mostly do.
 */
function* digestBlock(
  entries: Iterable<InventoryEntry>,
  algorithm: DigestName,
  pathOf: (entry: InventoryEntry) => string,
  indent: string,
): Generator<string> {
  const shared = beginningsInCommon(entries, algorithm);
  const groups = new Map<string, string[]>();
  let comma = "";
  function* line(digest: string, paths: readonly string[]): Generator<string> {
    yield `${comma}\n${indent}${json1(digest)}: [${paths.map(json1).join(", ")}]`;
    comma = ",";
  }
  for (const entry of entries) {
    const digest = entry.digests[algorithm];
    if (digest === undefined) continue;
    if (!shared.has(beginning(digest))) yield* line(digest, [pathOf(entry)]);
    else if (!groups.get(digest)?.push(pathOf(entry))) groups.set(digest, [pathOf(entry)]);
  }
  for (const [digest, paths] of groups) yield* line(digest, paths);
}

/** A digest's first 48 bits: equal for equal digests, and hardly ever for others. */
const beginning = (digest: string) => Number.parseInt(digest.slice(0, 12), 16);

function beginningsInCommon(entries: Iterable<InventoryEntry>, algorithm: DigestName): ReadonlySet<number> {
  let count = 0;
  for (const { digests } of entries) if (digests[algorithm] !== undefined) count++;
  const sorted = new Float64Array(count);
  let at = 0;
  for (const { digests } of entries) {
    const digest = digests[algorithm];
    if (digest !== undefined) sorted[at++] = beginning(digest);
  }
  sorted.sort();
  return new Set(sorted.filter((value, i) => value === sorted[i - 1]));
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
const json1 = (value: string) => JSON.stringify(value);
