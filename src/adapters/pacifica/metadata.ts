import type { Archive, ReadTransaction } from "../../core/archive/archive.ts";
import type { ArchivedFile } from "../../core/catalogue/catalogue-store.ts";
import { AppError } from "../../core/errors.ts";
import { transactionId } from "../../core/ids.ts";
import { METADATA_CONTENT_PATH } from "../../core/ingest/bundle/bundle.ts";
import { jsonArrayElements } from "../../core/ingest/bundle/json-array.ts";
import { clipped, declaredPath } from "../../core/ingest/metadata.ts";
import type { OutboxChannel } from "../../core/outbound/outbox-delivery.ts";
import { type Send, serviceName } from "../../core/outbound/send.ts";
import { ingestAddress, isRecord, JSON_TYPE, jsonValue, refusalOf } from "./service.ts";

/** With the question below, well within the outbox's lease. */
const TIMEOUT_MS = 5 * 60_000;
const QUESTION_TIMEOUT_MS = 30_000;

/** Media types the service takes; it refuses a document with any other, and its `mulitpart` is spelt so. */
const ACCEPTED_TYPE = /^(application|audio|font|example|image|message|model|mulitpart|text|video)\//;

/** Python's names, where they are not ours. */
const PYTHON_DIGEST_NAMES: Readonly<Record<string, string>> = { "blake2b-512": "blake2b" };

export interface PacificaMetadataOptions {
  readonly url: string;
  readonly archive: Archive;
  readonly send: Send;
  readonly timeoutMs?: number;
}

/**
 * Sends the metadata of accepted transactions to a Pacifica metadata service: the document as it was received, with what
 * only the archive knows. The address is today's setting, not the one that was set when the message was written.
 *
 * The service takes a transaction once and refuses it when it comes again, which happens when its answer was lost. A
 * refusal is therefore no failure when the service turns out to have our files.
 */
export function pacificaMetadata(options: PacificaMetadataOptions): OutboxChannel {
  const { archive, send, timeoutMs = TIMEOUT_MS } = options;
  const address = ingestAddress(options.url);

  /** The service enters a transaction as a whole or not at all: one file that is there stands for all. */
  async function isEntered(read: ReadTransaction, signal: AbortSignal): Promise<boolean> {
    if (!/\/ingest\/*$/.test(new URL(address).pathname)) return false;
    for await (const file of read.files()) {
      const question = new URL(address);
      question.pathname = question.pathname.replace(/ingest\/*$/, "files");
      question.search = `_id=${file.id}&recursion_depth=0`;
      const { text } = await send({ method: "GET", url: question.href, timeoutMs: QUESTION_TIMEOUT_MS, signal });
      const found = jsonValue(text);
      return Array.isArray(found) && found.some((entry) => isRecord(entry) && isSame(entry, file));
    }
    return false;
  }

  return {
    async deliver({ payload }, signal) {
      const id = transactionId(Number(payload.transactionId));
      const read = await archive.read(id);
      if (!read) throw new AppError("transaction_unknown", { transactionId: id });
      const document = () => arrayText(forwarded(archive, read));

      let sizeBytes = 0;
      for await (const piece of document()) {
        signal.throwIfAborted();
        sizeBytes += piece.length;
      }
      const body = { sizeBytes, open: async () => document() };
      const answer = await send({ method: "PUT", url: address, headers: JSON_TYPE, body, timeoutMs, signal });
      const found = refusalOf(answer, address);
      if (found !== undefined && !(await isEntered(read, signal)))
        throw new AppError("remote_refused", { service: serviceName(address), transactionId: id, found });
    },
  };
}

/**
 * The document as the service wants it. Ids follow the order of the document, so the two are read side by side. A
 * transaction id that the depositor sent is left out: the service would believe the first it finds.
 * @throws AppError object_corrupt when document and ids do not belong together.
 */
async function* forwarded(
  { storage }: Archive,
  { transaction, files }: ReadTransaction,
): AsyncGenerator<Readonly<Record<string, unknown>>> {
  const document = await storage.open(`${transaction.objectPath}/${METADATA_CONTENT_PATH}`);
  const numbered = files()[Symbol.asyncIterator]();
  try {
    for await (const element of jsonArrayElements(document)) {
      if (!isRecord(element) || element.destinationTable === "Transactions._id") continue;
      if (element.destinationTable !== "Files") {
        yield element;
        continue;
      }
      const path = declaredPath(String(element.subdir ?? ""), String(element.name)) ?? "";
      const { value: file } = await numbered.next();
      if (file?.path !== path)
        throw new AppError("object_corrupt", {
          path: transaction.objectPath,
          expected: path,
          found: file?.path ?? "no file",
        });
      yield completed(element, file);
    }
  } finally {
    await numbered.return?.();
  }
  yield { destinationTable: "Transactions._id", value: transaction.id };
}

/** A Files object with all nine fields that the service requires, in the form it reads. */
function completed(element: Readonly<Record<string, unknown>>, file: ArchivedFile): Readonly<Record<string, unknown>> {
  const { algorithm, value } = file.declared;
  const modifiedAt = element.mtime ?? file.modifiedAt;
  return {
    ...element,
    _id: file.id,
    subdir: clipped(String(element.subdir ?? "")),
    size: file.sizeBytes,
    mimetype: ACCEPTED_TYPE.test(file.mediaType) ? file.mediaType : "application/octet-stream",
    hashtype: PYTHON_DIGEST_NAMES[algorithm] ?? algorithm,
    hashsum: value,
    mtime: modifiedAt,
    ctime: element.ctime ?? modifiedAt,
  };
}

/** Whether the service's record of a file is about ours. */
function isSame(record: Readonly<Record<string, unknown>>, { id, transactionId, declared }: ArchivedFile): boolean {
  return record._id === id && record.transaction === transactionId && record.hashsum === declared.value;
}

/** One JSON array, in pieces of about 64 KiB. */
async function* arrayText(elements: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  let piece = "[";
  let separator = "\n";
  for await (const element of elements) {
    piece += `${separator}${JSON.stringify(element)}`;
    separator = ",\n";
    if (piece.length < 65_536) continue;
    yield Buffer.from(piece);
    piece = "";
  }
  yield Buffer.from(`${piece}\n]\n`);
}
