import type { ArchivedFile, KeyValue, Transaction } from "../catalogue/catalogue-store.ts";
import type { DigestName, Digests } from "../digest.ts";
import { AppError } from "../errors.ts";
import { fileId, type TransactionId, transactionId } from "../ids.ts";
import { linesOf } from "../streams.ts";

/**
 * The normalised form of a transaction that lies beside its payload: JSON Lines, one `transaction` line, then one `file`
 * line per file in id order. Everything the catalogue knows can be read back from it, ids included.
 * Format: docs/formats/archive.md.
 */
export const TRANSACTION_DOCUMENT = {
  logicalPath: "transaction.jsonl",
  contentPath: "v1/content/transaction.jsonl",
} as const;
const FORMAT = 1;

/** What a transaction is when it is written down; the rest follows from where it lies. */
export type TransactionHead = Pick<
  Transaction,
  "id" | "submitter" | "project" | "instrument" | "owner" | "createdAt"
> & {
  readonly keyValues: readonly KeyValue[];
};

type FileLine = Omit<ArchivedFile, "transactionId">;

export function* documentLines(head: TransactionHead, files: Iterable<FileLine>): Generator<object> {
  const { createdAt, ...rest } = head;
  yield { type: "transaction", format: FORMAT, ...rest, createdAt: new Date(createdAt).toISOString() };
  for (const file of files) yield { type: "file", ...file };
}

/**
 * Reads a document back: first the head, then the files as they come.
 * @throws AppError object_corrupt.
 */
export async function readDocument(
  bytes: AsyncIterable<Uint8Array>,
  where: string,
): Promise<{ readonly head: TransactionHead; readonly files: AsyncIterable<ArchivedFile> }> {
  const lines = linesOf(bytes);
  const first = await lines.next();
  const head = first.done ? undefined : readHead(parse(first.value, where));
  if (!head) throw new AppError("object_corrupt", { path: where, expected: `a transaction line of format ${FORMAT}` });
  return { head, files: readFiles(lines, head.id, where) };
}

async function* readFiles(
  lines: AsyncIterable<string>,
  transaction: TransactionId,
  where: string,
): AsyncGenerator<ArchivedFile> {
  for await (const line of lines) {
    const file = readFile(parse(line, where), transaction);
    if (!file)
      throw new AppError("object_corrupt", { path: where, expected: "a file line", found: line.slice(0, 100) });
    yield file;
  }
}

function readHead(line: Line): TransactionHead | undefined {
  const createdAt = Date.parse(String(line.createdAt));
  if (line.type !== "transaction" || line.format !== FORMAT || Number.isNaN(createdAt)) return undefined;
  const keyValues = Array.isArray(line.keyValues) ? line.keyValues : [];
  return {
    id: transactionId(Number(line.id)),
    submitter: text(line.submitter),
    project: text(line.project),
    instrument: text(line.instrument),
    owner: String(line.owner),
    createdAt,
    keyValues: keyValues.map((kv: Line) => ({
      fileId: kv.fileId === null ? null : fileId(Number(kv.fileId)),
      key: String(kv.key),
      value: String(kv.value),
    })),
  };
}

function readFile(line: Line, transaction: TransactionId): ArchivedFile | undefined {
  const declared = line.declared as Line | undefined;
  const whole = ["id", "sizeBytes", "crc32"].every((key) => Number.isSafeInteger(line[key]));
  if (line.type !== "file" || !whole || !declared || typeof line.path !== "string") return undefined;
  return {
    id: fileId(Number(line.id)),
    transactionId: transaction,
    path: line.path,
    contentPath: String(line.contentPath),
    sizeBytes: Number(line.sizeBytes),
    modifiedAt: text(line.modifiedAt),
    changedAt: text(line.changedAt),
    mediaType: String(line.mediaType),
    digests: line.digests as Digests,
    crc32: Number(line.crc32),
    declared: { algorithm: declared.algorithm as DigestName, value: String(declared.value) },
  };
}

type Line = Readonly<Record<string, unknown>>;

function parse(line: string, where: string): Line {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new AppError(
      "object_corrupt",
      { path: where, found: `a line that is not JSON: ${line.slice(0, 100)}` },
      { cause: error },
    );
  }
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
