import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * A stand-in for Pacifica's archive interface 0.4: the same verbs, header fields and errors, its spelling and its 500 for
 * files that are not there included.
 */
export interface PacificaArchive {
  /** With its slash at the end. */
  readonly url: string;
  /** `GET 7`, in the order in which they came. */
  readonly requests: readonly string[];
  /** Files that are being sent. */
  readonly sending: number;
  put(id: string, bytes: Uint8Array, traits?: Traits): void;
  remove(id: string): void;
  /** The coming requests of this kind, such as `GET 7`, get these answers, one each, before things go on as usual. */
  disturb(request: string, ...faults: readonly Fault[]): void;
  /** No file is sent any further until `resume`. */
  pause(): void;
  resume(): void;
  close(): Promise<void>;
}

export interface Traits {
  /** Seconds since 1970. */
  readonly modifiedAt?: number;
  /** What `HEAD` says, where that is not the truth. */
  readonly announcedBytes?: number;
  /** On tape: how often `HEAD` says so after it was asked for, `never` comes up. */
  readonly tape?: number | "never";
}

/** Answers in the service's place. */
export type Fault = (request: IncomingMessage, response: ServerResponse, bytes: Buffer) => void;

export const hangUp: Fault = (request) => void request.socket.destroy();
export const silence: Fault = () => {};
export const status =
  (code: number, body = "", headers: Readonly<Record<string, string>> = {}): Fault =>
  (_, response) =>
    void response.writeHead(code, headers).end(body);
/** The connection breaks in the middle of the file. */
export const cutAfter =
  (sizeBytes: number): Fault =>
  (request, response, bytes) =>
    void response.write(bytes.subarray(0, sizeBytes), () => request.socket.destroy());
/** The file comes to a halt. */
export const stallAfter =
  (sizeBytes: number): Fault =>
  (_, response, bytes) =>
    void response.write(bytes.subarray(0, sizeBytes));
/** Other bytes, and nothing that tells. */
export const instead =
  (change: (bytes: Buffer) => Uint8Array): Fault =>
  (_, response, bytes) =>
    void response.writeHead(200, FILE_TYPE).end(change(bytes));

const FILE_TYPE = { "content-type": "application/octet-stream" };
const CHUNK_BYTES = 64 * 1024;

interface File extends Traits {
  readonly bytes: Buffer;
  looksLeft: number;
  requested: boolean;
}

export async function pacificaArchiveServer(port = 0): Promise<PacificaArchive> {
  const files = new Map<string, File>();
  const faults = new Map<string, Fault[]>();
  const requests: string[] = [];
  let running = Promise.withResolvers<void>();
  running.resolve();
  let sending = 0;

  function medium(file: File): string {
    if (file.tape === undefined) return "disk";
    if (!file.requested || file.tape === "never") return "tape";
    file.looksLeft -= 1;
    return file.looksLeft < 0 ? "disk" : "tape";
  }

  /** Chunked, without a length. */
  async function send(bytes: Buffer, response: ServerResponse): Promise<void> {
    response.writeHead(200, FILE_TYPE);
    response.flushHeaders();
    sending++;
    try {
      for (let at = 0; at < bytes.length && !response.destroyed; at += CHUNK_BYTES) {
        await running.promise;
        if (!response.write(bytes.subarray(at, at + CHUNK_BYTES))) {
          await Promise.race([once(response, "drain"), once(response, "close")]);
        }
      }
      await running.promise;
      response.end();
    } finally {
      sending--;
    }
  }

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    const id = decodeURIComponent((request.url ?? "/").slice(1));
    const name = `${request.method} ${id}`;
    requests.push(name);
    const file = files.get(id);
    for (const [field, value] of Object.entries({ "content-type": "application/json", ...MANNERS }))
      response.setHeader(field, value);
    const fault = faults.get(name)?.shift();
    if (fault) return fault(request, response, file?.bytes ?? Buffer.alloc(0));
    if (!file) return void response.writeHead(500).end(request.method === "HEAD" ? undefined : missing(id));
    if (request.method === "GET") return send(file.bytes, response);
    if (request.method === "POST") {
      file.requested = true;
      return void response.writeHead(200).end(JSON.stringify({ message: "File was staged", file: id }));
    }
    if (request.method !== "HEAD") return void response.writeHead(405).end();
    const modifiedAt = (file.modifiedAt ?? 1_459_203_299).toFixed(7).replace(/0+$/, "0");
    response.writeHead(204, {
      "X-Pacifica-Messsage": "File was found",
      "X-Pacifica-File": `/srv/archive/${id}`,
      "X-Content-Length": String(file.announcedBytes ?? file.bytes.length),
      "Last-Modified": modifiedAt,
      "X-Pacifica-Ctime": modifiedAt,
      "X-Pacifica-Bytes-Per-Level": `(${file.bytes.length},)`,
      "X-Pacifica-File-Storage-Media": medium(file),
    });
    response.end();
  }

  const server = createServer((request, response) => {
    // A reader that goes away is part of the tests.
    respond(request, response).catch((error: unknown) => {
      if (!response.destroyed) throw error;
    });
  }).listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    requests,
    get sending() {
      return sending;
    },
    put(id, bytes, traits = {}) {
      const looksLeft = typeof traits.tape === "number" ? traits.tape : 0;
      files.set(id, { ...traits, bytes: Buffer.from(bytes), looksLeft, requested: false });
    },
    remove: (id) => void files.delete(id),
    disturb: (request, ...coming) => void faults.set(request, [...(faults.get(request) ?? []), ...coming]),
    pause() {
      running = Promise.withResolvers();
    },
    resume: () => running.resolve(),
    async close() {
      running.resolve();
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

const MANNERS = { server: "CherryPy/18.8.0", allow: "DELETE, GET, HEAD, PATCH, POST, PUT" };

/** Four keys, and blanks behind them up to 513 bytes. */
function missing(id: string): string {
  const reason = `Can&#x27;t open posix file with error: [Errno 2] No such file or directory: &#x27;/srv/archive/${id}&#x27;`;
  return JSON.stringify({
    status: "500 Internal Server Error",
    message: "The server encountered an unexpected condition which prevented it from fulfilling the request.",
    traceback: `Traceback (most recent call last):\n  File "rest_generator.py", line 1, in POST\nArchiveInterfaceError: ${reason}\n`,
    version: "18.8.0",
  }).padEnd(513);
}
