import type { ObjectStorage } from "../../core/archive/object-storage.ts";
import type { ArchivedFile, CatalogueStore, Transaction } from "../../core/catalogue/catalogue-store.ts";
import { modifiedMs } from "../../core/catalogue/modified-time.ts";
import type { Listing, Source, SourceEntry, WalkOptions } from "../../core/crawl/source.ts";
import { AppError, problem } from "../../core/errors.ts";
import { type FileId, transactionId } from "../../core/ids.ts";
import { folderQueue } from "./folder-queue.ts";

const ENTRIES_AT_ONCE = 2_000;

export interface ArchiveSourceParts {
  readonly catalogue: CatalogueStore;
  readonly storage: ObjectStorage;
  /** Only this one's transactions; absent for operators. */
  readonly owner?: string | undefined;
}

/** A folder of a transaction, and which of the files it has directly, in id order. */
interface Folder {
  readonly subfolders: string[];
  count: number;
  /** The file before its first one. */
  readonly after: FileId | undefined;
}

/**
 * What the archive holds: folders named for the transactions' ids, with the files in them where the depositor had them. One
 * transaction is walked after the other, each breadth first; transactions that are accepted meanwhile may be left out.
 * Memory: the transactions' ids, and the folders of one transaction. Time: its files twice, where files of a folder follow
 * each other, as in a bundle they do.
 */
export function archiveSource({ catalogue, storage, owner }: ArchiveSourceParts): Source {
  /** `undefined` for what is no transaction, or nobody's here. */
  async function transactionIn(path: string): Promise<Transaction | undefined> {
    const [id = ""] = path.split("/", 1);
    if (!/^[1-9]\d{0,14}$/.test(id)) return undefined;
    const found = await catalogue.transaction(transactionId(Number(id)));
    return found && (owner === undefined || found.owner === owner) ? found : undefined;
  }

  async function* filesOf({ id }: Transaction, after?: FileId, prefix?: string): AsyncGenerator<ArchivedFile> {
    for (let afterId = after; ; ) {
      const page = await catalogue.listFiles(id, {
        limit: ENTRIES_AT_ONCE,
        ...(afterId === undefined ? {} : { afterId }),
        ...(prefix === undefined ? {} : { prefix }),
      });
      yield* page;
      afterId = page.at(-1)?.id;
      if (page.length < ENTRIES_AT_ONCE) return;
    }
  }

  async function foldersOf(transaction: Transaction): Promise<ReadonlyMap<string, Folder>> {
    const folders = new Map<string, Folder>();
    let before: FileId | undefined;

    function folderAt(path: string): Folder {
      const known = folders.get(path);
      if (known) return known;
      const folder: Folder = { subfolders: [], count: 0, after: before };
      folders.set(path, folder);
      if (path.includes("/")) folderAt(parentOf(path)).subfolders.push(path);
      return folder;
    }
    for await (const { id, path } of filesOf(transaction)) {
      folderAt(parentOf(`${transaction.id}/${path}`)).count++;
      before = id;
    }
    return folders;
  }

  async function* list(transaction: Transaction, path: string, folder: Folder, hidden: boolean) {
    const isShown = (entry: SourceEntry) => hidden || !entry.path.slice(path.length + 1).startsWith(".");
    let entries: SourceEntry[] = folder.subfolders.map(folderEntry).filter(isShown);
    let left = folder.count;
    if (left > 0) {
      for await (const file of filesOf(transaction, folder.after, `${path}/`.slice(`${transaction.id}/`.length))) {
        const entry = fileEntry(transaction, file);
        if (parentOf(entry.path) !== path) continue;
        if (isShown(entry)) entries.push(entry);
        if (--left === 0) break;
        if (entries.length < ENTRIES_AT_ONCE) continue;
        yield { folder: path, entries, problems: [], isLast: false };
        entries = [];
      }
    }
    yield { folder: path, entries, problems: [], isLast: true };
  }

  async function* walkTransaction(starts: readonly string[], { hidden, isDone }: WalkOptions): AsyncGenerator<Listing> {
    const transaction = await transactionIn(starts[0] ?? "");
    const folders = transaction ? await foldersOf(transaction) : new Map<string, Folder>();
    const queue = folderQueue(starts, isDone);
    for (let [path] = queue.take(1); path !== undefined; [path] = queue.take(1)) {
      const folder = folders.get(path);
      if (!transaction || !folder) {
        const problems = [problem("entry_unreadable", { path, hint: "it is not there" })];
        yield { folder: path, entries: [], problems, isLast: true };
        continue;
      }
      for await (const listing of list(transaction, path, folder, hidden)) {
        for (const { kind, path: below } of listing.entries) if (kind === "folder") queue.add(below);
        yield listing;
      }
    }
  }

  async function* transactions(): AsyncGenerator<Listing> {
    for (let last: Transaction | undefined; ; ) {
      const page = await catalogue.findTransactions({
        limit: ENTRIES_AT_ONCE,
        ...(owner === undefined ? {} : { owner }),
        ...(last === undefined ? {} : { afterId: last.id }),
      });
      const isLast = page.length < ENTRIES_AT_ONCE;
      yield { folder: "", entries: page.map(({ id }) => folderEntry(String(id))), problems: [], isLast };
      if (isLast) return;
      last = page.at(-1);
    }
  }

  return {
    async *walk(options) {
      const { folders, isDone, signal } = options;
      const starts = new Set(folders);
      const found = [...starts].filter((folder) => folder !== "");
      if (starts.has("") && !isDone("")) {
        for await (const listing of transactions()) {
          signal.throwIfAborted();
          yield listing;
          for (const { path } of listing.entries) if (!starts.has(path)) found.push(path);
        }
      }
      for (const ofOne of Map.groupBy(found, (folder) => folder.split("/", 1)[0]).values()) {
        for await (const listing of walkTransaction(ofOne, options)) {
          signal.throwIfAborted();
          yield listing;
          signal.throwIfAborted();
        }
      }
    },

    async open(path, range) {
      const transaction = await transactionIn(path);
      const logicalPath = path.slice(path.indexOf("/") + 1);
      if (transaction && path.includes("/")) {
        // Others may begin with the same letters.
        for await (const file of filesOf(transaction, undefined, logicalPath)) {
          if (file.path === logicalPath) return storage.open(`${transaction.objectPath}/${file.contentPath}`, range);
        }
      }
      throw new AppError("object_missing", { path });
    },

    async close() {},
  };
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

function folderEntry(path: string): SourceEntry {
  return { path, kind: "folder", sizeBytes: 0, modifiedAt: null, mode: null };
}

function fileEntry({ id }: Transaction, file: ArchivedFile): SourceEntry {
  const { sizeBytes } = file;
  return { path: `${id}/${file.path}`, kind: "file", sizeBytes, modifiedAt: modifiedMs(file), mode: null };
}
