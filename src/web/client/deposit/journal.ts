import type { BundleDescription } from "../../../sdk/bundle-metadata.ts";

/** A deposit that has been begun, and of which the server has not everything yet. */
export interface UnfinishedDeposit {
  /** Of {@link depositKey}. */
  readonly key: string;
  /** Who has begun it, as the server calls them: people share browsers. */
  readonly owner: string;
  /** Of the upload. */
  readonly url: string;
  readonly description: BundleDescription;
  readonly firstPath: string;
  readonly fileCount: number;
  readonly sizeBytes: number;
  /** Of all of them, what the server had at last. */
  readonly sentBytes: number;
  /** Epoch milliseconds. */
  readonly begunAt: number;
}

/** What the browser keeps of deposits, for when the page is loaded again. Files are not kept: they are chosen again. */
export interface DepositJournal {
  list(owner: string): Promise<readonly UnfinishedDeposit[]>;
  find(key: string): Promise<UnfinishedDeposit | undefined>;
  /** Digests of files that were read already, by path. */
  digests(key: string): Promise<ReadonlyMap<string, string>>;
  /** In one transaction. @param digests those that have become known since the last time. */
  save(deposit: UnfinishedDeposit, digests: readonly (readonly [path: string, digest: string])[]): Promise<void>;
  remove(key: string): Promise<void>;
}

const DEPOSITS = "deposits";
/** Keyed by deposit, offset and time: the digests of one `save`, as pairs. */
const DIGESTS = "digests";

/** In IndexedDB, which pages and workers share. */
export async function openJournal(): Promise<DepositJournal> {
  const opening = indexedDB.open("longshore-deposits", 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore(DEPOSITS, { keyPath: "key" });
    opening.result.createObjectStore(DIGESTS);
  };
  const database = await answer(opening);
  const read = (store: string) => database.transaction(store).objectStore(store);
  const digestsOf = (key: string) => IDBKeyRange.bound([key], [key, []]);

  return {
    async list(owner) {
      const found: UnfinishedDeposit[] = await answer(read(DEPOSITS).getAll());
      return found.filter((deposit) => deposit.owner === owner).sort((one, other) => other.begunAt - one.begunAt);
    },
    find: (key) => answer<UnfinishedDeposit | undefined>(read(DEPOSITS).get(key)),
    async digests(key) {
      const saved: [string, string][][] = await answer(read(DIGESTS).getAll(digestsOf(key)));
      return new Map(saved.flat());
    },
    async save(deposit, digests) {
      const writing = database.transaction([DEPOSITS, DIGESTS], "readwrite");
      writing.objectStore(DEPOSITS).put(deposit);
      if (digests.length > 0) writing.objectStore(DIGESTS).add(digests, [deposit.key, deposit.sentBytes, Date.now()]);
      await ended(writing);
    },
    async remove(key) {
      const writing = database.transaction([DEPOSITS, DIGESTS], "readwrite");
      writing.objectStore(DEPOSITS).delete(key);
      writing.objectStore(DIGESTS).delete(digestsOf(key));
      await ended(writing);
    },
  };
}

function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((done, fail) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
}

function ended(transaction: IDBTransaction): Promise<void> {
  return new Promise((done, fail) => {
    transaction.oncomplete = () => done();
    transaction.onabort = () => fail(transaction.error);
  });
}
