import { AsyncLocalStorage } from "node:async_hooks";
import type { Readable } from "node:stream";
import { DataStore, ERRORS, MemoryLocker, Server, Upload as TusUpload } from "@tus/server";
import type { Principal } from "../../core/access/access.ts";
import { DIGEST_NAMES, digestName } from "../../core/digest.ts";
import { AppError, type Code } from "../../core/errors.ts";
import type { PieceDigest, Upload, UploadStore } from "../../core/ingest/upload-store.ts";

/** tus 1.0 over an {@link UploadStore}. @see https://tus.io/protocols/resumable-upload */
export interface TusServer {
  /** Answers one request; what the library or the store found wrong is thrown. @throws AppError. */
  handle(request: Request, about: TusRequest): Promise<Response>;
}

export interface TusRequest {
  readonly principal: Principal;
  /** From the path; absent on the address that creates uploads. */
  readonly uploadId: string | undefined;
}

export interface TusOptions {
  readonly expiryMs: number;
  /** The address of an upload, for `Location`. */
  link(uploadId: string): string;
  /** Called when the last byte has come, before it is answered. @returns header fields for that answer. */
  onComplete(uploadId: string): Promise<Record<string, string>>;
}

/** Of `Upload-Checksum`. tus requires sha1; the names are the same in both worlds for these. */
export const CHECKSUM_ALGORITHMS = DIGEST_NAMES.filter((name) => /^(md5|sha\d+)$/.test(name));
/** Statuses that tus has beside HTTP's own. */
export const CHECKSUM_MISMATCH = 460;

/** What belongs to one request and has to reach the store past the library, which hands on ids and bytes only. */
interface Exchange extends TusRequest {
  readonly expected: PieceDigest | undefined;
  failure?: unknown;
}

export function tusServer(uploads: UploadStore, options: TusOptions): TusServer {
  const exchanges = new AsyncLocalStorage<Exchange>();
  const exchange = () => {
    const current = exchanges.getStore();
    if (!current) throw new Error("The tus library called back outside of a request.");
    return current;
  };

  const server = new Server({
    path: "/",
    datastore: new UploadStoreForTus(uploads, options.expiryMs, exchange),
    locker: new MemoryLocker(),
    allowedOrigins: [],
    disableTerminationForFinishedUploads: true,
    generateUrl: (_request, { id }) => options.link(id),
    getFileIdFromRequest: () => exchange().uploadId,
    onUploadFinish: async (_request, { id }) => ({ headers: await options.onComplete(id) }),
    onResponseError(_request, error) {
      exchange().failure = error;
      return undefined;
    },
  });

  return {
    async handle(request, about) {
      const current: Exchange = { ...about, expected: checksum(request.headers.get("upload-checksum")) };
      const response = await exchanges.run(current, () => server.handleWeb(request));
      if (current.failure !== undefined) throw failureOf(current.failure);
      if (response.status >= 400) throw new TusRefusal(response.status, (await response.text()).trim());
      return response;
    },
  };
}

/** A refusal of the protocol: its status is not always the one that the code has elsewhere. */
export class TusRefusal extends AppError {
  readonly status: number;
  constructor(status: number, reason: string) {
    super(REFUSALS[status] ?? "request_invalid", { reason });
    this.status = status;
  }
}

const REFUSALS: Readonly<Record<number, Code>> = {
  404: "upload_unknown",
  409: "upload_offset_mismatch",
  410: "upload_unknown",
  413: "body_too_large",
  415: "media_type_unsupported",
};

/** The library throws both errors and plain objects with a status. What is neither ours nor its own stays as it is. */
function failureOf(failure: unknown): unknown {
  // A request that writes is asked to stop and does, unless the storage holds it up.
  if (failure === ERRORS.ERR_LOCK_TIMEOUT) return new AppError("storage_unavailable", { reason: "upload locked" });
  if (failure === ERRORS.ABORTED) return new AppError("upload_interrupted");
  const { status_code, body } = Object(failure) as { readonly status_code?: unknown; readonly body?: unknown };
  return typeof status_code === "number" ? new TusRefusal(status_code, String(body).trim()) : failure;
}

/** Checksum extension: `Upload-Checksum: sha1 <base64>`. @throws AppError request_invalid. */
function checksum(field: string | null): PieceDigest | undefined {
  if (field === null) return undefined;
  const [, spelling = "", base64 = ""] = /^([a-z0-9_-]+) ([A-Za-z0-9+/]+={0,2})$/.exec(field) ?? [];
  const algorithm = digestName(spelling);
  if (!algorithm || !CHECKSUM_ALGORITHMS.includes(algorithm))
    throw new AppError("request_invalid", { header: "upload-checksum", expected: CHECKSUM_ALGORITHMS.join(", ") });
  return { algorithm, value: Buffer.from(base64, "base64").toString("hex") };
}

/** What the library wants of a store. It asks for nothing outside a request, so the exchange is always there. */
class UploadStoreForTus extends DataStore {
  override readonly extensions = [
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "termination",
    "expiration",
    "checksum",
  ];
  readonly #uploads: UploadStore;
  readonly #expiryMs: number;
  readonly #exchange: () => Exchange;

  constructor(uploads: UploadStore, expiryMs: number, exchange: () => Exchange) {
    super();
    this.#uploads = uploads;
    this.#expiryMs = expiryMs;
    this.#exchange = exchange;
  }

  override async create(upload: TusUpload): Promise<TusUpload> {
    const { id, size, metadata = {} } = upload;
    const owner = this.#exchange().principal.name;
    return tusUpload(await this.#uploads.create({ id, owner, sizeBytes: size ?? null, metadata }));
  }

  override async getUpload(id: string): Promise<TusUpload> {
    const upload = await this.#uploads.get(id);
    if (!upload) throw ERRORS.FILE_NOT_FOUND;
    return tusUpload(upload);
  }

  override write(bytes: Readable, id: string, offset: number): Promise<number> {
    return this.#uploads.append(id, offset, bytes, this.#exchange().expected);
  }

  override declareUploadLength(id: string, sizeBytes: number): Promise<void> {
    return this.#uploads.declareSize(id, sizeBytes);
  }

  override remove(id: string): Promise<void> {
    return this.#uploads.discard(id);
  }

  override getExpiration(): number {
    return this.#expiryMs;
  }

  override deleteExpired(): Promise<number> {
    return this.#uploads.removeExpired(Date.now() - this.#expiryMs);
  }
}

function tusUpload({ id, sizeBytes, offset, metadata, activeAt }: Upload): TusUpload {
  return new TusUpload({
    id,
    offset,
    metadata: { ...metadata },
    ...(sizeBytes === null ? {} : { size: sizeBytes }),
    // The library lets an upload expire so long after its creation; we mean: after it was last continued.
    creation_date: new Date(activeAt).toISOString(),
  });
}
