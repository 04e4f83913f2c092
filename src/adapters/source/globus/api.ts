import type { Clock } from "../../../core/clock.ts";
import { AppError } from "../../../core/errors.ts";
import type { Exchange, ExchangeAnswer } from "../../../core/outbound/exchange.ts";
import type { HostPace } from "../../../core/outbound/host-pace.ts";

/** One entry of a listing, as far as it is used (Globus Transfer API, "File Operations", file document). */
export interface GlobusFile {
  readonly name: string;
  /** `file`, `dir`, `invalid_symlink`, …; of a link, what it leads to. */
  readonly type: string;
  readonly link_target?: string | null;
  readonly size?: number | null;
  /** As in `2024-05-06 07:08:09+00:00`. */
  readonly last_modified?: string | null;
}

/** Files to bring from one collection to another. Paths begin with `/`. */
export interface GlobusTransfer {
  readonly source: string;
  readonly destination: string;
  readonly files: readonly { readonly from: string; readonly to: string }[];
  /** Finds the task again, for whoever takes over from a process that died. */
  readonly label: string;
  /** Whether what is there with the same checksum is not copied again. */
  readonly isContinued: boolean;
}

/**
 * The Globus Transfer API, v0.10, as far as it is needed: docs.globus.org/api/transfer. What may pass is tried again a few
 * times.
 * @throws AppError endpoint_refused when the token is no good, remote_unavailable, remote_refused with Globus's own `code`
 * for everything else; the signal's reason.
 */
export interface GlobusApi {
  /** @param offset of the first entry wanted. */
  list(
    collection: string,
    folder: string,
    offset: number,
    signal: AbortSignal,
  ): Promise<{ readonly files: readonly GlobusFile[]; readonly isLast: boolean }>;
  stat(collection: string, path: string, signal: AbortSignal): Promise<GlobusFile>;
  /**
   * Transfers as one task, checksums compared, and waits for its end; aborted, it cancels the task.
   * @returns why files were left out, by where they were to be brought from.
   */
  transfer(transfer: GlobusTransfer, signal: AbortSignal): Promise<ReadonlyMap<string, string>>;
  /** Removes files as one task; those that are not there are no failure. */
  remove(collection: string, paths: readonly string[], label: string, signal: AbortSignal): Promise<void>;
  /** Waits until no task with this label is under way. */
  settle(label: string, signal: AbortSignal): Promise<void>;
}

export interface GlobusApiParts {
  /** With the version, without a slash at the end. */
  readonly url: string;
  readonly token: string;
  readonly exchange: Exchange;
  readonly pace: HostPace;
  readonly clock: Clock;
}

const ENTRIES_AT_ONCE = 10_000;
const ANSWER_BYTES = 64 * 1024 ** 2;
const HEAD_MS = 120_000;
const SILENCE_MS = 60_000;
const TRIES = 6;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** A task that has moved nothing for so long is given up: Globus itself would try for days. */
const STUCK_MS = 3_600_000;
const LONGEST_LOOK_MS = 10_000;
/** For a task to stop that was cancelled. */
const CANCEL_MS = 30_000;

/** The proxy before the service, or the service itself, is busy. */
const PASSING = [429, 500, 502, 503, 504];
/** Of errors with a code, those of a collection that is not there for the moment; others are for good, though most are 502. */
const PASSING_CODES = /Timeout|ConnectFailed|Disconnected|ServiceUnavailable|RateLimit|TooManyRequests/i;

type Answer = Readonly<Record<string, unknown>>;
interface Sent {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Answer;
}

export function globusApi({ url, token, exchange, pace, clock }: GlobusApiParts): GlobusApi {
  const { host } = new URL(url);

  async function once({ method, path, query = {}, body }: Sent, signal: AbortSignal) {
    const address = new URL(`${url}${path}`);
    address.search = new URLSearchParams(query).toString();
    const endTurn = await pace.turn(host, signal);
    try {
      const answer = await exchange({
        method,
        url: address,
        headers: {
          authorization: `Bearer ${token}`,
          accept: "application/json",
          ...(body && { "content-type": "application/json" }),
        },
        body: body && JSON.stringify(body),
        // The address is one that a setting names.
        admit: () => undefined,
        headMs: HEAD_MS,
        silenceMs: SILENCE_MS,
        signal,
      });
      return { status: answer.status, document: await documentOf(answer), retryAfter: answer.headers["retry-after"] };
    } finally {
      endTurn();
    }
  }

  async function ask(sent: Sent, signal: AbortSignal): Promise<Answer> {
    for (let tries = 1; ; tries++) {
      signal.throwIfAborted();
      let pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (tries - 1));
      let failure: AppError;
      try {
        const { status, document, retryAfter } = await once(sent, signal);
        if (status >= 200 && status < 300 && document) return document;
        failure = refusal(status, document, sent.path);
        if (/^\d+$/.test(retryAfter ?? "")) pauseMs = Math.min(10 * LONGEST_PAUSE_MS, Number(retryAfter) * 1_000);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof AppError)) throw error;
        failure = error;
      }
      if (failure.code !== "remote_unavailable" || tries === TRIES) throw failure;
      await clock.sleep(pauseMs, signal);
    }
  }

  const get = (path: string, signal: AbortSignal, query?: Readonly<Record<string, string>>) =>
    ask({ method: "GET", path, ...(query && { query }) }, signal);

  /** Submits and waits. The submission's id makes sure that it is one task, however often it is sent. */
  async function runTask(kind: "transfer" | "delete", document: Answer, signal: AbortSignal): Promise<Answer> {
    const submission = textOf((await get("/submission_id", signal)).value);
    const body = { ...QUIET, DATA_TYPE: kind, submission_id: submission, ...document };
    const task = textOf((await ask({ method: "POST", path: `/${kind}`, body }, signal)).task_id);
    try {
      return await ended(task, signal);
    } catch (error) {
      await cancel(task);
      throw error;
    }
  }

  async function ended(task: string, signal: AbortSignal): Promise<Answer> {
    let movedAt = clock.now();
    let moved = "";
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_LOOK_MS, pauseMs * 1.5)) {
      const found = await get(`/task/${task}`, signal);
      const { status, nice_status: nice, fatal_error: fatal } = found;
      if (status === "SUCCEEDED") return found;
      const reason = isAnswer(fatal) ? `${fatal.code}: ${fatal.description}` : String(nice ?? status);
      if (status === "FAILED") throw new AppError("remote_refused", { task, code: "FAILED", reason });
      if (status === "INACTIVE")
        throw new AppError("endpoint_refused", { task, reason, hint: "the credentials for a collection have expired" });
      const now = JSON.stringify([found.bytes_transferred, found.subtasks_succeeded, found.bytes_checksummed]);
      if (now !== moved) [moved, movedAt] = [now, clock.now()];
      if (clock.now() - movedAt > STUCK_MS) throw new AppError("remote_unavailable", { task, reason });
      await clock.sleep(pauseMs, signal);
      signal.throwIfAborted();
    }
  }

  /** Best effort, and bounded: the failure that led here is the one to tell. */
  async function cancel(task: string): Promise<void> {
    const late = AbortSignal.timeout(CANCEL_MS);
    try {
      await ask({ method: "POST", path: `/task/${task}/cancel` }, late);
      await ended(task, late);
    } catch (error) {
      if (!(error instanceof AppError) && !late.aborted) throw error;
    }
  }

  async function* pagesOf(path: string, signal: AbortSignal, query: Readonly<Record<string, string>> = {}) {
    for (let offset = 0; ; ) {
      const page = { limit: String(1_000), offset: String(offset), ...query };
      const { DATA, total } = await get(path, signal, page);
      const found = answersIn(DATA);
      yield* found;
      offset += found.length;
      if (found.length === 0 || offset >= Number(total ?? offset)) return;
    }
  }

  async function skipped(task: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const reasons = new Map<string, string>();
    // This list goes on by a marker, where others have offsets.
    for (let marker: string | undefined; ; ) {
      const page = await get(`/task/${task}/skipped_errors`, signal, marker === undefined ? {} : { marker });
      for (const { source_path: path, error_code: code } of answersIn(page.DATA))
        reasons.set(textOf(path), String(code ?? "skipped"));
      const next = page.next_marker;
      if (next === null || next === undefined) return reasons;
      marker = String(next);
    }
  }

  return {
    async list(collection, folder, offset, signal) {
      const query = {
        path: folder,
        show_hidden: "1",
        orderby: "name",
        limit: String(ENTRIES_AT_ONCE),
        offset: String(offset),
      };
      const found = await get(`/operation/endpoint/${collection}/ls`, signal, query);
      const files = answersIn(found.DATA) as unknown as readonly GlobusFile[];
      const total = typeof found.total === "number" ? found.total : offset + files.length;
      return { files, isLast: files.length === 0 || offset + files.length >= total };
    },

    async stat(collection, path, signal) {
      return (await get(`/operation/endpoint/${collection}/stat`, signal, { path })) as unknown as GlobusFile;
    },

    async transfer({ source, destination, files, label, isContinued }, signal) {
      const done = await runTask(
        "transfer",
        {
          label,
          source_endpoint: source,
          destination_endpoint: destination,
          verify_checksum: true,
          // A file that cannot be read is told of, and the others are transferred.
          skip_source_errors: true,
          fail_on_quota_errors: true,
          ...(isContinued && { sync_level: SYNC_BY_CHECKSUM }),
          DATA: files.map(({ from, to }) => ({
            DATA_TYPE: "transfer_item",
            source_path: from,
            destination_path: to,
            recursive: false,
          })),
        },
        signal,
      );
      return Number(done.subtasks_skipped_errors ?? 0) > 0 ? skipped(textOf(done.task_id), signal) : new Map();
    },

    async remove(endpoint, paths, label, signal) {
      const DATA = paths.map((path) => ({ DATA_TYPE: "delete_item", path }));
      await runTask("delete", { label, endpoint, recursive: false, ignore_missing: true, DATA }, signal);
    },

    async settle(label, signal) {
      const query = { filter: "status:ACTIVE,INACTIVE" };
      for await (const { task_id: id, label: found } of pagesOf("/task_list", signal, query)) {
        if (found !== label) continue;
        try {
          await ended(textOf(id), signal);
        } catch (error) {
          // How it ended is all the same: what is there is looked at anew.
          if (!(error instanceof AppError) || error.code !== "remote_refused") throw error;
        }
      }
    },
  };
}

/** Nobody is to be sent mail about it. */
const QUIET = { notify_on_succeeded: false, notify_on_failed: false, notify_on_inactive: false };
/** "Copy files if checksums of the source and destination do not match." */
const SYNC_BY_CHECKSUM = 3;

/** `undefined` for what is no JSON object. @throws AppError remote_refused for one without end. */
async function documentOf({ body }: ExchangeAnswer): Promise<Answer | undefined> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    sizeBytes += chunk.length;
    if (sizeBytes > ANSWER_BYTES) throw new AppError("remote_refused", { expected: `at most ${ANSWER_BYTES} bytes` });
  }
  try {
    const document: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    return isAnswer(document) ? document : undefined;
  } catch {
    return undefined; // a proxy's page
  }
}

function refusal(status: number, document: Answer | undefined, path: string): AppError {
  const code = typeof document?.code === "string" ? document.code : "";
  const reason = typeof document?.message === "string" ? document.message.slice(0, 500) : `status ${status}`;
  const details = { service: `Globus ${path.split("/")[1] ?? ""}`, code, reason, status };
  if (status === 401)
    return new AppError("endpoint_refused", { ...details, hint: "LONGSHORE_GLOBUS_TOKEN is no good" });
  const isPassing =
    code === "" || status === 429 || status === 503 ? PASSING.includes(status) : PASSING_CODES.test(code);
  return new AppError(isPassing ? "remote_unavailable" : "remote_refused", details);
}

const isAnswer = (value: unknown): value is Answer =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const answersIn = (value: unknown): readonly Answer[] => (Array.isArray(value) ? value.filter(isAnswer) : []);

/** @throws AppError remote_refused for what is no text. */
function textOf(value: unknown): string {
  if (typeof value === "string" && value !== "") return value;
  throw new AppError("remote_refused", { service: "Globus", expected: "an id or a path", found: typeof value });
}
