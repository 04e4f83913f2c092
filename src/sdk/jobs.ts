import { backoff } from "./backoff.ts";
import { bodyOf, type Connection, jsonBody } from "./connection.ts";
import { LongshoreError } from "./errors.ts";
import { eventStream } from "./event-stream.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";
import { silenceGuard } from "./silence.ts";
import type { Job, JobState } from "./types.ts";

/** The server says something at least every 15 s; a stream silent for longer than this is dead and opened anew. */
const SILENCE_MS = 45_000;

export interface JobFilter extends PageOptions {
  readonly state?: JobState;
  readonly kind?: string;
  readonly owner?: string;
}

/** `progress` carries the whole job; the others are lines of its history, numbered by `seq`. */
export type JobNews =
  | { readonly type: "progress"; readonly job: Job }
  | {
      readonly type: "state" | "task" | "note";
      readonly seq: number;
      readonly data: Readonly<Record<string, unknown>>;
    };

export interface WatchOptions {
  /** Only what came after this line of the history. */
  readonly after?: number;
  readonly signal?: AbortSignal | undefined;
  /** Told when the connection broke and is about to be opened anew. */
  readonly onRetry?: ((error: LongshoreError, pauseMs: number) => void) | undefined;
}

export interface JobsApi {
  get(id: number): Promise<Job>;
  /** Newest first. */
  list(filter?: JobFilter): Listing<Job>;
  /**
   * The job's history, then what happens, until it is finished. A broken connection is opened anew where it broke off:
   * no line is missed or repeated.
   */
  watch(id: number, options?: WatchOptions): AsyncGenerator<JobNews, void, undefined>;
  /** Watches until the job is finished, however it ends. */
  wait(id: number, options?: WatchOptions & { onNews?(news: JobNews): void }): Promise<Job>;
  cancel(id: number): Promise<Job>;
  retry(id: number): Promise<Job>;
  /** An operator's decision about a job that no worker holds. */
  setState(id: number, state: JobState, reason: string): Promise<Job>;
  /** From -10 to 10, for operators: higher is begun sooner. */
  setPriority(id: number, priority: number): Promise<Job>;
}

export function jobsApi(connection: Connection): JobsApi {
  const get = (id: number) => connection.json<Job>(`/jobs/${id}`);

  async function* watch(id: number, options: WatchOptions = {}): AsyncGenerator<JobNews, void, undefined> {
    const retry = backoff({ signal: options.signal, onRetry: options.onRetry });
    let after = options.after ?? 0;
    for (;;) {
      const silence = silenceGuard(SILENCE_MS, options.signal);
      try {
        const response = await silence.during(
          connection.send(`/jobs/${id}/events`, {
            headers: { accept: "text/event-stream", "last-event-id": String(after) },
            signal: silence.signal,
          }),
        );
        for await (const message of eventStream(silence.guarded(bodyOf(response, silence.signal)))) {
          retry.progressed();
          const seq = Number(message.id ?? after);
          after = seq;
          const data = JSON.parse(message.data);
          if (message.event === "progress" || message.event === "end") yield { type: "progress", job: data };
          if (message.event === "end") return;
          if (message.event === "state" || message.event === "task" || message.event === "note")
            yield { type: message.event, seq, data };
        }
        throw new LongshoreError("server_unavailable", "The server closed the stream before the job was finished.");
      } catch (error) {
        await retry.pause(error);
      }
    }
  }

  return {
    get,
    list: ({ signal, ...filter } = {}) => listing<Job>(connection, "/jobs", filter, signal),
    watch,
    async wait(id, options = {}) {
      for await (const news of watch(id, options)) options.onNews?.(news);
      return get(id);
    },
    cancel: (id) => connection.json<Job>(`/jobs/${id}/cancel`, { method: "POST" }),
    retry: (id) => connection.json<Job>(`/jobs/${id}/retry`, { method: "POST" }),
    setState: (id, state, reason) => connection.json<Job>(`/jobs/${id}`, jsonBody("PATCH", { state, reason })),
    setPriority: (id, priority) => connection.json<Job>(`/jobs/${id}`, jsonBody("PATCH", { priority })),
  };
}
