import { crc32 } from "node:zlib";
import type { TreeWriter, WrittenFile } from "../../../core/archive/object-storage.ts";
import type { DigestName, Digests } from "../../../core/digest.ts";
import type { S3Store } from "../../s3/client.ts";
import { type BodyDigests, beginParts, type PartedUpload, partBytes, putObject } from "../../s3/send.ts";
import type { Answer, Step } from "../fs/writer-protocol.ts";
import type { Lane, WriterThreads } from "../fs/writer-threads.ts";
import { exists } from "./trees.ts";

const SLAB_BYTES = partBytes(0);
/** Slabs that a writer may have under way before its caller waits; parts of very large files count as several. */
const SLABS_AHEAD = 4;
/** Requests of a writer at a time. */
const REQUESTS_AT_ONCE = 32;
/** A slab goes out with this many files, however few bytes. */
const FILES_PER_SLAB = 256;
/** A slab with whole files in it goes out after this long, so that a slow sender's files reach the bucket as they come. */
const IDLE_MS = 100;

type Slab = Uint8Array<SharedArrayBuffer>;

/** A file from `begin` on, until its facts are taken. */
interface File {
  readonly path: string;
  sizeBytes: number;
  crc32: number;
  /** Once it is larger than a slab. */
  upload: Promise<PartedUpload> | undefined;
  /** Of its parts; the last of them ends when the object is there. */
  sending: Promise<unknown>[];
  facts: WrittenFile | undefined;
}

/** What lies in a slab of one file: all of it, or a part. */
interface Piece {
  readonly file: File;
  readonly at: number;
  readonly sizeBytes: number;
  /** From 0. */
  readonly part: number;
  readonly ends: boolean;
}

export interface S3WriterParts {
  readonly store: S3Store;
  readonly threads: WriterThreads;
  readonly algorithms: readonly DigestName[];
  readonly keyOf: (path: string) => string;
}

/**
 * Writes files to a bucket as their bytes come: small ones whole and many at a time, large ones in parts. Digests are
 * computed in threads, in three lanes: half of the algorithms each, and those of what is sent. Memory: some five slabs of
 * 8 MiB, and as many parts of a file beyond 800 MiB, whose parts grow (to 400 MiB at 1 TiB).
 */
export function s3TreeWriter({ store, threads, algorithms, keyOf }: S3WriterParts): TreeWriter {
  const lanes = threads.lanes([undefined, undefined, undefined]);
  const halves = [0, 1].map((half) => algorithms.filter((_, i) => i % 2 === half));
  const ofBodies: readonly DigestName[] = store.signsBodies ? ["md5", "sha256"] : ["md5"];
  const requests = turns(REQUESTS_AT_ONCE);
  const spare: Slab[] = [];
  /** In order; those whose facts are known and not taken yet come first. */
  const files: File[] = [];
  let slab: Slab | undefined;
  let used = 0;
  let pieces: Piece[] = [];
  let current: { readonly file: File; readonly at: number; readonly part: number } | undefined;
  let timer: NodeJS.Timeout | undefined;
  /** Bytes of slabs under way. */
  let underWay = 0;
  let hashed = Promise.resolve();
  const settling = new Set<Promise<void>>();
  let turn: PromiseWithResolvers<void> | undefined;
  let failure: unknown;
  let closed: Promise<void> | undefined;

  function fail(error: unknown): void {
    failure ??= error;
    turn?.reject(failure);
    turn = undefined;
  }

  /** Hands the slab over, with the pieces that are in it. */
  function send(last = false): void {
    clearTimeout(timer);
    timer = undefined;
    const load = { pieces, slab, sizeBytes: slab?.byteLength ?? 0 };
    [pieces, slab, used] = [[], undefined, 0];
    underWay += load.sizeBytes;
    const answers = Promise.all(post(lanes, [...halves, ofBodies], load, last));
    const before = hashed;
    // Threads are not equally fast, and files keep their order.
    const collected = Promise.all([answers, before]).then(([told]) => collect(load.pieces, told));
    hashed = collected.then(
      () => {},
      () => {},
    );
    const settled = collected
      .then((digests) => Promise.all(load.pieces.map((piece, i) => deliver(piece, load.slab, digests[i]))))
      .then(() => {}, fail)
      .then(() => {
        settling.delete(settled);
        underWay -= load.sizeBytes;
        if (load.slab?.byteLength === SLAB_BYTES && spare.length < SLABS_AHEAD) spare.push(load.slab);
        if (underWay >= SLABS_AHEAD * SLAB_BYTES) return;
        turn?.resolve();
        turn = undefined;
      });
    settling.add(settled);
  }

  /** Puts a whole file, or one part; with the last one, the file is there and its facts are known. */
  async function deliver(piece: Piece, from: Slab | undefined, told: Told | undefined): Promise<void> {
    const { file, at, sizeBytes, part, ends } = piece;
    if (failure || !told) return;
    const bytes = Buffer.from(from?.buffer ?? new SharedArrayBuffer(0), at, sizeBytes);
    const key = keyOf(file.path);
    if (part === 0 && ends) {
      const etag = await requests(() => putObject(store, key, bytes, { onlyIf: "absent", ...told.body }));
      if (etag === undefined) throw exists(file.path);
    } else {
      file.upload ??= beginParts(store, key);
      const { upload } = file;
      const send = async () => (await upload).send(part, bytes, told.body);
      if (sizeBytes > 0) file.sending.push(requests(send));
      await Promise.all(ends ? file.sending : file.sending.slice(-1));
      if (!ends) return;
      if ((await (await upload).complete({ onlyIf: "absent" })) === undefined) throw exists(file.path);
    }
    file.facts = { path: file.path, sizeBytes: file.sizeBytes, digests: told.digests, crc32: file.crc32 };
    file.upload = undefined;
  }

  function close(): Promise<void> {
    closed ??= (async () => {
      send(true);
      while (settling.size > 0) await Promise.all(settling);
      if (!failure) return;
      for (const { upload } of files) await (await upload?.catch(() => undefined))?.abort();
    })();
    return closed;
  }

  /** The slab is full. */
  function spill(): void {
    if (pieces.length > 0) carryOver();
    else if (current) {
      const { file, part } = current;
      pieces.push({ file, at: 0, sizeBytes: used, part, ends: false });
      send();
      current = { file, at: 0, part: part + 1 };
    }
  }

  /** Sends the files before the one that has begun, which goes on at the beginning of a slab of its own. */
  function carryOver(): void {
    const begun = slab && current && current.at < used ? slab.slice(current.at, used) : undefined;
    send();
    if (current) current = { ...current, at: 0 };
    if (!begun) return;
    slab = takeSlab(0);
    slab.set(begun);
    used = begun.byteLength;
  }

  return {
    begin(path) {
      if (current || closed) throw new Error("begin: the file before has not ended, or the writer is closed.");
      const file = { path, sizeBytes: 0, crc32: 0, upload: undefined, sending: [], facts: undefined };
      files.push(file);
      current = { file, at: used, part: 0 };
    },

    write(chunk) {
      if (failure) return Promise.reject(failure);
      if (!current) throw new Error("write: no file has begun.");
      const { file } = current;
      file.sizeBytes += chunk.byteLength;
      file.crc32 = crc32(chunk, file.crc32);
      for (let done = 0; done < chunk.byteLength; ) {
        slab ??= takeSlab(current.part);
        const room = slab.byteLength - used;
        if (room === 0) {
          spill();
          continue;
        }
        const some = chunk.subarray(done, done + room);
        slab.set(some, used);
        used += some.byteLength;
        done += some.byteLength;
      }
      return behind();
    },

    end() {
      if (!current) throw new Error("end: no file has begun.");
      const { file, at, part } = current;
      current = undefined;
      pieces.push({ file, at, sizeBytes: used - at, part, ends: true });
      if (part > 0 || pieces.length >= FILES_PER_SLAB) send();
      else timer ??= setTimeout(sendIdle, IDLE_MS).unref();
    },

    take,

    async finish() {
      if (current && !failure) throw new Error("finish: the last file has not ended.");
      await close();
      if (failure) throw failure;
      return take();
    },

    async abort() {
      if (!closed) {
        current = undefined;
        pieces = [];
        fail(new Error("The writer was aborted."));
      }
      await close();
    },
  };

  function take(): readonly WrittenFile[] {
    const count = files.findIndex(({ facts }) => facts === undefined);
    return files.splice(0, count === -1 ? files.length : count).flatMap(({ facts }) => facts ?? []);
  }

  function behind(): Promise<void> | undefined {
    if (underWay < SLABS_AHEAD * SLAB_BYTES) return undefined;
    turn ??= Promise.withResolvers();
    return turn.promise;
  }

  function takeSlab(part: number): Slab {
    const sizeBytes = partBytes(part);
    return (sizeBytes === SLAB_BYTES ? spare.pop() : undefined) ?? newSlab(sizeBytes);
  }

  /** Whole files do not wait for the one that has begun. */
  function sendIdle(): void {
    if (pieces.length > 0 && !failure) carryOver();
  }
}

const newSlab = (sizeBytes: number): Slab => new Uint8Array(new SharedArrayBuffer(sizeBytes));

/** What the threads have found of a piece; the digests are those of the file, known with its last piece. */
interface Told {
  readonly body: BodyDigests;
  readonly digests: Digests;
}

interface Load {
  readonly pieces: readonly Piece[];
  readonly slab: Slab | undefined;
}

/** In two lanes pieces are joined to files, in the third each is one of its own. */
function post(
  lanes: readonly Lane[],
  algorithms: readonly (readonly DigestName[])[],
  { pieces, slab }: Load,
  last: boolean,
) {
  const joined = pieces.flatMap(({ file, sizeBytes, part, ends }): Step[] => [
    ...(part === 0 ? [file.path] : []),
    sizeBytes,
    ...(ends ? [null] : []),
  ]);
  const single = pieces.flatMap(({ sizeBytes }): Step[] => ["", sizeBytes, null]);
  return lanes.map((lane, i) => {
    const steps = i === 2 ? single : joined;
    return lane.post({ algorithms: algorithms[i] ?? [], steps, slab: slab?.buffer, last });
  });
}

/** @throws what a lane has met. */
function collect(pieces: readonly Piece[], [first, second, third]: readonly Answer[]): readonly Told[] {
  const failed = [first, second, third].find((answer) => answer?.failure)?.failure;
  if (failed) throw new Error(failed.message);
  let ended = 0;
  return pieces.map(({ ends }, i): Told => {
    const digests = ends ? { ...first?.files[ended]?.digests, ...second?.files[ended]?.digests } : {};
    if (ends) ended += 1;
    const { md5 = "", sha256 } = third?.files[i]?.digests ?? {};
    return { body: { md5: Buffer.from(md5, "hex"), sha256 }, digests };
  });
}

/** Lets so many work at a time; the others wait in order. */
function turns(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let working = 0;
  return async (work) => {
    if (working >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else working += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else working -= 1;
    }
  };
}
