import type { Readable } from "node:stream";
import type { ByteRange, GatherPart } from "../../../core/archive/object-storage.ts";

/** Of a smaller part, the next one is hardly of the same file. */
const LEAST_BYTES = 512 * 1024;
/** What is asked for at once, of which the server sends no more than is taken. */
const RUN_BYTES = 1024 ** 3;
const IDLE_MS = 5_000;
const MOST_RUNS = 64;

/** Reads a part into `target`. @returns how many bytes there were. */
export type ReadPart = (part: Omit<GatherPart, "at" | "crc">, target: Uint8Array) => Promise<number>;

export interface ReadAhead {
  readonly read: ReadPart;
  close(): void;
}

export interface ReadAheadParts {
  open(path: string, range: ByteRange): Promise<AsyncGenerator<Uint8Array, void>>;
  /** The whole file, asked for once: what comes may break off. */
  openWhole(path: string): Promise<{ readonly body: Readable; readonly sizeBytes: number }>;
}

/** A body that is read part after part. */
interface Run {
  readonly path: string;
  /** Where the next part must begin to be of it. */
  next: number;
  readonly end: number;
  /** Ends when what was asked for before has been read. */
  turn: Promise<unknown>;
  chunks(): Promise<AsyncGenerator<Uint8Array, void>>;
  /** Read, and not asked for yet. */
  rest: Uint8Array;
  drop(): void;
  idle: NodeJS.Timeout | undefined;
}

/**
 * Parts of a large file that are asked for one after the other come from one request, not from one each: of 128 MiB in windows
 * of 1 MiB, that is what takes most of the time (74 MiB/s, where one request brings 200; 2026-11-22).
 */
export function readAhead({ open, openWhole }: ReadAheadParts): ReadAhead {
  const runs = new Set<Run>();

  function begin(path: string, start: number): Run {
    let chunks: Promise<AsyncGenerator<Uint8Array, void>> | undefined;
    const end = start + RUN_BYTES;
    const run: Run = {
      path,
      next: start,
      end,
      turn: Promise.resolve(),
      rest: new Uint8Array(),
      idle: undefined,
      chunks() {
        chunks ??= open(path, { start, end: end - 1 });
        return chunks;
      },
      drop() {
        clearTimeout(run.idle);
        runs.delete(run);
        // Whoever waits for it is told what it met.
        chunks?.then((opened) => opened.return()).catch(() => undefined);
      },
    };
    if (runs.size >= MOST_RUNS) for (const one of runs) if (one.idle) one.drop();
    if (runs.size < MOST_RUNS) runs.add(run);
    return run;
  }

  async function take(run: Run, sizeBytes: number, target: Uint8Array): Promise<number> {
    const chunks = await run.chunks();
    let found = 0;
    while (found < sizeBytes) {
      if (run.rest.byteLength === 0) {
        const { value, done } = await chunks.next();
        if (done) break;
        run.rest = value;
      }
      const some = run.rest.subarray(0, sizeBytes - found);
      target.set(some, found);
      found += some.byteLength;
      run.rest = run.rest.subarray(some.byteLength);
    }
    return found;
  }

  /**
   * The beginning of a file, asked for without a range: Ceph answers sooner then.
   * @returns whether it came: what is shorter than it should be, or breaks off, is asked for by its range, which tells why.
   */
  async function fromBeginning({ path, sizeBytes }: Parameters<ReadPart>[0], target: Uint8Array): Promise<boolean> {
    const { body, sizeBytes: length } = await openWhole(path);
    body.on("error", () => undefined);
    let found = 0;
    try {
      for await (const chunk of body.iterator({ destroyOnReturn: false })) {
        const some = (chunk as Uint8Array).subarray(0, sizeBytes - found);
        target.set(some, found);
        found += some.byteLength;
        if (found === sizeBytes) break;
      }
    } catch {
      return false;
    } finally {
      // A little more is read, so that the connection can be used again.
      if (found === sizeBytes && length - sizeBytes <= LEAST_BYTES) body.resume();
      else body.destroy();
    }
    return found === sizeBytes;
  }

  async function plainly({ path, start, sizeBytes }: Parameters<ReadPart>[0], target: Uint8Array): Promise<number> {
    let found = 0;
    for await (const chunk of await open(path, { start, end: start + sizeBytes - 1 })) {
      target.set(chunk, found);
      found += chunk.byteLength;
    }
    return found;
  }

  return {
    async read(part, target) {
      const { path, start, sizeBytes } = part;
      const going = [...runs].find((one) => one.path === path && one.next === start && start + sizeBytes <= one.end);
      if (!going && sizeBytes < LEAST_BYTES) {
        const isBegun = start === 0 && sizeBytes > 0 && (await fromBeginning(part, target));
        return isBegun ? sizeBytes : plainly(part, target);
      }
      const run = going ?? begin(path, start);
      clearTimeout(run.idle);
      run.idle = undefined;
      run.next += sizeBytes;
      const { next } = run;
      const result = run.turn.then(() => take(run, sizeBytes, target));
      run.turn = result;
      try {
        const found = await result;
        if (found < sizeBytes || next === run.end || !runs.has(run)) run.drop();
        else if (run.next === next) run.idle = setTimeout(run.drop, IDLE_MS).unref();
        return found;
      } catch (error) {
        run.drop();
        throw error;
      }
    },
    close() {
      for (const run of runs) run.drop();
    },
  };
}
