import type { Availability, ObjectStorage } from "../../archive/object-storage.ts";
import type { Clock } from "../../clock.ts";
import { factsOfStream } from "../../digest.ts";
import { AppError } from "../../errors.ts";
import { PutOff } from "../../jobs/worker.ts";
import { eachAtOnce } from "../../streams.ts";
import type { CartEntry, Location } from "../cart.ts";
import type { RemoteArchive, RemoteFile } from "./remote-archive.ts";
import type { Staging } from "./staging.ts";
import type { StagingRun } from "./staging-run.ts";
import type { StagedFile } from "./staging-store.ts";

/** Files that are asked for or copied at a time. */
const AT_ONCE = 4;
/** Pauses before a file is tried again; then it has failed. */
const PAUSES_MS = [1_000, 4_000, 16_000];
/** Files in a row that cannot be reached: then it is the remote archive, and the job is tried again later. */
const UNREACHED = 4;
/** How long to wait for files on their way from cold storage, or that others copy, before looking again. */
const FIRST_LOOK_MS = 1_000;
const LONGEST_LOOK_MS = 60_000;
/** Pauses from this length on are not waited for here: others may have the job's place in its lane meanwhile. */
const PUT_OFF_MS = 32_000;

export interface OnlineParts {
  readonly staging: Staging;
  /** Where archived files lie. */
  readonly archive: ObjectStorage;
  readonly remote: RemoteArchive | undefined;
  readonly clock: Clock;
}

export interface Amounts {
  readonly files: number;
  readonly bytes: number;
}

type RemoteEntry = CartEntry & { readonly location: Extract<Location, { at: "remote" }> };

/**
 * Brings what a cart needs to where it can be read: asks for every file first, then goes round and round those that are
 * left, taking what has come up, until none is. Files that only must be read and checked are left over.
 *
 * What is asked of the remote archive again after it failed is asked alone: one that runs as a single process mixes up
 * what it answers at the same time, and says nothing.
 */
export function bringingOnline({ staging, archive, remote, clock }: OnlineParts, run: StagingRun) {
  const { cart, tasks } = run;
  let atOnce = AT_ONCE;
  let unreached = 0;

  /** Several entries at a time; what goes wrong with one is its problem alone. */
  function each(work: (entry: CartEntry, signal: AbortSignal) => Promise<void>): Promise<void> {
    return eachAtOnce(
      run.left(),
      () => atOnce,
      async (entry, stop) => {
        const signal = AbortSignal.any([run.signal, stop]);
        try {
          await work(entry, signal);
        } catch (error) {
          stop.throwIfAborted();
          if (unreached >= UNREACHED) throw error;
          run.failed(entry, error);
        }
      },
    );
  }

  /** Tries again what the connection or the moment may be to blame for; a wrong digest once more. */
  async function persistently<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    let mismatches = 0;
    for (let tries = 1; ; tries++) {
      try {
        const result = await work();
        unreached = 0;
        return result;
      } catch (error) {
        signal.throwIfAborted();
        const isMismatch = isCode(error, "digest_mismatch");
        const isUnreached = isCode(error, "remote_unavailable");
        const mayPass = isMismatch || isUnreached || isCode(error, "file_size_mismatch");
        const pauseMs = PAUSES_MS[tries - 1];
        if (!isUnreached) unreached = 0;
        else if (pauseMs === undefined) unreached += 1;
        if (!mayPass || pauseMs === undefined || (isMismatch && ++mismatches === 2)) throw error;
        if (!isMismatch) atOnce = 1;
        await clock.sleep(pauseMs, signal);
        signal.throwIfAborted();
      }
    }
  }

  /** @throws AppError file_unknown where the setting that names the remote archive is gone. */
  function remoteOf({ location: { id } }: RemoteEntry): RemoteArchive {
    if (!remote) throw new AppError("file_unknown", { id, hint: "no remote archive is configured any more" });
    return remote;
  }

  async function availability(path: string): Promise<Availability> {
    return (await archive.restore?.state(path)) ?? { online: true };
  }

  /** @returns false when it has to be looked at again later. */
  async function fetched(entry: RemoteEntry, signal: AbortSignal): Promise<boolean> {
    const { id } = entry.location;
    const from = remoteOf(entry);
    const announced = await from.state(id, signal);
    if (!announced.online) return false;
    let passed = 0;
    const open = async (stop: AbortSignal) => {
      const bytes = await from.open(id, stop);
      return counted(bytes, (sizeBytes) => {
        passed += sizeBytes;
        tasks.advance({ bytes: sizeBytes });
      });
    };
    try {
      const file = await copyOf(entry, announced, open, signal);
      if (!file) return false;
      const { sizeBytes } = file;
      tasks.advance({ files: 1, bytes: sizeBytes - passed });
      passed = 0;
      const location = { at: "staged", key: file.key } as const;
      const modifiedAt = announced.modifiedAt ?? entry.modifiedAt;
      await run.staged(entry, { sizeBytes, modifiedAt, location, ...(await factsOf(file, location)) });
      return true;
    } finally {
      // What was copied in vain is to be copied again.
      if (passed > 0) tasks.advance({ bytes: -passed });
    }
  }

  async function copyOf(
    { location: { id }, expected }: RemoteEntry,
    { sizeBytes, modifiedAt }: RemoteFile,
    open: (stop: AbortSignal) => Promise<AsyncIterable<Uint8Array>>,
    signal: AbortSignal,
  ): Promise<StagedFile | undefined> {
    const key = expected
      ? `${expected.algorithm}:${expected.value}`
      : `remote:${id}:${sizeBytes}:${modifiedAt ?? "no time"}`;
    const found = await staging.obtain({ key, sizeBytes, algorithms: [cart.algorithm], expected, open }, signal);
    if (found.outcome === "busy") return undefined;
    if (found.outcome === "full")
      throw new AppError("staging_full", { expected: sizeBytes, found: found.freeBytes, hint: "bytes" });
    // Somebody else's copy of the content that this file is said to have.
    if (found.file.sizeBytes !== sizeBytes)
      throw new AppError("file_size_mismatch", { expected: found.file.sizeBytes, found: sizeBytes });
    return found.file;
  }

  /** A copy that was made for another cart may lack the digest of this one. */
  async function factsOf(file: StagedFile, location: Location) {
    const digest = file.digests[cart.algorithm];
    if (file.crc32 !== null && digest !== undefined) return { crc32: file.crc32, digest };
    const { storage, path } = await staging.read(location);
    const { crc32, digests } = await factsOfStream(await storage.open(path), [cart.algorithm], run.signal);
    return { crc32, digest: digests[cart.algorithm] ?? null };
  }

  /** Once round all that are left. */
  async function look() {
    let waiting = 0;
    let arrived = 0;
    const expectedAt: number[] = [];
    const unchecked = { files: 0, bytes: 0 };
    await each(async (entry, signal) => {
      const { location, sizeBytes, modifiedAt, crc32, digest } = entry;
      if (isRemote(entry)) {
        if (await persistently(signal, () => fetched(entry, signal))) arrived += 1;
        else waiting += 1;
        return;
      }
      const state = location.at === "archive" ? await availability(location.path) : { online: true as const };
      if (!state.online) {
        waiting += 1;
        if (state.readyAt !== undefined) expectedAt.push(state.readyAt);
      } else if (mustBeRead(entry)) {
        unchecked.files += 1;
        unchecked.bytes += sizeBytes;
      } else {
        arrived += 1;
        await run.staged(entry, { sizeBytes, modifiedAt, crc32, digest, location });
        tasks.advance({ files: 1 });
      }
    });
    const readyAt = expectedAt.reduce<number | null>((latest, at) => Math.max(latest ?? 0, at), null);
    return { waiting, arrived, readyAt, unchecked };
  }

  return {
    /** Asks for every file that is not online. @returns how many bytes there are to be copied. */
    async request(): Promise<number> {
      let bytes = 0;
      await each(async (entry, signal) => {
        const { location } = entry;
        if (location.at === "archive") {
          const state = await availability(location.path);
          if (!state.online && !state.restoring) await archive.restore?.request(location.path);
        }
        if (!isRemote(entry)) return;
        const from = remoteOf(entry);
        const { id } = entry.location;
        const { sizeBytes } = await persistently(signal, async () => {
          await from.request(id, signal);
          return from.state(id, signal);
        });
        bytes += sizeBytes;
      });
      return bytes;
    },

    /** Refuses all that would have to be copied, as it does not fit: then nothing is. */
    async refuse(neededBytes: number, capacityBytes: number): Promise<void> {
      const hint = "bytes of this cart, and that the staging cache can hold";
      const error = new AppError("staging_full", { expected: neededBytes, found: capacityBytes, hint });
      for await (const entry of run.left()) if (isRemote(entry)) run.failed(entry, error);
    },

    /**
     * @param firstLookMs the pause after the first look, when it has been put off before.
     * @returns what is left to be read and checked.
     * @throws PutOff, with the pause, when there is nothing to do for long.
     */
    async bring(firstLookMs = FIRST_LOOK_MS): Promise<Amounts> {
      for (let lookMs = Math.min(LONGEST_LOOK_MS, firstLookMs); ; lookMs = Math.min(LONGEST_LOOK_MS, 2 * lookMs)) {
        const { waiting, arrived, readyAt, unchecked } = await look();
        await run.show({ readyAt });
        if (waiting === 0) return unchecked;
        if (arrived > 0) lookMs = FIRST_LOOK_MS;
        if (lookMs >= PUT_OFF_MS) throw new PutOff(lookMs);
        await clock.sleep(lookMs, run.signal);
        run.signal.throwIfAborted();
      }
    },
  };
}

function isRemote(entry: CartEntry): entry is RemoteEntry {
  return entry.location.at === "remote";
}

function mustBeRead({ crc32, digest, expected }: CartEntry): boolean {
  return crc32 === null || digest === null || expected !== null;
}

function isCode(error: unknown, code: AppError["code"]): boolean {
  return error instanceof AppError && error.code === code;
}

async function* counted(
  bytes: AsyncIterable<Uint8Array>,
  passed: (sizeBytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    passed(chunk.length);
    yield chunk;
  }
}
