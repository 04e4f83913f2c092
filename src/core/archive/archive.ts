import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { ArchivedFile, KeyValue, Transaction } from "../catalogue/catalogue-store.ts";
import { type ArchiveDigestName, type DigestName, multiHash } from "../digest.ts";
import { AppError, type Details } from "../errors.ts";
import type { TransactionId } from "../ids.ts";
import { jsonLines } from "../streams.ts";
import type { ByteRange, ObjectStorage, StagedTree } from "./object-storage.ts";
import {
  INVENTORY,
  type InventoryEntry,
  inventoryText,
  OBJECT_DECLARATION,
  objectId,
  objectPath,
  ROOT_DECLARATION,
  rootFiles,
  sidecarOf,
  sidecarText,
  VERSION_INVENTORY,
} from "./ocfl.ts";
import { documentLines, readDocument, TRANSACTION_DOCUMENT, type TransactionHead } from "./transaction-document.ts";

/** The archive: an OCFL storage root with one object per transaction. */
export interface Archive {
  /** Addresses content in inventories; set once per archive, an object keeps the one it was written with. */
  readonly algorithm: ArchiveDigestName;
  readonly storage: ObjectStorage;
  /** Makes sure that the storage is an OCFL root. @throws AppError object_corrupt when it is something else. */
  prepare(): Promise<void>;
  /** The tree in which the object of a transaction grows. @throws AppError object_exists. */
  stage(id: TransactionId): Promise<StagedTree>;
  reopen(id: TransactionId): Promise<StagedTree | undefined>;
  /**
   * Completes a staged object (transaction document, inventories, sidecars, declaration) and publishes it.
   * Durable on return; before that nothing is visible.
   */
  publish(tree: StagedTree, object: NewObject): Promise<Transaction>;
  /** What is published of a transaction, read from the archive alone; `undefined` when there is no such object. */
  read(id: TransactionId): Promise<ReadTransaction | undefined>;
  /** The bytes of one archived file. @throws AppError object_missing. */
  openFile(transaction: Transaction, file: ArchivedFile, range?: ByteRange): Promise<Readable>;
}

export interface NewObject {
  readonly head: TransactionHead;
  /** In id order; gone through several times. */
  readonly files: Iterable<Omit<ArchivedFile, "transactionId">>;
  /** Files of the object that are not payload, such as `metadata.txt`. */
  readonly others: readonly InventoryEntry[];
}

export interface ReadTransaction {
  readonly transaction: Transaction;
  readonly keyValues: readonly KeyValue[];
  /** In id order; each call reads the document anew. */
  files(): AsyncIterable<ArchivedFile>;
}

export function ocflArchive(storage: ObjectStorage, algorithm: ArchiveDigestName): Archive {
  /** Writes a file of the tree and learns its digests as it goes. */
  async function putHashed(
    tree: StagedTree,
    path: string,
    pieces: AsyncIterable<Uint8Array>,
    names: readonly DigestName[],
  ) {
    const hashing = multiHash(names);
    await tree.put(path, observed(pieces, hashing.update));
    return hashing.digests();
  }

  return {
    algorithm,
    storage,

    async prepare() {
      if (await storage.stat(ROOT_DECLARATION.path)) return;
      for await (const { path } of storage.list(""))
        if (!path.startsWith("extensions/") && path !== "ocfl_layout.json")
          throw new AppError("object_corrupt", {
            expected: "an OCFL 1.1 storage root or an empty folder",
            found: path,
          });
      for (const { path, text: content } of rootFiles()) {
        if (await storage.stat(path)) continue;
        await storage.put(path, Buffer.from(content)).catch((error: unknown) => {
          // Another process has just done so.
          if (!(error instanceof AppError && error.code === "object_exists")) throw error;
        });
      }
    },

    stage: (id) => storage.stage(objectPath(id)),
    reopen: (id) => storage.reopen(objectPath(id)),

    async publish(tree, { head, files, others }) {
      const document = await putHashed(tree, TRANSACTION_DOCUMENT.contentPath, jsonLines(documentLines(head, files)), [
        algorithm,
      ]);
      let fileCount = 0;
      let sizeBytes = 0;
      for (const file of files) {
        fileCount++;
        sizeBytes += file.sizeBytes;
      }
      const entries = {
        *[Symbol.iterator](): Generator<InventoryEntry> {
          yield { ...TRANSACTION_DOCUMENT, digests: document };
          yield* others;
          for (const { path, contentPath, digests } of files) yield { logicalPath: path, contentPath, digests };
        },
      };
      const inventory = inventoryText(
        {
          id: objectId(head.id),
          algorithm,
          createdAt: new Date(head.createdAt).toISOString(),
          message: "Deposited through Longshore",
          user: { name: head.owner },
        },
        entries,
      );
      const digest = (await putHashed(tree, INVENTORY, encoded(inventory), [algorithm]))[algorithm] ?? "";
      const sidecar = Buffer.from(sidecarText(digest));
      await tree.put(VERSION_INVENTORY, contentOf(tree, INVENTORY));
      await tree.put(sidecarOf(VERSION_INVENTORY, algorithm), sidecar);
      await tree.put(sidecarOf(INVENTORY, algorithm), sidecar);
      await tree.put(OBJECT_DECLARATION.path, Buffer.from(OBJECT_DECLARATION.text));
      // With the declaration it is an object: storage without a rename writes it when all the rest is there.
      await tree.publish([INVENTORY, sidecarOf(INVENTORY, algorithm), OBJECT_DECLARATION.path]);
      return transactionOf(head, fileCount, sizeBytes, digest);
    },

    async read(id) {
      const root = objectPath(id);
      const digest = await inventoryDigest(storage, root);
      if (digest === undefined) return undefined;
      const where = `${root}/${TRANSACTION_DOCUMENT.contentPath}`;
      const files = async function* () {
        yield* (await readDocument(await storage.open(where), where)).files;
      };
      const { head, files: counted } = await readDocument(await storage.open(where), where);
      let fileCount = 0;
      let sizeBytes = 0;
      for await (const file of counted) {
        fileCount++;
        sizeBytes += file.sizeBytes;
      }
      return { transaction: transactionOf(head, fileCount, sizeBytes, digest), keyValues: head.keyValues, files };
    },

    openFile: (transaction, file, range) => storage.open(`${transaction.objectPath}/${file.contentPath}`, range),
  };
}

/** What a depositor keeps of a transaction: the result of its job. */
export function receiptOf(transaction: Transaction): Details {
  const { id, fileCount, sizeBytes, objectPath, inventoryDigest } = transaction;
  return { transactionId: id, files: fileCount, bytes: sizeBytes, objectPath, inventoryDigest };
}

/** Digest of an object's root inventory as its sidecar states it; `undefined` when there is no object. */
async function inventoryDigest(storage: ObjectStorage, root: string): Promise<string | undefined> {
  for (const algorithm of ["sha512", "sha256"] as const) {
    const path = `${root}/${sidecarOf(INVENTORY, algorithm)}`;
    if (await storage.stat(path)) return (await text(await storage.open(path))).split(/\s/)[0] ?? "";
  }
  return undefined;
}

function transactionOf(
  head: TransactionHead,
  fileCount: number,
  sizeBytes: number,
  inventoryDigest: string,
): Transaction {
  const { keyValues, ...known } = head;
  return { ...known, fileCount, sizeBytes, objectPath: objectPath(head.id), inventoryDigest };
}

/** Opened when the first byte is asked for: a sink that fails before that leaves nothing open. */
async function* contentOf(tree: StagedTree, path: string): AsyncGenerator<Uint8Array> {
  yield* await tree.open(path);
}

/** Strings as bytes, in pieces of about 64 KiB. */
async function* encoded(strings: Iterable<string>): AsyncGenerator<Uint8Array> {
  let piece = "";
  for (const string of strings) {
    piece += string;
    if (piece.length < 65_536) continue;
    yield Buffer.from(piece);
    piece = "";
  }
  if (piece !== "") yield Buffer.from(piece);
}

async function* observed(
  bytes: AsyncIterable<Uint8Array>,
  see: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    see(chunk);
    yield chunk;
  }
}
