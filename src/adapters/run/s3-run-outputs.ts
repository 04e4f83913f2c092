import type { OutputWriter, RunOutputs } from "../../core/schedules/run-outputs.ts";
import { mapInOrder } from "../../core/streams.ts";
import type { S3Object, S3Objects } from "../s3/objects.ts";

const SEGMENT_BYTES = 512 * 1024;
/** How old what is shown of a running one may be. */
const SHOWN_AFTER_MS = 2_000;
const READS_AHEAD = 2;

export interface S3RunOutputsParts {
  readonly objects: S3Objects;
  /** As of outputs in files. Default: 512 KiB. */
  readonly segmentBytes?: number;
  /** Default: 2 s. */
  readonly shownAfterMs?: number;
}

/**
 * Segments as objects, with the same rules as {@link runOutputs} has for files: the first and the last two stay. Objects do
 * not grow, so the last one is written anew, some seconds after something was printed, and when it is full. Of a process that
 * is killed these last seconds are missing.
 */
export function s3RunOutputs(parts: S3RunOutputsParts): RunOutputs {
  const { objects, segmentBytes = SEGMENT_BYTES, shownAfterMs = SHOWN_AFTER_MS } = parts;

  async function* pathsBelow(folder: string): AsyncGenerator<string> {
    for await (const { path } of objects.list(`${folder}/`)) yield path;
  }

  const segments = (run: string) => Array.fromAsync(objects.list(`${run}/`));
  // One that goes in between is one of those that are left out.
  const bytesOf = async ({ path }: S3Object) => (await objects.get(path)) ?? Buffer.alloc(0);

  async function* textOf(list: readonly S3Object[]): AsyncGenerator<Uint8Array> {
    let end = 0;
    const read = mapInOrder(list, READS_AHEAD, async (one) => ({ offset: offsetOf(one), bytes: await bytesOf(one) }));
    for await (const { offset, bytes } of read) {
      if (offset > end) yield Buffer.from(`\n[… ${offset - end} bytes are left out …]\n`);
      if (bytes.length > 0) yield bytes;
      end = offset + bytes.length;
    }
  }

  return {
    async create(run) {
      await objects.remove(pathsBelow(run));
      return writer({ objects, run, segmentBytes, shownAfterMs });
    },

    async read(run) {
      const list = await segments(run);
      return list.length === 0 ? undefined : textOf(list);
    },

    async size(run) {
      const last = (await segments(run)).at(-1);
      return last === undefined ? 0 : offsetOf(last) + last.sizeBytes;
    },

    async tail(run, bytes) {
      const last = (await segments(run)).slice(-2);
      return Buffer.concat(await Promise.all(last.map(bytesOf)))
        .subarray(-bytes)
        .toString("utf8");
    },

    remove: (run) => objects.remove(pathsBelow(run)),
    removeAll: (schedule) => objects.remove(pathsBelow(schedule)),
  };
}

/** In a form in which they are listed in their order. */
const segmentPath = (run: string, offset: number) => `${run}/${String(offset).padStart(16, "0")}`;
const offsetOf = ({ path }: S3Object) => Number(path.slice(path.lastIndexOf("/") + 1));

function writer({ objects, run, segmentBytes, shownAfterMs }: Required<S3RunOutputsParts> & { readonly run: string }) {
  /** Offsets of the segments that are there. */
  let kept: readonly number[] = [];
  /** Where the last one begins, and what is in it. */
  let begin = 0;
  let held: Buffer[] = [];
  let bytes = 0;
  /** What was written to the store last, of all that was printed. */
  let written = 0;
  let writing: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  async function putSegment(): Promise<void> {
    if (written === bytes) return;
    const end = bytes;
    await objects.put(segmentPath(run, begin), Buffer.concat(held));
    written = end;
    if (!kept.includes(begin)) kept = [...kept, begin];
    const [first, ...others] = kept;
    if (first === undefined || others.length <= 2) return;
    kept = [first, ...others.slice(-2)];
    await objects.remove(others.slice(0, -2).map((offset) => segmentPath(run, offset)));
  }

  /** After whatever is under way; a failure is this one's own. */
  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const flushed = writing.then(putSegment);
    // Whoever comes next writes the same bytes, and more, and tells what that meets.
    writing = flushed.catch(() => undefined);
    return flushed;
  }

  function showSoon(): void {
    timer ??= setTimeout(() => {
      flush().catch(() => undefined); // told when the segment is full, or at the end
    }, shownAfterMs);
    timer.unref();
  }

  return {
    get bytes() {
      return bytes;
    },
    async write(chunk) {
      for (let at = 0; at < chunk.length; ) {
        const part = chunk.subarray(at, at + segmentBytes - (bytes - begin));
        held.push(Buffer.from(part));
        bytes += part.length;
        at += part.length;
        if (bytes - begin < segmentBytes) {
          showSoon();
          continue;
        }
        await flush();
        [begin, held] = [bytes, []];
      }
    },
    close: flush,
  } satisfies OutputWriter;
}
