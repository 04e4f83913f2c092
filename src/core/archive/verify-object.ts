import type { ArchivedFile } from "../catalogue/catalogue-store.ts";
import { type ArchiveDigestName, type DigestName, digestsOf } from "../digest.ts";
import { type Problem, problem } from "../errors.ts";
import type { TransactionId } from "../ids.ts";
import { mapInOrder } from "../streams.ts";
import { type Inventory, readInventory } from "./inventory.ts";
import type { ObjectStorage } from "./object-storage.ts";
import {
  CONTENT_FOLDER,
  INVENTORY,
  OBJECT_DECLARATION,
  objectId,
  objectPath,
  sidecarOf,
  transactionOfObject,
  VERSION_INVENTORY,
} from "./ocfl.ts";
import { readDocument, TRANSACTION_DOCUMENT } from "./transaction-document.ts";
import { type ContentReader, unreadable } from "./verify-content.ts";
import type { ObjectFolder } from "./verify-walk.ts";

/** A declaration or sidecar holds one short line. */
const MAX_LINE_BYTES = 4096;
/** JavaScript has no longer texts (V8: 2^29 - 24 characters): an inventory of more than a million files. */
const MAX_INVENTORY_BYTES = 2 ** 29 - 24;
/** OCFL 1.1 §3.8, §3.9: may hold anything, and nothing of it is content. */
const FREE_FOLDERS = /^(logs|extensions)\//;

type Report = (found: Problem) => void;

/** An object whose inventory could be read. */
export interface OpenedObject {
  readonly folder: ObjectFolder;
  readonly inventory: Inventory;
  /** `undefined` when it is no object of ours, or not in its place. */
  readonly transactionId: TransactionId | undefined;
  /** Whether the root inventory is the one its sidecar vouches for. */
  readonly vouched: boolean;
}

/**
 * Reads what makes a folder an OCFL object: declaration, inventories and sidecars, id and place.
 * Memory: the inventory, read and parsed.
 */
export async function openObject(
  read: ContentReader,
  folder: ObjectFolder,
  report: Report,
): Promise<OpenedObject | undefined> {
  const at = (path: string) => `${folder.path}/${path}`;
  const corrupt = (path: string, expected: string, found: string) =>
    report(problem("object_corrupt", { path: at(path), expected, found }));

  async function whole(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
    const sizeBytes = folder.files.get(path);
    if (sizeBytes === undefined) report(problem("object_missing", { path: at(path) }));
    else if (sizeBytes > maxBytes) corrupt(path, `at most ${maxBytes} bytes`, `${sizeBytes} bytes`);
    else
      try {
        return await read.whole(at(path));
      } catch (error) {
        report(unreadable(at(path), error));
      }
    return undefined;
  }
  /** The digest that a sidecar states, in the very form that Longshore writes: OCFL would allow more. */
  async function stated(path: string): Promise<string | undefined> {
    const line = await whole(path, MAX_LINE_BYTES);
    if (!line) return undefined;
    const digest = /^([0-9a-f]+) {2}inventory\.json\n$/.exec(utf8(line) ?? "")?.[1];
    if (digest === undefined) corrupt(path, `a digest and ${INVENTORY}`, "something else");
    return digest;
  }
  async function copyDigest(algorithm: ArchiveDigestName): Promise<string | undefined> {
    if (!folder.files.has(VERSION_INVENTORY)) {
      report(problem("object_missing", { path: at(VERSION_INVENTORY) }));
      return undefined;
    }
    try {
      return (await read.facts(at(VERSION_INVENTORY), [algorithm])).digests[algorithm];
    } catch (error) {
      report(unreadable(at(VERSION_INVENTORY), error));
      return undefined;
    }
  }

  const declaration = await whole(OBJECT_DECLARATION.path, MAX_LINE_BYTES);
  if (declaration && utf8(declaration) !== OBJECT_DECLARATION.text)
    corrupt(OBJECT_DECLARATION.path, OBJECT_DECLARATION.text.trim(), "something else");

  const bytes = await whole(INVENTORY, MAX_INVENTORY_BYTES);
  const text = bytes && utf8(bytes);
  if (bytes && text === undefined) corrupt(INVENTORY, "UTF-8", "other bytes");
  const inventory =
    text === undefined ? undefined : readInventory(text, (found, expected) => corrupt(INVENTORY, expected, found));
  const algorithm = inventory?.digestAlgorithm ?? algorithmBySidecar(folder);
  const [sidecar, copySidecar] = [sidecarOf(INVENTORY, algorithm), sidecarOf(VERSION_INVENTORY, algorithm)];

  // Inventory, its copy and their sidecars all say the same digest; if not, the one that most of them say is right.
  const said: readonly (readonly [path: string, digest: string | undefined])[] = [
    [INVENTORY, bytes && digestsOf(bytes, [algorithm])[algorithm]],
    [sidecar, await stated(sidecar)],
    [VERSION_INVENTORY, await copyDigest(algorithm)],
    [copySidecar, await stated(copySidecar)],
  ];
  const agreed = mostSaid(said.flatMap(([, digest]) => digest ?? []));
  for (const [path, digest] of said)
    if (digest !== undefined && agreed !== undefined && digest !== agreed) corrupt(path, agreed, digest);

  const known = new Set([OBJECT_DECLARATION.path, INVENTORY, sidecar, VERSION_INVENTORY, copySidecar]);
  for (const path of folder.files.keys()) {
    if (known.has(path) || FREE_FOLDERS.test(path)) continue;
    const isContent = inventory?.content.has(path) ?? path.startsWith(`${CONTENT_FOLDER}/`);
    if (!isContent) report(problem("archive_stray", { path: at(path) }));
  }
  if (!inventory) return undefined;

  const id = transactionOfObject(inventory.id);
  const place = id && objectPath(id);
  if (id === undefined) corrupt(INVENTORY, "id longshore:transaction:…", `id ${inventory.id}`);
  else if (place !== folder.path) corrupt(INVENTORY, `object ${inventory.id} in ${place}`, `in ${folder.path}`);
  const vouched = said[0]?.[1] !== undefined && said[0][1] === said[1]?.[1];
  return { folder, inventory, transactionId: place === folder.path ? id : undefined, vouched };
}

/** What was looked at beyond the inventory. */
export interface CheckedContent {
  /** Payload: as many files and bytes as the transaction document lists. */
  readonly files: number;
  readonly bytes: number;
  /** Whether the transaction document could be read to its end. */
  readonly documented: boolean;
}

/**
 * Holds an object's content against its inventory and its transaction document, and those two against each other. Every
 * byte is read once.
 * @param reads asked of each payload file, in the order of ids, and then of each other file of the object (`undefined`):
 * when false, only existence and size are looked at.
 */
export async function checkContent(
  storage: ObjectStorage,
  read: ContentReader,
  { folder, inventory, transactionId }: OpenedObject,
  reads: (file: ArchivedFile | undefined) => boolean,
  report: Report,
): Promise<CheckedContent> {
  const at = (path: string) => `${folder.path}/${path}`;
  const document = at(TRANSACTION_DOCUMENT.contentPath);
  const seen = { content: new Set<string>(), state: new Set<string>() };
  let files = 0;
  let bytes = 0;
  let documented = false;

  /** The document's files; what is wrong with the document itself is reported and ends them. */
  async function* listed(): AsyncGenerator<ArchivedFile> {
    if (!folder.files.has(TRANSACTION_DOCUMENT.contentPath)) return; // missing: reported below, as any content
    const disagree = (expected: string, found: string) =>
      report(problem("object_corrupt", { path: document, expected, found }));
    try {
      const { head, files: lines } = await readDocument(await storage.open(document), document);
      if (transactionId !== undefined && head.id !== transactionId)
        disagree(`the transaction of ${inventory.id}`, objectId(head.id));
      if (head.createdAt !== inventory.createdAt)
        disagree(`createdAt ${isoOr(inventory.createdAt)}`, `createdAt ${isoOr(head.createdAt)}`);
      if (head.owner !== inventory.user) disagree(`owner ${inventory.user ?? ""}`, `owner ${head.owner}`);
      let lastId = 0;
      for await (const file of lines) {
        if (file.id <= lastId) disagree(`an id above ${lastId}`, `file ${file.id}`);
        lastId = file.id;
        if (seen.content.has(file.contentPath)) disagree("each content path once", file.contentPath);
        if (seen.state.has(file.path)) disagree("each path once", file.path);
        files++;
        bytes += file.sizeBytes;
        seen.content.add(file.contentPath);
        seen.state.add(file.path);
        yield file;
      }
      documented = true;
    } catch (error) {
      report(unreadable(document, error));
    }
  }

  /** One payload file: document against inventory, then both against the bytes. */
  async function checkFile(file: ArchivedFile): Promise<readonly Problem[]> {
    const problems: Problem[] = [];
    const { contentPath, path, digests, declared } = file;
    const own = inventory.content.get(contentPath);
    if (own === undefined) {
      const expected = `a content path of the inventory for ${path}`;
      return [problem("object_corrupt", { path: document, expected, found: contentPath })];
    }
    const disagree = (expected: string, found: string) =>
      problems.push(problem("object_corrupt", { path: at(contentPath), expected, found }));
    if (inventory.state.get(path) !== own)
      disagree(`the state of ${path}`, inventory.state.get(path) ?? "no such path");
    if (digests[declared.algorithm] !== declared.value)
      disagree(`declared ${declared.algorithm} ${declared.value}`, digests[declared.algorithm] ?? "not listed");
    problems.push(...(await checkBytes(contentPath, promisesOf(contentPath, digests), file)));
    return problems;
  }

  function promisesOf(contentPath: string, further: ArchivedFile["digests"]): readonly DigestPromise[] {
    const own = { [inventory.digestAlgorithm]: inventory.content.get(contentPath) ?? "" };
    const all = [own, inventory.fixity.get(contentPath) ?? {}, further].flatMap((digests) => Object.entries(digests));
    const distinct = new Map(all.map((promise) => [promise.join(":"), promise as DigestPromise]));
    return [...distinct.values()];
  }

  async function checkBytes(
    contentPath: string,
    promises: readonly DigestPromise[],
    expected?: ArchivedFile,
  ): Promise<readonly Problem[]> {
    const path = at(contentPath);
    const sizeBytes = folder.files.get(contentPath);
    if (sizeBytes === undefined) return [problem("object_missing", { path })];
    const problems: Problem[] = [];
    const differ = (wanted: string, found: string) =>
      problems.push(problem("object_corrupt", { path, expected: wanted, found }));
    if (expected && sizeBytes !== expected.sizeBytes) differ(`${expected.sizeBytes} bytes`, `${sizeBytes} bytes`);
    if (!reads(expected)) return problems;
    try {
      const algorithms = [...new Set(promises.map(([algorithm]) => algorithm))];
      const facts = await read.facts(path, algorithms);
      const broken = promises.filter(([algorithm, digest]) => facts.digests[algorithm] !== digest);
      const first = broken.find(([algorithm]) => algorithm === inventory.digestAlgorithm);
      // Bytes that have changed break every promise: the inventory's says it for all.
      for (const [algorithm, digest] of first ? [first] : broken)
        problems.push(
          problem("digest_mismatch", {
            path,
            expected: `${algorithm}:${digest}`,
            found: `${algorithm}:${facts.digests[algorithm] ?? ""}`,
          }),
        );
      if (!first && expected && facts.crc32 !== expected.crc32)
        differ(`CRC-32 ${hex32(expected.crc32)}`, `CRC-32 ${hex32(facts.crc32)}`);
    } catch (error) {
      problems.push(unreadable(path, error));
    }
    return problems;
  }

  for await (const problems of mapInOrder(listed(), read.parallel, checkFile)) for (const one of problems) report(one);
  const unlisted = [...inventory.content.keys()].filter((path) => !seen.content.has(path));
  for await (const problems of mapInOrder(unlisted, read.parallel, (path) => checkBytes(path, promisesOf(path, {}))))
    for (const one of problems) report(one);
  if (!inventory.content.has(TRANSACTION_DOCUMENT.contentPath))
    report(problem("object_missing", { path: document, expected: "a content path of the inventory" }));
  if (documented)
    for (const path of inventory.state.keys())
      if (path.startsWith("data/") && !seen.state.has(path))
        report(problem("object_corrupt", { path: document, expected: `a line for ${path}`, found: "none" }));
  return { files, bytes, documented };
}

type DigestPromise = readonly [algorithm: DigestName, digest: string];

function algorithmBySidecar({ files }: ObjectFolder): ArchiveDigestName {
  return files.has(sidecarOf(INVENTORY, "sha256")) && !files.has(sidecarOf(INVENTORY, "sha512")) ? "sha256" : "sha512";
}

function mostSaid(values: readonly string[]): string | undefined {
  const votes = (value: string) => values.filter((other) => other === value).length;
  return values.toSorted((a, b) => votes(b) - votes(a))[0];
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

function isoOr(epochMs: number): string {
  return Number.isNaN(epochMs) ? "unknown" : new Date(epochMs).toISOString();
}

function hex32(crc32: number): string {
  return crc32.toString(16).padStart(8, "0");
}
