import { hash } from "node:crypto";
import type { ArchiveDigestName, DigestName, Digests } from "../digest.ts";
import { AppError } from "../errors.ts";
import type { TransactionId } from "../ids.ts";

/**
 * The Oxford Common File Layout 1.1, as far as Longshore writes it: one object per transaction, one version per object.
 * This file computes every path and every file of the layout. Specification: https://ocfl.io/1.1/spec/.
 */
export const ROOT_DECLARATION = { path: "0=ocfl_1.1", text: "ocfl_1.1\n" } as const;
export const OBJECT_DECLARATION = { path: "0=ocfl_object_1.1", text: "ocfl_object_1.1\n" } as const;
export const INVENTORY = "inventory.json";
export const VERSION_INVENTORY = "v1/inventory.json";
export const CONTENT_FOLDER = "v1/content";

const LAYOUT_EXTENSION = "0004-hashed-n-tuple-storage-layout";
const INVENTORY_TYPE = "https://ocfl.io/1.1/spec/#inventory";

/** OCFL 1.1 §3.5.1: the sidecar of an inventory names its digest algorithm. */
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

export const objectId = (transaction: TransactionId) => `longshore:transaction:${transaction}`;

/** The transaction an object id names, if it is one of ours. */
export function transactionOfObject(id: string): number | undefined {
  const digits = /^longshore:transaction:([1-9]\d*)$/.exec(id)?.[1];
  return digits === undefined ? undefined : Number(digits);
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
  /** Holds the archive's algorithm; all others go to the fixity block. */
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
 */
export function* inventoryText(head: InventoryHead, entries: readonly InventoryEntry[]): Generator<string> {
  const fixity = [...new Set(entries.flatMap(({ digests }) => Object.keys(digests) as DigestName[]))]
    .filter((name) => name !== head.algorithm)
    .sort();
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

/** `"digest": ["path", …]` for each different digest, in order of first appearance. */
function* digestBlock(
  entries: readonly InventoryEntry[],
  algorithm: DigestName,
  pathOf: (entry: InventoryEntry) => string,
  indent: string,
): Generator<string> {
  const groups = new Map<string, InventoryEntry | InventoryEntry[]>();
  for (const entry of entries) {
    const digest = entry.digests[algorithm];
    if (digest === undefined) continue;
    const group = groups.get(digest);
    if (group === undefined) groups.set(digest, entry);
    else if (Array.isArray(group)) group.push(entry);
    else groups.set(digest, [group, entry]);
  }
  let comma = "";
  for (const [digest, group] of groups) {
    const paths = (Array.isArray(group) ? group : [group]).map((entry) => json1(pathOf(entry)));
    yield `${comma}\n${indent}${json1(digest)}: [${paths.join(", ")}]`;
    comma = ",";
  }
}

/** An inventory as read back. Only what Longshore relies on. */
export interface Inventory {
  readonly id: string;
  readonly digestAlgorithm: ArchiveDigestName;
  /** Content path (relative to the object) → digest. */
  readonly content: ReadonlyMap<string, string>;
  /** Logical path → digest. */
  readonly state: ReadonlyMap<string, string>;
  /** Content path → further digests. */
  readonly fixity: ReadonlyMap<string, Digests>;
}

/** @throws AppError object_corrupt, naming what is not as OCFL 1.1 §3.5 wants it. */
export function readInventory(text: string, where: string): Inventory {
  const fail = (found: string): never => {
    throw new AppError("object_corrupt", { path: where, found });
  };
  const parsed = parseJson(text) ?? fail("an inventory that is not JSON");
  const { id, type, digestAlgorithm, head, manifest, versions, fixity } = record(parsed);
  if (typeof id !== "string") return fail("an inventory without an id");
  if (type !== INVENTORY_TYPE) return fail(`inventory type ${String(type)}`);
  if (digestAlgorithm !== "sha512" && digestAlgorithm !== "sha256")
    return fail(`digest algorithm ${String(digestAlgorithm)}`);
  const state = record(record(versions)[String(head)]).state;
  if (state === undefined) return fail(`no state for head ${String(head)}`);

  const content = pathsOf(manifest, (digest) => fail(`manifest entry ${digest} is not a list of paths`));
  const logical = pathsOf(state, (digest) => fail(`state entry ${digest} is not a list of paths`));
  const known = new Set(content.values());
  for (const [path, digest] of logical)
    if (!known.has(digest)) fail(`state of ${path} names a digest the manifest lacks`);

  const further = new Map<string, Record<string, string>>();
  for (const [algorithm, block] of Object.entries(record(fixity)))
    for (const [path, digest] of pathsOf(block, () => fail(`fixity block ${algorithm} is not a list of paths`)))
      further.set(path, { ...further.get(path), [algorithm]: digest });
  return { id, digestAlgorithm, content, state: logical, fixity: further };
}

/** Digests in inventories may be upper case (OCFL 1.1 §3.5.1): lower case here. */
function pathsOf(block: unknown, fail: (digest: string) => never): Map<string, string> {
  const paths = new Map<string, string>();
  for (const [digest, list] of Object.entries(record(block))) {
    if (!Array.isArray(list) || list.some((path) => typeof path !== "string")) fail(digest);
    else for (const path of list) paths.set(path, digest.toLowerCase());
  }
  return paths;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
const json1 = (value: string) => JSON.stringify(value);
