import type { ChosenFile } from "../../core/carts/carts.ts";

/** What `POST /{uid}` asks for. */
export interface PacificaCartRequest {
  readonly files: Iterable<ChosenFile>;
  readonly isBundle: boolean;
}

interface FileId {
  readonly id: string | number;
  readonly path: string;
  readonly hashtype?: string | null;
  readonly hashsum?: string | null;
}

/**
 * Reads `{"fileids": [{"id", "path", "hashtype", "hashsum"}, …], "bundle"?}`. The original's code wants all four of each
 * file, its documentation shows the first two: a hash is checked when it is given.
 * @returns in words what is wrong with it, when something is.
 */
export function pacificaCartRequest(document: unknown): PacificaCartRequest | string {
  const { fileids, bundle = false } = isObject(document) ? document : {};
  if (!Array.isArray(fileids)) return "Expected a JSON object with a list of fileids.";
  if (typeof bundle !== "boolean") return "Expected true or false for bundle.";
  const wrong = fileids.findIndex((entry) => !isFileId(entry));
  if (wrong >= 0)
    return `Expected id and path, and hashtype and hashsum or neither, in fileids[${wrong}]; found ${shown(fileids[wrong])}.`;
  return { files: chosen(fileids), isBundle: bundle };
}

function* chosen(entries: readonly FileId[]): Generator<ChosenFile> {
  for (const { id, path, hashtype, hashsum } of entries) {
    // Pacifica's own documents have the algorithm before the digits, or not.
    const value = hashsum?.replace(/^[\w-]+:/, "").toLowerCase();
    yield { id, path, ...(hashtype && value ? { digest: { algorithm: hashtype, value } } : {}) };
  }
}

function isFileId(entry: unknown): entry is FileId {
  if (!isObject(entry)) return false;
  const { id, path, hashtype, hashsum } = entry;
  const isNamed = typeof id === "string" ? id !== "" : Number.isSafeInteger(id);
  return isNamed && typeof path === "string" && isText(hashtype) && isText(hashsum) && !hashtype === !hashsum;
}

const isText = (value: unknown) => value === undefined || value === null || typeof value === "string";

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  return JSON.stringify(value).slice(0, 200);
}
