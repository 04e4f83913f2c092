import { type ArchiveDigestName, type DigestName, type Digests, digestLength, digestName } from "../digest.ts";
import { CONTENT_FOLDER, INVENTORY_TYPE, VERSION } from "./ocfl.ts";

/** An inventory as read back. Only what Longshore relies on. */
export interface Inventory {
  readonly id: string;
  readonly digestAlgorithm: ArchiveDigestName;
  /** Of the only version; epoch milliseconds. */
  readonly createdAt: number;
  readonly user: string | undefined;
  /** Content path (relative to the object, and inside it) → digest. */
  readonly content: ReadonlyMap<string, string>;
  /** Logical path → digest. */
  readonly state: ReadonlyMap<string, string>;
  /** Content path → further digests. */
  readonly fixity: ReadonlyMap<string, Digests>;
}

/** Told of each fault: what was found, and what was expected in its place. */
export type OnFault = (found: string, expected: string) => void;

/**
 * Reads an inventory and holds it against OCFL 1.1 §3.5, as far as Longshore writes it: one version. An entry at fault
 * is left out of the result, so nobody is led to a file outside the object.
 * @returns `undefined` when nothing can be made of it; `onFault` has been told why.
 */
export function readInventory(text: string, onFault: OnFault): Inventory | undefined {
  const inventory = record(parseJson(text));
  if (!inventory) return nothing(onFault, "no JSON object", "an inventory in JSON");
  const { id, type, digestAlgorithm, head, contentDirectory = "content", manifest, versions, fixity = {} } = inventory;
  if (typeof id !== "string") return nothing(onFault, `id ${shown(id)}`, "an id");
  if (type !== INVENTORY_TYPE) onFault(`type ${shown(type)}`, `type ${INVENTORY_TYPE}`);
  if (digestAlgorithm !== "sha512" && digestAlgorithm !== "sha256")
    return nothing(onFault, `digestAlgorithm ${shown(digestAlgorithm)}`, "sha512 or sha256");
  if (head !== VERSION) onFault(`head ${shown(head)}`, `head ${VERSION}`);
  if (contentDirectory !== "content") onFault(`contentDirectory ${shown(contentDirectory)}`, "content");
  const names = Object.keys(record(versions) ?? {});
  const version = record(record(versions)?.[VERSION]);
  if (!version || names.length > 1) onFault(`versions ${names.join(", ") || "none"}`, VERSION);
  const createdAt = Date.parse(String(version?.created));
  if (Number.isNaN(createdAt)) onFault(`created ${shown(version?.created)}`, "a time");

  const content = block(manifest, "manifest", digestAlgorithm, contentPathFault, onFault);
  const state = block(version?.state, "state", digestAlgorithm, logicalPathFault, onFault);
  const [stored, used] = [new Set(content.values()), new Set(state.values())];
  for (const [path, digest] of state)
    if (!stored.has(digest)) onFault(`state: ${path}`, `its digest ${digest} in the manifest`);
  for (const [path, digest] of content)
    if (!used.has(digest)) onFault(`manifest: ${path}`, `its digest ${digest} in the state`);
  for (const [name, paths] of [["manifest", content] as const, ["state", state] as const])
    clashes(name, paths, onFault);
  const user = record(version?.user)?.name;
  return {
    id,
    digestAlgorithm,
    createdAt,
    user: typeof user === "string" ? user : undefined,
    content,
    state,
    fixity: readFixity(fixity, content, onFault),
  };
}

function readFixity(fixity: unknown, content: ReadonlyMap<string, string>, onFault: OnFault): Map<string, Digests> {
  const further = new Map<string, Partial<Record<DigestName, string>>>();
  for (const [spelled, paths] of Object.entries(record(fixity) ?? {})) {
    const algorithm = digestName(spelled);
    if (!algorithm) {
      onFault(`fixity: ${spelled}`, "an algorithm that can be checked");
      continue;
    }
    for (const [path, digest] of block(paths, `fixity of ${spelled}`, algorithm, contentPathFault, onFault)) {
      if (!content.has(path)) onFault(`fixity of ${spelled}: ${path}`, "a path of the manifest");
      else further.set(path, Object.assign(further.get(path) ?? {}, { [algorithm]: digest }));
    }
  }
  return further;
}

/** A block `digest → paths` turned round. Digests may be upper case (OCFL 1.1 §3.4): lower case here. */
function block(
  value: unknown,
  name: string,
  algorithm: DigestName,
  pathFault: (path: string) => string | undefined,
  onFault: OnFault,
): Map<string, string> {
  const paths = new Map<string, string>();
  const digests = new Set<string>();
  const entries = record(value);
  if (!entries) onFault(`${name} ${shown(value)}`, "an object of digests");
  const form = new RegExp(`^[0-9a-f]{${digestLength(algorithm)}}$`);
  for (const [spelled, list] of Object.entries(entries ?? {})) {
    const digest = spelled.toLowerCase();
    if (!form.test(digest)) onFault(`${name}: ${spelled.slice(0, 200)}`, `a digest of ${algorithm}`);
    else if (digests.has(digest)) onFault(`${name}: ${spelled} twice`, "each digest once");
    else if (!isTexts(list)) onFault(`${name}: ${digest} with ${shown(list)}`, "a list of paths");
    else
      for (const path of list) {
        const expected = pathFault(path) ?? (paths.has(path) ? "each path once" : undefined);
        if (expected === undefined) paths.set(path, digest);
        else onFault(`${name}: ${path}`, expected);
      }
    digests.add(digest);
  }
  return paths;
}

/** OCFL 1.1 §3.5.2: paths do not climb; and with a single version there is one folder they can be in. */
function contentPathFault(path: string): string | undefined {
  return logicalPathFault(path) ?? (path.startsWith(`${CONTENT_FOLDER}/`) ? undefined : `a path in ${CONTENT_FOLDER}`);
}

/** OCFL 1.1 §3.5.3.1. */
function logicalPathFault(path: string): string | undefined {
  const climbs = path.includes("\0") || path.split("/").some((part) => part === "" || part === "." || part === "..");
  return climbs ? "a relative path without empty or dot parts" : undefined;
}

/** A path that is a file and the folder of another file (OCFL 1.1 §3.5.2, §3.5.3.1). */
function clashes(name: string, paths: ReadonlyMap<string, string>, onFault: OnFault): void {
  for (const path of paths.keys())
    for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1))
      if (paths.has(path.slice(0, slash))) onFault(`${name}: ${path}`, `no file ${path.slice(0, slash)}`);
}

function nothing(onFault: OnFault, found: string, expected: string): undefined {
  onFault(found, expected);
}

function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function shown(value: unknown): string {
  return value === undefined ? "missing" : JSON.stringify(value).slice(0, 200);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
