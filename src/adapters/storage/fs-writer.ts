import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { TreeWriter, WrittenFile } from "../../core/archive/object-storage.ts";
import type { DigestName } from "../../core/digest.ts";
import { AppError } from "../../core/errors.ts";
import { storageError } from "./fs-errors.ts";
import type { Answer, Batch, Failure, Step } from "./fs-writer-protocol.ts";

const SLAB_BYTES = 1024 * 1024;
/** Slabs a writer may have under way before its caller waits; with the spare ones, this bounds memory per writer. */
const SLABS_AHEAD = 6;
/** A batch goes out when it has this many steps, however few bytes: 200,000 empty files must not pile up. */
const STEPS_PER_BATCH = 4096;
/** A batch that is not full goes out after this long, so that a slow sender's bytes reach the disk as they come. */
const IDLE_MS = 100;

/** The threads that write and hash, started when first needed. */
export interface WriterThreads {
  writer(folder: string, algorithms: readonly DigestName[]): TreeWriter;
  /** Writers that are still at work fail. */
  close(): Promise<void>;
}

export function writerThreads(count: number): WriterThreads {
  const threads: WriterThread[] = [];
  const spare: ArrayBuffer[] = [];
  const slabs: Slabs = {
    take: () => spare.pop() ?? new ArrayBuffer(SLAB_BYTES),
    giveBack(slab) {
      if (spare.length < SLABS_AHEAD) spare.push(slab);
    },
  };
  let writers = 0;
  return {
    writer(folder, algorithms) {
      if (threads.length < count && threads.every((thread) => thread.load() > 0)) threads.push(writerThread());
      const idlest = threads.reduce((a, b) => (b.load() < a.load() ? b : a));
      writers += 1;
      return treeWriter(writers, idlest, slabs, folder, algorithms);
    },
    async close() {
      await Promise.all(threads.splice(0).map((thread) => thread.close()));
    },
  };
}

interface Slabs {
  take(): ArrayBuffer;
  giveBack(slab: ArrayBuffer): void;
}

interface WriterThread {
  /** Writers that are not finished. */
  load(): number;
  attach(writer: number, listener: Listener): void;
  detach(writer: number): void;
  send(batch: Batch): void;
  close(): Promise<void>;
}

interface Listener {
  answered(answer: Answer): void;
  /** The thread is gone; no more answers come. */
  died(cause: Error): void;
}

function writerThread(): WriterThread {
  const worker = new Worker(new URL(`./fs-writer-thread${extname(import.meta.url)}`, import.meta.url));
  const listeners = new Map<number, Listener>();
  let underWay = 0;
  let death: Error | undefined;

  function die(cause: Error): void {
    death ??= cause;
    for (const listener of listeners.values()) listener.died(death);
    listeners.clear();
  }
  worker.on("message", (answer: Answer) => {
    underWay -= 1;
    if (underWay === 0) worker.unref();
    listeners.get(answer.writer)?.answered(answer);
  });
  worker.on("error", (error: Error) => die(error));
  worker.on("exit", () => die(new Error("The writer thread has ended.")));
  worker.unref();

  return {
    load: () => listeners.size,
    attach(writer, listener) {
      listeners.set(writer, listener);
    },
    detach: (writer) => listeners.delete(writer),
    send(batch) {
      if (death) {
        listeners.get(batch.writer)?.died(death);
        return;
      }
      // An idle thread lets the process exit; one with work does not.
      if (underWay === 0) worker.ref();
      underWay += 1;
      worker.postMessage(batch, batch.slab ? [batch.slab] : []);
    },
    async close() {
      await worker.terminate();
    },
  };
}

function treeWriter(
  id: number,
  thread: WriterThread,
  slabs: Slabs,
  folder: string,
  algorithms: readonly DigestName[],
): TreeWriter {
  const written: WrittenFile[] = [];
  const closed = Promise.withResolvers<void>();
  let slab: Uint8Array<ArrayBuffer> | undefined;
  let used = 0;
  let steps: Step[] = [];
  let inFile = false;
  let timer: NodeJS.Timeout | undefined;
  let underWay = 0;
  let turn: PromiseWithResolvers<void> | undefined;
  let failure: unknown;
  let closing = false;

  thread.attach(id, {
    answered(answer) {
      underWay -= 1;
      if (answer.slab?.byteLength === SLAB_BYTES) slabs.giveBack(answer.slab);
      for (const file of answer.files) written.push(file);
      if (answer.failure) fail(errorOf(answer.failure));
      if (underWay < SLABS_AHEAD) {
        turn?.resolve();
        turn = undefined;
      }
      if (closing && underWay === 0) settle();
    },
    died(cause) {
      fail(cause);
      settle();
    },
  });

  function fail(error: unknown): void {
    failure ??= error;
    turn?.reject(failure);
    turn = undefined;
  }
  function settle(): void {
    clearTimeout(timer);
    thread.detach(id);
    closed.resolve();
  }
  function send(last = false): void {
    clearTimeout(timer);
    timer = undefined;
    underWay += 1;
    const batch = { writer: id, folder, algorithms, steps, slab: slab?.buffer, last };
    slab = undefined;
    used = 0;
    steps = [];
    thread.send(batch);
  }
  function step(next: string | null): void {
    steps.push(next);
    if (steps.length >= STEPS_PER_BATCH) send();
    else timer ??= setTimeout(send, IDLE_MS).unref();
  }
  function take(bytes: number): void {
    const previous = steps.length - 1;
    const soFar = steps[previous];
    if (typeof soFar === "number") steps[previous] = soFar + bytes;
    else steps.push(bytes);
    timer ??= setTimeout(send, IDLE_MS).unref();
  }
  function close(): Promise<void> {
    if (!closing) {
      closing = true;
      send(true);
    }
    return closed.promise;
  }

  return {
    begin(path) {
      if (inFile || closing) throw new Error("begin: the file before has not ended, or the writer is closed.");
      inFile = true;
      step(path);
    },
    write(chunk) {
      if (failure) return Promise.reject(failure);
      if (!inFile) throw new Error("write: no file has begun.");
      for (let at = 0; at < chunk.byteLength; ) {
        slab ??= new Uint8Array(slabs.take());
        const taken = Math.min(chunk.byteLength - at, SLAB_BYTES - used);
        slab.set(chunk.subarray(at, at + taken), used);
        take(taken);
        used += taken;
        at += taken;
        if (used === SLAB_BYTES) send();
      }
      if (underWay < SLABS_AHEAD) return undefined;
      turn ??= Promise.withResolvers();
      return turn.promise;
    },
    end() {
      if (!inFile) throw new Error("end: no file has begun.");
      inFile = false;
      step(null);
    },
    async finish() {
      if (inFile && !failure) throw new Error("finish: the last file has not ended.");
      await close();
      if (failure) throw failure;
      return written;
    },
    async abort() {
      if (!closing) {
        inFile = false;
        failure ??= new Error("The writer was aborted.");
        steps = [];
      }
      await close();
    },
  };
}

function errorOf({ message, code, path }: Failure): unknown {
  const error = Object.assign(new Error(message), code === undefined ? {} : { code });
  return code === "EEXIST" && path ? new AppError("object_exists", { path }, { cause: error }) : storageError(error);
}
