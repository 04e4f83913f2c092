import { randomUUID } from "node:crypto";
import type { ObjectStorage, StagedTree, WrittenFile } from "../../archive/object-storage.ts";
import type { Clock } from "../../clock.ts";
import type { DigestName } from "../../digest.ts";
import { AppError, problem } from "../../errors.ts";
import type { CartId } from "../../ids.ts";
import type { CartEntry, Location } from "../cart.ts";
import type { CartStore } from "../cart-store.ts";
import type { StoredAt } from "../layout/assemble.ts";
import type { Reservation, StagedFile, StagingStore, StagingUsage } from "./staging-store.ts";

/** How often the place of a copy that is under way is renewed, and when it counts as abandoned. */
const RENEW_MS = 5_000;
const DEAD_MS = 20_000;
/** Left on the disk for others: a database, for one, stops when there is nothing. */
const SPARE_BYTES = 64 * 1024 * 1024;
const PAGE = 500;
/** The one file of a copy, below the copy's prefix. */
const COPY = "file";

export interface StagingParts {
  /** The cache, an object storage of its own: what lies in it and is in no book is removed. */
  readonly storage: ObjectStorage;
  readonly store: StagingStore;
  /** Where archived files lie. */
  readonly archive: ObjectStorage;
  readonly carts: CartStore;
  readonly clock: Clock;
  readonly limits: {
    /** Most that the cache may take; less, when the disk has less. */
    readonly capacityBytes: number;
    /** How long after its last use a copy is not dropped. */
    readonly protectMs: number;
  };
}

/** A file that shall be in the cache. */
export interface Wanted {
  /** See {@link StagedFile.key}. */
  readonly key: string;
  /** Exact: what is longer or shorter is refused. */
  readonly sizeBytes: number;
  /** Computed while the bytes pass. */
  readonly algorithms: readonly DigestName[];
  readonly expected: CartEntry["expected"];
  /** Begins the copy; called at most once. */
  open(signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

export type Obtained =
  | { readonly outcome: "present"; readonly file: StagedFile }
  /** Another is copying it, or copies under way may yet make room: look again later. */
  | { readonly outcome: "busy" }
  | { readonly outcome: "full"; readonly freeBytes: number };

/**
 * The staging cache: copies of files that cannot be read where they are, shared by all carts that need them. A place is
 * kept in the books before the first byte is copied. Ready carts whose copies are dropped to make room expire.
 *
 * A process may die anywhere. The place that it kept is abandoned after {@link DEAD_MS}, and its copy removed by whoever
 * reserves next; what is in no book goes when a process first reserves.
 */
export interface Staging {
  /**
   * Where the bytes of an entry can be read. @throws AppError cart_expired when the copy has been dropped: the carts that
   * need it are expired then; cart_not_ready for a file that has not been staged.
   */
  read(location: Location): Promise<StoredAt>;
  /**
   * Copies a file into the cache, once, unless it is there. On any failure nothing is left of it.
   * @throws AppError file_size_mismatch, digest_mismatch; what `open` and its stream throw; the reason of `signal`.
   */
  obtain(wanted: Wanted, signal: AbortSignal): Promise<Obtained>;
  /** Protects a cart's copies from now on. @returns the entries whose copies have been dropped. */
  protect(cart: CartId): Promise<readonly CartEntry[]>;
  /** Most that the cache can hold as things stand. */
  capacityBytes(): Promise<number>;
}

export function stagingService({ storage, store, archive, carts, clock, limits }: StagingParts): Staging {
  const copyIn = (file: StagedFile): StoredAt => ({ storage, path: `${file.path}/${COPY}` });

  /** Removes a copy whatever its state; nothing there is no error. */
  async function remove(path: string): Promise<void> {
    await (await storage.reopen(path))?.discard();
    await storage.remove(path);
  }

  /** What is in the books no more. */
  async function clear(evicted: readonly StagedFile[]): Promise<void> {
    for (const { key, path, state } of evicted) {
      if (state === "present") await expireHolders(key);
      await remove(path);
    }
  }

  async function expireHolders(key: string): Promise<void> {
    const change = {
      status: "expired",
      problems: [problem("cart_expired", { hint: DROPPED })],
      problemCount: 1,
    } as const;
    for (const id of await carts.holdersOf(key)) await carts.update(id, ["ready"], change, clock.now());
  }

  /** What lies in the cache and is in no book: left by processes that died between two steps. */
  async function sweep(): Promise<void> {
    // Looked up after they were seen: a copy is entered before it is begun, and its place is never used again.
    const seen = new Set<string>();
    for await (const prefix of storage.staged()) seen.add(prefix);
    for await (const { path } of storage.list("")) seen.add(path.slice(0, path.lastIndexOf("/")));
    const paths = [...seen];
    for (let at = 0; at < paths.length; at += PAGE) {
      const page = paths.slice(at, at + PAGE);
      const known = await store.known(page);
      for (const path of page) if (!known.has(path)) await remove(path);
    }
  }
  let swept: Promise<void> | undefined;
  function tidy(): Promise<void> {
    swept ??= sweep().catch((error: unknown) => {
      swept = undefined;
      throw error;
    });
    return swept;
  }

  /** What copies under way have written counts against it, though room is reserved for it too: it is rather too little. */
  async function capacityOf({ bytes }: StagingUsage): Promise<number> {
    const free = await storage.freeBytes();
    if (free === undefined) return limits.capacityBytes;
    return Math.min(limits.capacityBytes, bytes + Math.max(0, free - SPARE_BYTES));
  }

  function reserve({ key, sizeBytes }: Wanted, capacityBytes: number): Promise<Reservation> {
    const id = randomUUID();
    const now = clock.now();
    return store.reserve(
      { key, path: `${id.slice(0, 2)}/${id}`, sizeBytes },
      { capacityBytes, protectedSince: now - limits.protectMs, deadBefore: now - DEAD_MS },
      now,
    );
  }

  /** Keeps a place while `work` fills it; stops the work when another has been given it. */
  async function keeping<T>(
    { key, path }: StagedFile,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const over = new AbortController();
    const lost = new AbortController();
    async function renew(): Promise<void> {
      for (;;) {
        await clock.sleep(RENEW_MS, over.signal);
        if (over.signal.aborted) return;
        if (!(await store.renew(key, path, clock.now()))) throw PLACE_LOST;
      }
    }
    const renewing = renew().catch((error: unknown) => lost.abort(error));
    try {
      return await work(AbortSignal.any([signal, lost.signal]));
    } catch (error) {
      throw lost.signal.aborted ? lost.signal.reason : error;
    } finally {
      over.abort();
      await renewing;
    }
  }

  async function copied(file: StagedFile, wanted: Wanted, signal: AbortSignal): Promise<Obtained> {
    try {
      return await keeping(file, signal, async (stop) => {
        const tree = await storage.stage(file.path);
        const { crc32, digests } = await write(tree, wanted, stop);
        await tree.publish([]);
        const now = clock.now();
        if (!(await store.complete(file.key, file.path, { crc32, digests }, now))) throw PLACE_LOST;
        return { outcome: "present", file: { ...file, state: "present", crc32, digests, lastUsedAt: now } };
      });
    } catch (error) {
      await remove(file.path);
      if (await store.release(file.key, file.path)) throw error;
      return { outcome: "busy" };
    }
  }

  /** False when somebody has cleared the cache's folder, as they may. */
  async function isThere(file: StagedFile): Promise<boolean> {
    return (await storage.stat(copyIn(file).path))?.sizeBytes === file.sizeBytes;
  }

  return {
    capacityBytes: async () => capacityOf(await store.usage()),

    async read(location) {
      if (location.at === "archive") return { storage: archive, path: location.path };
      if (location.at === "remote") throw new AppError("cart_not_ready", { file: location.id });
      const file = await store.get(location.key);
      if (file?.state === "present") return copyIn(file);
      // Whoever dropped it may have died before the carts were told.
      await expireHolders(location.key);
      throw new AppError("cart_expired", { hint: DROPPED });
    },

    async obtain(wanted, signal) {
      await tidy();
      for (;;) {
        signal.throwIfAborted();
        const usage = await store.usage();
        const found = await reserve(wanted, await capacityOf(usage));
        switch (found.outcome) {
          case "busy":
            return found;
          case "present": {
            if (await isThere(found.file)) return found;
            await remove(found.file.path);
            await store.release(found.file.key, found.file.path);
            break;
          }
          case "full": {
            await clear(found.evicted);
            if (found.evicted.length > 0) break;
            const isUnderWay = usage.reservedBytes > 0 || found.reservedBytes > 0;
            if (isUnderWay && wanted.sizeBytes <= limits.capacityBytes) return { outcome: "busy" };
            return found;
          }
          case "reserved":
            await clear(found.evicted);
            return copied(found.file, wanted, signal);
        }
      }
    },

    async protect(cart) {
      const gone: CartEntry[] = [];
      for (let seq = 0; ; ) {
        const page = await carts.entries(cart, seq, PAGE);
        const copies = page.flatMap((entry) =>
          entry.location.at === "staged" ? [[entry.location.key, entry] as const] : [],
        );
        const present = await store.touch([...new Set(copies.map(([key]) => key))], clock.now());
        gone.push(...copies.flatMap(([key, entry]) => (present.has(key) ? [] : [entry])));
        if (page.length < PAGE) return gone;
        seq += page.length;
      }
    },
  };
}

/** Nobody sees it: whoever copies finds the place gone, and looks again later. */
const PLACE_LOST = new Error("The place of this copy was given to another.");
const DROPPED = "a copy that it needs was dropped to make room for others; make the cart anew";

/** @throws AppError file_size_mismatch, digest_mismatch. */
async function write(tree: StagedTree, wanted: Wanted, signal: AbortSignal): Promise<WrittenFile> {
  const { sizeBytes, expected } = wanted;
  const writer = tree.writer([...new Set([...wanted.algorithms, ...(expected ? [expected.algorithm] : [])])]);
  try {
    writer.begin(COPY);
    let found = 0;
    for await (const chunk of await wanted.open(signal)) {
      signal.throwIfAborted();
      found += chunk.length;
      if (found > sizeBytes) break;
      await writer.write(chunk);
    }
    signal.throwIfAborted();
    if (found !== sizeBytes)
      throw new AppError("file_size_mismatch", {
        expected: sizeBytes,
        found: found > sizeBytes ? `more than ${sizeBytes}` : found,
      });
    writer.end();
    const [written] = await writer.finish();
    if (!written) throw new AppError("internal", { reason: "a writer that finished without its file" });
    const digest = expected && written.digests[expected.algorithm];
    if (expected && digest !== expected.value)
      throw new AppError("digest_mismatch", { expected: expected.value, found: digest ?? null });
    return written;
  } finally {
    await writer.abort();
  }
}
