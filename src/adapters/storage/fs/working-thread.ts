import { extname } from "node:path";
import { Worker } from "node:worker_threads";

/** A thread that lets the process exit while it is idle, and not while it has work. */
export interface WorkingThread {
  readonly worker: Worker;
  /** One more piece of work is under way. */
  begin(): void;
  end(): void;
  close(): Promise<void>;
}

/**
 * @param file of the code it runs, beside this one, without its extension.
 * @param data its `workerData`.
 */
export function startWorkingThread(file: string, data?: unknown): WorkingThread {
  // The sources run as .ts, the published build as .js. Flags of the process, such as `--input-type`, are not for it.
  const code = new URL(`./${file}${extname(import.meta.url)}`, import.meta.url);
  const worker = new Worker(code, { execArgv: [], workerData: data });
  let underWay = 0;
  /** From then on the thread's end is awaited: a late answer must not let the process exit before. */
  let isClosing = false;
  worker.unref();

  return {
    worker,
    begin() {
      underWay += 1;
      if (underWay === 1) worker.ref();
    },
    end() {
      underWay -= 1;
      if (underWay === 0 && !isClosing) worker.unref();
    },
    async close() {
      isClosing = true;
      await worker.terminate();
    },
  };
}
