import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { OutputWriter, RunOutputs } from "../../core/schedules/run-outputs.ts";

const SEGMENT_BYTES = 512 * 1024;

export interface RunOutputsOptions {
  /** Made when the first run prints something. */
  readonly root: string;
  /** Kept are the first segment and the last two: at most three times this of each run. Default: 512 KiB. */
  readonly segmentBytes?: number;
}

interface Segment {
  readonly path: string;
  /** Of its first byte in all that was printed: its name. */
  readonly offset: number;
  readonly size: number;
}

/**
 * A folder for each run, with files named for where in the output they begin: `0`, then every half MiB another. As a new one
 * is begun, the oldest but the first goes. So what is there after a crash needs no repair to be read, and says itself
 * what is missing.
 */
export function runOutputs({ root, segmentBytes = SEGMENT_BYTES }: RunOutputsOptions): RunOutputs {
  const folderOf = (run: string) => join(root, run);

  async function segments(run: string): Promise<readonly Segment[]> {
    const folder = folderOf(run);
    const names = await readdir(folder).catch(absent<string[]>([]));
    const found = await Promise.all(
      names.map(async (name) => {
        const path = join(folder, name);
        // One that goes in between is one of those that are left out.
        const facts = await stat(path).catch(absent(undefined));
        return facts && { path, offset: Number(name), size: facts.size };
      }),
    );
    return found.filter((one) => one !== undefined).sort((a, b) => a.offset - b.offset);
  }

  async function* textOf(list: readonly Segment[]): AsyncGenerator<Uint8Array> {
    let end = 0;
    for (const { path, offset, size } of list) {
      if (offset > end) yield Buffer.from(`\n[… ${offset - end} bytes are left out …]\n`);
      if (size > 0) yield* createReadStream(path, { end: size - 1 });
      end = offset + size;
    }
  }

  return {
    async create(run) {
      await rm(folderOf(run), { recursive: true, force: true });
      return writer(folderOf(run), segmentBytes);
    },

    async read(run) {
      const list = await segments(run);
      return list.length === 0 ? undefined : textOf(list);
    },

    async size(run) {
      const last = (await segments(run)).at(-1);
      return last === undefined ? 0 : last.offset + last.size;
    },

    async tail(run, bytes) {
      const last = (await segments(run)).slice(-2);
      const read = await Promise.all(last.map(({ path }) => readFile(path)));
      return Buffer.concat(read).subarray(-bytes).toString("utf8");
    },

    async remove(run) {
      await rm(folderOf(run), { recursive: true, force: true });
    },

    async removeAll(schedule) {
      await rm(dirname(folderOf(`${schedule}/0`)), { recursive: true, force: true });
    },
  };
}

function writer(folder: string, segmentBytes: number): OutputWriter {
  let file: FileHandle | undefined;
  let bytes = 0;
  /** Names of the segments that are there. */
  let kept: readonly number[] = [];

  async function next(): Promise<FileHandle> {
    await file?.close();
    file = undefined;
    await mkdir(folder, { recursive: true });
    const opened = await open(join(folder, String(bytes)), "a", 0o600);
    file = opened;
    const [first, ...others] = [...kept, bytes];
    const gone = others.slice(0, -2);
    kept = [...(first === undefined ? [] : [first]), ...others.slice(-2)];
    for (const offset of gone) await rm(join(folder, String(offset)), { force: true });
    return opened;
  }

  return {
    get bytes() {
      return bytes;
    },
    async write(chunk) {
      for (let at = 0; at < chunk.length; ) {
        const room = segmentBytes - (bytes % segmentBytes);
        const target = file === undefined || room === segmentBytes ? await next() : file;
        const part = chunk.subarray(at, at + room);
        const { bytesWritten } = await target.write(part);
        bytes += bytesWritten;
        at += bytesWritten;
      }
    },
    async close() {
      await file?.close();
      file = undefined;
    },
  };
}

/** Something that is not there, or not any more. */
function absent<T>(instead: T) {
  return (error: unknown): T => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return instead;
    throw error;
  };
}
