import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { cp, lstat, mkdir, readdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { json } from "node:stream/consumers";

/**
 * A stand-in for the Globus Transfer API, v0.10, as docs.globus.org describes it: collections are folders of this machine, and
 * tasks really copy and remove files. What the API refuses, it refuses, in the same words; what it overlooks, so does this.
 */
export interface GlobusServer {
  /** With the version. */
  readonly url: string;
  readonly token: string;
  /** Every request, as in `GET /task/…?x=y`. */
  readonly requests: readonly string[];
  readonly tasks: readonly GlobusTask[];
  /** The coming requests whose path begins so are answered with this, one each. */
  disturb(path: string, ...answers: readonly Disturbance[]): void;
  /** Befalls the coming transfers, one each. */
  befall(...faults: readonly TransferFault[]): void;
  /** Tasks that are submitted from now on wait until they are released. */
  hold(): void;
  release(): void;
  /** The token is no good from now on. */
  expire(): void;
  close(): Promise<void>;
}

export interface GlobusTask {
  readonly id: string;
  readonly type: "TRANSFER" | "DELETE";
  readonly label: string;
  readonly files: number;
  status: "ACTIVE" | "INACTIVE" | "SUCCEEDED" | "FAILED";
  nice: string;
  fatal: { readonly code: string; readonly description: string } | null;
  readonly skipped: { readonly source_path: string; readonly error_code: string }[];
}

export interface Disturbance {
  readonly status: number;
  /** A page that is no JSON when left out. */
  readonly document?: { readonly code: string; readonly message: string };
  readonly retryAfterSeconds?: number;
}

/**
 * `fails`: the task ends as FAILED. `damages`: a byte of each file is another when it arrives. `loses`: the task succeeds, and
 * its first file is not there. `expires`: the task stops as INACTIVE.
 */
export type TransferFault = "fails" | "damages" | "loses" | "expires";

type Document = Readonly<Record<string, unknown>>;
interface Submitted {
  readonly submission_id?: unknown;
  readonly label?: string;
  readonly verify_checksum?: boolean;
  readonly skip_source_errors?: boolean;
  readonly sync_level?: number | null;
  readonly source_endpoint?: string;
  readonly destination_endpoint?: string;
  readonly endpoint?: string;
  readonly DATA?: readonly { source_path?: string; destination_path?: string; path?: string; recursive?: boolean }[];
}

class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message = code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** @param collections folders by the collections' ids. @param pageLimit of listings, at most. */
export async function startGlobusServer(
  collections: Readonly<Record<string, string>>,
  { pageLimit = 100_000 } = {},
): Promise<GlobusServer> {
  let token = randomUUID();
  const requests: string[] = [];
  const tasks: GlobusTask[] = [];
  const submissions = new Map<string, GlobusTask | null>();
  const disturbances: { readonly path: string; readonly answer: Disturbance }[] = [];
  const faults: TransferFault[] = [];
  const working = new Set<Promise<void>>();
  let held: PromiseWithResolvers<void> | undefined;

  function folderOf(id: unknown): string {
    const folder = collections[String(id)];
    if (folder === undefined) throw new Refusal(404, "EndpointNotFound", `No such endpoint '${id}'`);
    return folder;
  }

  async function fileDocument(path: string, name: string): Promise<Document> {
    const own = await lstat(path);
    const target = own.isSymbolicLink() ? await readlink(path) : null;
    const found = target === null ? own : await stat(path).catch(() => null);
    const type = !found ? "invalid_symlink" : found.isFile() ? "file" : found.isDirectory() ? "dir" : "pipe";
    return {
      DATA_TYPE: "file",
      name,
      type,
      link_target: target,
      user: "root",
      group: "root",
      permissions: ((found ?? own).mode & 0o7777).toString(8).padStart(4, "0"),
      size: (found ?? own).size,
      last_modified: (found ?? own).mtime.toISOString().replace("T", " ").replace(/\..*/, "+00:00"),
    };
  }

  async function ls(id: string, query: URLSearchParams): Promise<Document> {
    const path = query.get("path") ?? "/~/";
    const folder = join(folderOf(id), path);
    const found = await stat(folder).catch(() => undefined);
    if (!found) throw new Refusal(404, "ClientError.NotFound", `Directory '${path}' not found on endpoint`);
    if (!found.isDirectory()) throw new Refusal(502, "ExternalError.DirListingFailed.NotDirectory");
    const names = (await readdir(folder)).filter((name) => query.get("show_hidden") !== "0" || !name.startsWith("."));
    const limit = Number(query.get("limit") ?? 100_000);
    if (limit > 100_000) throw new Refusal(400, "ClientError.BadRequest", "limit is at most 100000");
    const offset = Number(query.get("offset") ?? 0);
    const shown = names.toSorted().slice(offset, offset + Math.min(limit, pageLimit));
    const DATA = await Promise.all(shown.map((name) => fileDocument(join(folder, name), name)));
    return {
      DATA_TYPE: "file_list",
      path,
      endpoint: id,
      length: DATA.length,
      total: names.length,
      offset,
      limit,
      DATA,
    };
  }

  async function statOne(id: string, query: URLSearchParams): Promise<Document> {
    const path = query.get("path") ?? "";
    const place = join(folderOf(id), path);
    const found = await lstat(place).catch(() => undefined);
    if (!found) throw new Refusal(404, "NotFound", `'${path}' not found on endpoint`);
    return fileDocument(place, path.split("/").at(-1) ?? "");
  }

  async function submit(type: GlobusTask["type"], body: Submitted): Promise<readonly [number, Document]> {
    const submission = String(body.submission_id);
    if (!submissions.has(submission)) throw new Refusal(400, "ClientError.BadRequest", "unknown submission_id");
    const earlier = submissions.get(submission);
    if (earlier) return [200, { DATA_TYPE: "transfer_result", code: "Duplicate", task_id: earlier.id }];
    if (!Array.isArray(body.DATA) || body.DATA.length === 0)
      throw new Refusal(400, "ClientError.BadRequest", "no DATA");
    if ((body.label ?? "").length > 128) throw new Refusal(400, "ClientError.BadRequest", "label is too long");
    for (const id of type === "TRANSFER" ? [body.source_endpoint, body.destination_endpoint] : [body.endpoint])
      folderOf(id);
    const task: GlobusTask = {
      id: randomUUID(),
      type,
      label: body.label ?? "",
      files: body.DATA.length,
      status: "ACTIVE",
      nice: "OK",
      fatal: null,
      skipped: [],
    };
    tasks.push(task);
    submissions.set(submission, task);
    const work = perform(task, body, type === "TRANSFER" ? faults.shift() : undefined, held?.promise).finally(() =>
      working.delete(work),
    );
    working.add(work);
    return [
      202,
      { DATA_TYPE: `${type.toLowerCase()}_result`, code: "Accepted", task_id: task.id, submission_id: submission },
    ];
  }

  async function perform(task: GlobusTask, body: Submitted, fault: TransferFault | undefined, hold?: Promise<void>) {
    await hold;
    const isOver = () => task.status !== "ACTIVE";
    if (isOver()) return;
    const fail = (code: string, description: string) => {
      task.status = "FAILED";
      task.fatal = { code, description };
    };
    if (fault === "expires") {
      task.status = "INACTIVE";
      task.nice = "CREDENTIALS_EXPIRED";
      return;
    }
    for (const [index, item] of (body.DATA ?? []).entries()) {
      if (isOver()) return;
      if (fault === "fails") return fail("ENDPOINT_ERROR", "the endpoint has an error");
      if (task.type === "DELETE") {
        const place = join(folderOf(body.endpoint), item.path ?? "");
        const found = await lstat(place).catch(() => undefined);
        if (found?.isDirectory()) return fail("IS_A_DIRECTORY", "recursive is needed to remove a folder");
        await rm(place, { force: true });
        continue;
      }
      if (fault === "loses" && index === 0) continue;
      const { source_path: from = "", destination_path: to = "" } = item;
      const source = join(folderOf(body.source_endpoint), from);
      const found = await stat(source).catch(() => undefined);
      if (!found && body.skip_source_errors) {
        task.skipped.push({ source_path: from, error_code: "FILE_NOT_FOUND" });
        continue;
      }
      if (!found) return fail("FILE_NOT_FOUND", from);
      if (found.isDirectory()) return fail("IS_A_DIRECTORY", from);
      await copyFile(source, join(folderOf(body.destination_endpoint), to), body, fault === "damages");
    }
    if (!isOver()) task.status = "SUCCEEDED";
  }

  async function copyFile(
    from: string,
    to: string,
    { sync_level: sync, verify_checksum: isVerified }: Submitted,
    damage: boolean,
  ) {
    if (sync === 3 && (await digest(from)) === (await digest(to))) return;
    await mkdir(dirname(to), { recursive: true });
    await cp(from, to);
    if (damage) {
      const bytes = await readFile(to);
      bytes[0] = (bytes[0] ?? 0) ^ 0xff;
      await writeFile(to, bytes);
    }
    // "verify_checksum: … if the checksums do not match, the file is transferred again."
    if (isVerified && (await digest(from)) !== (await digest(to))) await cp(from, to);
  }

  function taskDocument({ id, type, label, status, nice, fatal, files, skipped }: GlobusTask): Document {
    const isDone = status === "SUCCEEDED";
    return {
      DATA_TYPE: "task",
      task_id: id,
      type,
      label,
      status,
      nice_status: nice,
      fatal_error: fatal,
      files,
      files_transferred: isDone ? files - skipped.length : 0,
      subtasks_succeeded: isDone ? files - skipped.length : 0,
      subtasks_skipped_errors: skipped.length,
      bytes_transferred: 0,
      bytes_checksummed: 0,
    };
  }

  async function answer(request: IncomingMessage): Promise<readonly [number, Document]> {
    const { pathname, searchParams: query } = new URL(request.url ?? "", "http://localhost");
    const path = pathname.replace("/v0.10", "");
    if (request.headers.authorization !== `Bearer ${token}`)
      throw new Refusal(401, "AuthenticationFailed", "Token is not active");
    const [, room, first = "", second = "", third = ""] = path.split("/");
    const operation = `${request.method} ${room}/${room === "operation" ? third : second}`;
    if (operation === "GET submission_id/") {
      const value = randomUUID();
      submissions.set(value, null);
      return [200, { DATA_TYPE: "submission_id", value }];
    }
    if (operation === "POST transfer/") return submit("TRANSFER", (await json(request)) as Submitted);
    if (operation === "POST delete/") return submit("DELETE", (await json(request)) as Submitted);
    if (operation === "GET operation/ls") return [200, await ls(second, query)];
    if (operation === "GET operation/stat") return [200, await statOne(second, query)];
    if (operation === "GET task_list/") {
      const statuses = /status:([A-Z,]+)/.exec(query.get("filter") ?? "")?.[1]?.split(",");
      const found = tasks.filter(({ status }) => !statuses || statuses.includes(status));
      const offset = Number(query.get("offset") ?? 0);
      const DATA = found.slice(offset, offset + Number(query.get("limit") ?? 10)).map(taskDocument);
      return [200, { DATA_TYPE: "task_list", total: found.length, offset, DATA }];
    }
    const task = tasks.find(({ id }) => id === first);
    if (room !== "task" || !task) throw new Refusal(404, "ClientError.NotFound");
    if (operation === "GET task/") return [200, taskDocument(task)];
    if (operation === "POST task/cancel") {
      if (task.status === "SUCCEEDED" || task.status === "FAILED") return [200, { code: "TaskComplete" }];
      task.status = "FAILED";
      task.fatal = { code: "CANCELED", description: "canceled by the owner" };
      return [202, { DATA_TYPE: "result", code: "Canceled" }];
    }
    if (operation === "GET task/skipped_errors") {
      // A page for each, to be read by marker.
      const at = Number(query.get("marker") ?? 0);
      const next = at + 1 < task.skipped.length ? String(at + 1) : null;
      return [200, { DATA_TYPE: "skipped_errors", DATA: task.skipped.slice(at, at + 1), next_marker: next }];
    }
    throw new Refusal(404, "ClientError.NotFound");
  }

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = (request.url ?? "").replace("/v0.10", "");
    requests.push(`${request.method} ${asked}`);
    const at = disturbances.findIndex(({ path }) => asked.startsWith(path));
    const [disturbance] = at < 0 ? [] : disturbances.splice(at, 1);
    const send = (status: number, document: Document) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(document));
    if (disturbance) {
      const { status, document, retryAfterSeconds } = disturbance.answer;
      if (retryAfterSeconds !== undefined) response.setHeader("retry-after", retryAfterSeconds);
      request.resume();
      if (document) send(status, { ...document });
      else response.writeHead(status, { "content-type": "text/html" }).end("<h1>Bad gateway</h1>");
      return;
    }
    try {
      send(...(await answer(request)));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      send(error.status, { code: error.code, message: error.message, request_id: "A1b2C3d4E", resource: asked });
    }
  }

  const server = createServer((request, response) => void respond(request, response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v0.10`,
    token,
    requests,
    tasks,
    disturb: (path, ...answers) => void disturbances.push(...answers.map((one) => ({ path, answer: one }))),
    befall: (...some) => void faults.push(...some),
    hold() {
      held = Promise.withResolvers();
    },
    release() {
      held?.resolve();
      held = undefined;
    },
    expire() {
      token = randomUUID();
    },
    async close() {
      held?.resolve();
      await Promise.all(working);
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

/** `undefined` for what is not there. */
async function digest(path: string): Promise<string | undefined> {
  const bytes = await readFile(path).catch(() => undefined);
  return bytes && createHash("sha256").update(bytes).digest("hex");
}
