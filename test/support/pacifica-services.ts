import { createHash, getHashes } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/**
 * Stand-ins for Pacifica's uniqueid 0.5, policy and metadata 0.13 services. They look at what they are sent as closely
 * as those do, and answer in the same way, errors included.
 */
export interface PacificaServices {
  readonly uniqueid: PacificaService;
  readonly policy: PacificaService;
  readonly metadata: PacificaService & {
    /** Files by transaction, as they were entered. */
    readonly entered: ReadonlyMap<number, readonly Entry[]>;
  };
  close(): Promise<void>;
}

export interface PacificaService {
  readonly url: string;
  /** Requests that were read to their end, disturbed ones too. */
  readonly requests: readonly Received[];
  /** The coming requests are left to these, one each, before things go on as usual. */
  disturb(...disturbances: readonly Disturbance[]): void;
}

export interface Received {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Answers in the service's place, or does not. It is given the request before its body is read. */
export type Disturbance = (request: IncomingMessage, response: ServerResponse) => void;

export const never: Disturbance = () => {};
export const hangUp: Disturbance = (request) => void request.socket.destroy();
/** The service does its work, and then the connection breaks before the answer is out. */
export const loseAnswer: Disturbance = () => {};
export const answer =
  (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Disturbance =>
  (request, response) =>
    void request.once("end", () => response.writeHead(status, headers).end(body));

type Entry = Readonly<Record<string, unknown>>;
type Verbs = Readonly<Partial<Record<string, (received: Received) => unknown>>>;

export async function pacificaServices(): Promise<PacificaServices> {
  const entered = new Map<number, readonly Entry[]>();
  const uniqueid = await serve("UniqueID", { "/getid": { GET: idRange(new Map()) } });
  const policy = await serve("Policy", { "/ingest": { POST: judge } });
  const metadata = await serve("Metadata", {
    "/ingest": { PUT: (received) => enter(entered, received) },
    "/files": { GET: ({ url }) => filesWith(entered, Number(url.searchParams.get("_id"))) },
  });
  return {
    uniqueid: uniqueid.service,
    policy: policy.service,
    metadata: { ...metadata.service, entered },
    async close() {
      await Promise.all([uniqueid, policy, metadata].map((one) => one.close()));
    },
  };
}

/** First index of a mode is 1; a range that is not positive gets the answer of the original, which is no range at all. */
function idRange(next: Map<string, number>): (received: Received) => unknown {
  return ({ url }) => {
    const range = url.searchParams.get("range") ?? "-1";
    if (!/^-?\d+$/.test(range)) throw new CherryPyError(500);
    if (Number(range) <= 0) return { startIndex: -1, endIndex: -3 };
    const mode = url.searchParams.get("mode") ?? "";
    const startIndex = next.get(mode) ?? 1;
    next.set(mode, startIndex + Number(range));
    return { startIndex, endIndex: startIndex + Number(range) - 1 };
  };
}

/** The one deposit that this policy knows of. */
export const PERMITTED = { submitter: 10, project: "1234a", instrument: 54 } as const;

function judge(received: Received): unknown {
  const entries = entriesOf(received);
  const wrong = Object.entries(PERMITTED).flatMap(([field, permitted]) =>
    firstValue(entries, `Transactions.${field}`) === permitted ? [] : [field],
  );
  if (wrong.length === 0) return { status: "success" };
  throw new CherryPyError(412, `Precondition Failed: Invalid values for ${wrong.join(", ")}`, {
    postdata: received.body.toString(),
  });
}

const FILE_FIELDS = ["name", "subdir", "mtime", "ctime", "size", "mimetype", "_id", "hashsum", "hashtype"];
const MEDIA_TYPES = /^(application|audio|font|example|image|message|model|mulitpart|text|video)\//;
/** Names in Python's hashlib, where OpenSSL's are others. */
const OPENSSL_NAMES: Readonly<Record<string, string>> = { blake2b: "blake2b512", blake2s: "blake2s256" };

/** Enters a document as a whole, or nothing of it. */
function enter(entered: Map<number, readonly Entry[]>, received: Received): unknown {
  const entries = entriesOf(received);
  const id = Number(firstValue(entries, "Transactions._id"));
  for (const field of ["submitter", "instrument", "project"]) firstValue(entries, `Transactions.${field}`);
  const files = entries.filter(({ destinationTable }) => destinationTable === "Files");
  refuseKnown(entered.has(id) ? [id] : []);
  for (const file of files) {
    for (const field of FILE_FIELDS) if (!(field in file)) throw new CherryPyError(500);
    if (!MEDIA_TYPES.test(String(file.mimetype)) || !hasDigestForm(String(file.hashtype), String(file.hashsum)))
      throw new CherryPyError(500);
    for (const time of [file.mtime, file.ctime]) if (typeof time !== "string") throw new CherryPyError(500);
  }
  refuseKnown(files.map(({ _id }) => Number(_id)).filter((fileId) => filesWith(entered, fileId).length > 0));
  entered.set(
    id,
    files.map((file) => ({ ...file, transaction: id })),
  );
  return { status: "success" };
}

function filesWith(entered: ReadonlyMap<number, readonly Entry[]>, id: number): readonly Entry[] {
  return [...entered.values()].flat().filter(({ _id }) => _id === id);
}

function refuseKnown(ids: readonly number[]): void {
  if (ids.length === 0) return;
  throw new CherryPyError(
    400,
    `Could not insert records [ID: ${ids.join(",")}] due to duplicated ID values. Remove or change the duplicated id values`,
  );
}

function hasDigestForm(hashtype: string, hashsum: string): boolean {
  const name = OPENSSL_NAMES[hashtype] ?? hashtype.replace("sha3_", "sha3-");
  if (hashtype !== hashtype.toLowerCase() || !getHashes().includes(name) || !/^[0-9a-f]+$/i.test(hashsum)) return false;
  return createHash(name).digest("hex").length === hashsum.length;
}

/** CherryPy's `json_in`: it wants the type, the length and JSON, in this order. */
function entriesOf({ headers, body }: Received): readonly Entry[] {
  if (!/^(application\/json|text\/javascript)\b/.test(headers["content-type"] ?? ""))
    throw new CherryPyError(415, "Expected an entity of content type application/json, text/javascript");
  if (headers["content-length"] === undefined) throw new CherryPyError(411);
  let entries: unknown;
  try {
    entries = JSON.parse(body.toString());
  } catch {
    throw new CherryPyError(400, "Invalid JSON document");
  }
  if (!Array.isArray(entries) || !entries.every((entry) => typeof entry?.destinationTable === "string"))
    throw new CherryPyError(500);
  return entries;
}

/** The first entry counts, and there must be one. */
function firstValue(entries: readonly Entry[], table: string): unknown {
  const entry = entries.find(({ destinationTable }) => destinationTable === table);
  if (!entry) throw new CherryPyError(500);
  return entry.value;
}

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  411: "Length Required",
  412: "Precondition Failed",
  415: "Unsupported Media Type",
  500: "Internal Server Error",
};
const UNEXPECTED = "The server encountered an unexpected condition which prevented it from fulfilling the request.";

class CherryPyError extends Error {
  readonly status: number;
  readonly more: Readonly<Record<string, string>>;
  constructor(status: number, message = UNEXPECTED, more: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.more = more;
  }
  /** Four keys, and blanks behind them up to 513 bytes. */
  get body(): string {
    const status = `${this.status} ${REASONS[this.status]}`;
    const traceback = 'Traceback (most recent call last):\n  File "/opt/pacifica/rest.py", line 1, in respond';
    return JSON.stringify({ status, message: this.message, traceback, version: "18.8.0", ...this.more }).padEnd(513);
  }
}

async function serve(name: string, paths: Readonly<Record<string, Verbs>>) {
  const requests: Received[] = [];
  const disturbances: Disturbance[] = [];
  const routes: Readonly<Record<string, Verbs>> = {
    "/": { GET: () => ({ message: `Pacifica ${name} Up and Running` }) },
    ...paths,
  };

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const disturbance = disturbances.shift();
    disturbance?.(request, response);
    const received: Received = {
      method: request.method ?? "",
      url: new URL(request.url ?? "", "http://pacifica"),
      headers: request.headers,
      body: await buffer(request),
    };
    requests.push(received);
    if (disturbance && disturbance !== loseAnswer) return;
    const { status, body, allow } = outcome(received);
    if (disturbance) request.socket.destroy();
    else response.writeHead(status, { "content-type": "application/json", server: "CherryPy/18.8.0", allow }).end(body);
  }

  function outcome(received: Received): { readonly status: number; readonly body: string; readonly allow: string } {
    const verbs = routes[received.url.pathname];
    const allow = Object.keys(verbs ?? {}).join(", ");
    try {
      if (!verbs) throw new CherryPyError(404, "Nothing matches the given URI");
      const handle = verbs[received.method];
      if (!handle) throw new CherryPyError(405, "Specified method is invalid for this resource");
      return { status: 200, body: JSON.stringify(handle(received)), allow };
    } catch (error) {
      if (error instanceof CherryPyError) return { status: error.status, body: error.body, allow };
      throw error;
    }
  }

  const server = createServer((request, response) => {
    // A sender that goes away half-way is part of the tests.
    respond(request, response).catch((error: unknown) => {
      if (!request.destroyed) throw error;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const service: PacificaService = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    disturb: (...coming) => void disturbances.push(...coming),
  };
  return {
    service,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
