import type { TreeWriter, WrittenFile } from "../../../core/archive/object-storage.ts";
import type { DigestName } from "../../../core/digest.ts";
import { AppError } from "../../../core/errors.ts";
import { storageError } from "./errors.ts";
import type { Answer, Failure, Step } from "./writer-protocol.ts";
import type { WriterThreads } from "./writer-threads.ts";

const SLAB_BYTES = 1024 * 1024;
/** A slab as full as this goes out at the end of a file: files smaller than the rest are then not cut in two. */
const SLAB_LOW = (3 / 4) * SLAB_BYTES;
/** Batches a writer may have under way before its caller waits: with their slabs, what bounds its memory. */
const BATCHES_AHEAD = 6;
/** A batch goes out when it has this many steps, however few bytes: 200,000 empty files must not pile up. */
const STEPS_PER_BATCH = 4096;
/** A batch that is not full goes out after this long, so that a slow sender's bytes reach the disk as they come. */
const IDLE_MS = 100;

type Slab = Uint8Array<SharedArrayBuffer>;

/** Memory that carries bytes to the lanes, used again: the system takes longer to hand out memory than we to fill it. */
export interface Slabs {
  take(): Slab;
  giveBack(slab: Slab): void;
}

export function slabs(): Slabs {
  const spare: Slab[] = [];
  return {
    take: () => spare.pop() ?? new Uint8Array(new SharedArrayBuffer(SLAB_BYTES)),
    giveBack(slab) {
      if (spare.length < BATCHES_AHEAD) spare.push(slab);
    },
  };
}

/**
 * Writes files below `folder`. Large files are shared by two lanes, so that two cores work on them: of 1 GiB, SHA-512 takes
 * 1.7 s, and writing, CRC-32 and SHA-1 together 1.2 to 2 s. Small ones stay in one lane, as their hashing is little beside
 * their making (4 KiB: 50 µs to create, write and close, 12 µs to hash) and to hand them on costs more than it saves.
 */
export function fsTreeWriter(
  threads: WriterThreads,
  slabs: Slabs,
  folder: string,
  algorithms: readonly DigestName[],
): TreeWriter {
  const own = algorithms.filter((_, i) => i % 2 === 1);
  const beside = algorithms.filter((_, i) => i % 2 === 0);
  const lanes = threads.lanes(beside.length > 0 ? [folder, undefined] : [folder]);
  /** Of files begun whose facts are not known yet. */
  const paths: string[] = [];
  let written: WrittenFile[] = [];
  let slab: Slab | undefined;
  let used = 0;
  let steps: Step[] = [];
  let inFile = false;
  /** Whether the batch began within a file. */
  let continues = false;
  let timer: NodeJS.Timeout | undefined;
  let underWay = 0;
  /** Ends with the batch sent last; never rejects. */
  let settled = Promise.resolve();
  let turn: PromiseWithResolvers<void> | undefined;
  let failure: unknown;
  let closed: Promise<void> | undefined;

  function send(last = false): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const batch = { steps, slab: slab?.buffer, last };
    const posted =
      continues || inFile || last
        ? lanes.map((lane, i) => lane.post({ ...batch, algorithms: i === 0 ? own : beside }))
        : lanes.slice(0, 1).map((lane) => lane.post({ ...batch, algorithms }));
    underWay += 1;
    settled = settle(Promise.all(posted), slab, settled);
    continues = inFile;
    steps = [];
    slab = undefined;
    used = 0;
    return settled;
  }

  /** @param before ends with the batch before this one: lanes are not equally fast, and files keep their order. */
  async function settle(posted: Promise<Answer[]>, slab: Slab | undefined, before: Promise<void>): Promise<void> {
    try {
      const answers = await posted;
      await before;
      collect(answers);
    } catch (error) {
      fail(error);
    }
    underWay -= 1;
    if (slab) slabs.giveBack(slab);
    if (underWay < BATCHES_AHEAD) {
      turn?.resolve();
      turn = undefined;
    }
  }

  /** What both lanes know of the same files, in the same order, becomes one. @throws what one of them met. */
  function collect(answers: readonly Answer[]): void {
    const failed = answers.find((answer) => answer.failure)?.failure;
    if (failed) throw errorOf(failed);
    const [first, second] = answers;
    const ended = first?.files ?? [];
    for (const [i, path] of paths.splice(0, ended.length).entries()) {
      const file = ended[i];
      if (file) written.push({ path, ...file, digests: { ...second?.files[i]?.digests, ...file.digests } });
    }
  }

  function take(): readonly WrittenFile[] {
    const taken = written;
    written = [];
    return taken;
  }

  function fail(error: unknown): void {
    failure ??= error;
    turn?.reject(failure);
    turn = undefined;
  }

  function add(step: Step): void {
    const last = steps.at(-1);
    if (typeof step === "number" && typeof last === "number") steps[steps.length - 1] = last + step;
    else steps.push(step);
    if (used === SLAB_BYTES || steps.length >= STEPS_PER_BATCH || (step === null && used >= SLAB_LOW)) void send();
    else timer ??= setTimeout(() => void send(), IDLE_MS).unref();
  }

  function close(): Promise<void> {
    closed ??= send(true);
    return closed;
  }

  return {
    begin(path) {
      if (inFile || closed) throw new Error("begin: the file before has not ended, or the writer is closed.");
      inFile = true;
      paths.push(path);
      add(path);
    },
    write(chunk) {
      if (failure) return Promise.reject(failure);
      if (!inFile) throw new Error("write: no file has begun.");
      for (let at = 0; at < chunk.byteLength; ) {
        slab ??= slabs.take();
        const part = chunk.subarray(at, at + SLAB_BYTES - used);
        slab.set(part, used);
        used += part.byteLength;
        at += part.byteLength;
        add(part.byteLength);
      }
      if (underWay < BATCHES_AHEAD) return undefined;
      turn ??= Promise.withResolvers();
      return turn.promise;
    },
    end() {
      if (!inFile) throw new Error("end: no file has begun.");
      inFile = false;
      add(null);
    },
    take,
    async finish() {
      if (inFile && !failure) throw new Error("finish: the last file has not ended.");
      await close();
      if (failure) throw failure;
      return take();
    },
    async abort() {
      if (!closed) {
        inFile = false;
        steps = [];
        failure ??= new Error("The writer was aborted.");
      }
      await close();
    },
  };
}

function errorOf({ message, code, path }: Failure): unknown {
  const error = Object.assign(new Error(message), code === undefined ? {} : { code });
  return code === "EEXIST" && path ? new AppError("object_exists", { path }, { cause: error }) : storageError(error);
}
