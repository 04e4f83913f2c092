import { ReadFailure } from "./read-failure.ts";
import type { Duty, Told } from "./thread-duties.ts";
import { startWorkingThread } from "./working-thread.ts";

/** Threads of one kind, started when first needed; a request goes to the least busy one. */
export interface Threads<Duties> {
  /** @throws ReadFailure what the duty threw; any other error when the thread has ended. */
  ask<Name extends keyof Duties & string>(
    duty: Name,
    request: RequestOf<Duties[Name]>,
    options?: AskOptions,
  ): Promise<AnswerOf<Duties[Name]>>;
  /** Requests that are not answered yet fail. */
  close(): Promise<void>;
}

export interface AskOptions {
  /** Handed over to the thread: no longer usable here. */
  readonly transfer?: readonly ArrayBuffer[];
  readonly onRead?: (bytes: number) => void;
}

type RequestOf<T> = T extends (request: infer Request, ...rest: never) => unknown ? Request : never;
type AnswerOf<T> = T extends (...args: never) => infer Answer ? Answer : never;

/**
 * @param file of the code they run, beside this one, without its extension.
 * @param data for all of them: their `workerData`.
 */
export function startThreads<Duties extends Readonly<Record<string, Duty>>>(
  file: string,
  most: number,
  data?: unknown,
): Threads<Duties> {
  const threads: Thread[] = [];

  function leastBusy(): Thread {
    const idle = threads.find((thread) => thread.load() === 0);
    if (idle) return idle;
    if (threads.length >= most) return threads.reduce((a, b) => (b.load() < a.load() ? b : a));
    const thread = startThread(file, data, () => threads.splice(threads.indexOf(thread), 1));
    threads.push(thread);
    return thread;
  }

  return {
    async ask<Name extends keyof Duties & string>(duty: Name, request: unknown, options: AskOptions = {}) {
      // The thread runs the very functions whose types these are.
      return (await leastBusy().ask(duty, request, options)) as AnswerOf<Duties[Name]>;
    },
    async close() {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

interface Thread {
  /** Requests that are not answered yet. */
  load(): number;
  ask(duty: string, request: unknown, options: AskOptions): Promise<unknown>;
  close(): Promise<void>;
}

interface Waiting extends PromiseWithResolvers<unknown> {
  readonly onRead: ((bytes: number) => void) | undefined;
}

/** @param onDeath called once, when the thread has ended for whatever reason. */
function startThread(file: string, data: unknown, onDeath: () => void): Thread {
  const { worker, begin, end, close } = startWorkingThread(file, data);
  const waiting = new Map<number, Waiting>();
  let last = 0;
  let cause: unknown = new Error("The reading thread has ended.");

  worker.on("message", (told: Told) => {
    const asker = waiting.get(told.id);
    if ("read" in told) return asker?.onRead?.(told.read);
    waiting.delete(told.id);
    end();
    if ("failure" in told) {
      const { message, code, details } = told.failure;
      asker?.reject(new ReadFailure(message, code, details));
    } else asker?.resolve(told.answer);
  });
  worker.on("error", (error) => {
    cause = error;
  });
  worker.on("exit", () => {
    for (const { reject } of waiting.values()) reject(cause);
    waiting.clear();
    onDeath();
  });

  return {
    load: () => waiting.size,
    ask(duty, request, { transfer = [], onRead }) {
      const answer = Promise.withResolvers<unknown>();
      last += 1;
      worker.postMessage({ id: last, duty, request }, transfer);
      begin();
      waiting.set(last, { ...answer, onRead });
      return answer.promise;
    },
    close,
  };
}
