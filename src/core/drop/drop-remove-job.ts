import type { Audit } from "../access/audit.ts";
import type { Archive } from "../archive/archive.ts";
import type { ArchivedFile, CatalogueStore, Transaction } from "../catalogue/catalogue-store.ts";
import { type DigestName, factsOfStream } from "../digest.ts";
import { AppError, type Problem, problem } from "../errors.ts";
import { transactionOf } from "../ids.ts";
import { METADATA_CONTENT_PATH } from "../ingest/bundle/bundle.ts";
import { readMetadata } from "../ingest/metadata.ts";
import type { MoveSource, SourceFile } from "../ingest/move-source.ts";
import { refusal } from "../ingest/refusal.ts";
import type { Job } from "../jobs/job.ts";
import type { JobContext, JobHandler } from "../jobs/worker.ts";
import type { Switches } from "../switches/switches.ts";
import type { Delivery, Drop, DropFiles, DropStore } from "./drop.ts";

export const DROP_REMOVE_JOB = "drop-remove";

export interface DropRemoveParts {
  readonly archive: Archive;
  readonly catalogue: Pick<CatalogueStore, "transaction" | "listFiles">;
  readonly store: Pick<DropStore, "get">;
  readonly files: DropFiles;
  readonly audit: Pick<Audit, "record">;
  readonly switches: Pick<Switches, "requireRunning">;
  sourceBelow(folder: string): MoveSource;
  /** @throws AppError drop_unknown. */
  drop(name: string): Promise<Drop>;
}

/** A file that lies in the drop folder, and what the archive has of it. */
interface Pair {
  readonly path: string;
  readonly archived: ArchivedFile;
  /** As it was when it was found to be the same. */
  readonly found: SourceFile;
}

/**
 * The `drop-remove` job: removes the files of a delivery that is archived. Nothing of what earlier steps found counts: the
 * permission, the catalogue's record, and for every file its size, the digest of the bytes in the drop folder, and the
 * digest of the bytes in the archive, both read anew. Any doubt, and any error, about one file keeps them all.
 */
export function dropRemoveJob(parts: DropRemoveParts): JobHandler {
  const { archive, catalogue, switches } = parts;

  async function permitted(
    job: Job,
  ): Promise<{ readonly drop: Drop; readonly delivery: Delivery; readonly by: string }> {
    const delivery = await parts.store.get(Number(job.input.delivery));
    if (!delivery) throw new AppError("delivery_unknown", { id: Number(job.input.delivery) });
    const drop = await parts.drop(delivery.drop);
    const by = drop.removal === "always" ? `the declaration of ${drop.name}` : delivery.permittedBy;
    if (drop.removal === "never" || by === null)
      throw new AppError("removal_refused", { delivery: delivery.id, expected: "a permission", found: drop.removal });
    if (delivery.state !== "archived" && delivery.state !== "removing")
      throw new AppError("removal_refused", { delivery: delivery.id, expected: "archived", found: delivery.state });
    return { drop, delivery, by };
  }

  /** What the archive says of the transaction, and where each file lay. */
  async function recorded({ id, transactionId, job }: Delivery) {
    const transaction = transactionId === null ? undefined : await catalogue.transaction(transactionId);
    if (!transaction || job === null || transactionOf(job) !== transaction.id)
      throw new AppError("removal_refused", { delivery: id, expected: "a record in the catalogue" });
    const document = await archive.storage.open(`${transaction.objectPath}/${METADATA_CONTENT_PATH}`);
    const { metadata } = await readMetadata(document, "move");
    const sources = new Map(metadata.files.map(({ path, source }) => [path, source ?? ""]));
    const files = await catalogue.listFiles(transaction.id, { limit: transaction.fileCount + 1 });
    if (files.length !== sources.size || files.length !== transaction.fileCount)
      throw new AppError("removal_refused", { delivery: id, expected: sources.size, found: files.length });
    return { transaction, sources, files };
  }

  /** The file in the folder, when it is the archived one to the last bit; or why it is not. `undefined`: it is gone. */
  async function compare(
    transaction: Transaction,
    archived: ArchivedFile,
    path: string,
    source: MoveSource,
    signal: AbortSignal,
  ): Promise<Pair | Problem | undefined> {
    const found = await source.find(path).catch(ifGone);
    if (!found) return undefined;
    if (found.sizeBytes !== archived.sizeBytes)
      return problem("file_size_mismatch", { path, expected: archived.sizeBytes, found: found.sizeBytes });
    const expected = archived.digests[archive.algorithm];
    if (expected === undefined) return problem("object_corrupt", { path: archived.path, expected: archive.algorithm });
    const here = await digestOf(found.open(), archive.algorithm, signal);
    if (here !== expected) return problem("file_digest_mismatch", { path, expected, found: here });
    const kept = await digestOf(await archive.openFile(transaction, archived), archive.algorithm, signal);
    if (kept !== expected) return problem("object_corrupt", { path: archived.path, expected, found: kept });
    return { path, archived, found };
  }

  async function run({ job, tasks, signal }: JobContext) {
    const { drop, delivery, by } = await permitted(job);
    const { transaction, sources, files } = await recorded(delivery);
    const source = parts.sourceBelow(drop.folder);
    await tasks.begin("compare", { files: files.length, bytes: transaction.sizeBytes });
    const pairs: Pair[] = [];
    const problems: Problem[] = [];
    for (const archived of files) {
      signal.throwIfAborted();
      const path = sources.get(archived.path);
      if (path === undefined) throw new AppError("removal_refused", { path: archived.path, expected: "a source" });
      await switches.requireRunning("drops", path);
      const compared = await compare(transaction, archived, path, source, signal);
      if (compared && "code" in compared) problems.push(compared);
      else if (compared) pairs.push(compared);
      tasks.advance({ files: 1, bytes: archived.sizeBytes });
    }
    if (problems.length > 0) throw refusal(problems);

    // Written before the deed: there is no removal without an entry.
    const about = { transaction: transaction.id, files: pairs.length, permittedBy: by };
    await parts.audit.record(job.owner, "drop.remove", `delivery/${delivery.id}`, about);
    await tasks.begin("remove", { files: pairs.length });
    for (const { path, found } of pairs) {
      signal.throwIfAborted();
      await switches.requireRunning("drops", path);
      const now = await source.find(path).catch(ifGone);
      if (now && now.identity !== found.identity) throw new AppError("source_changed", { path });
      await source.remove(path);
      tasks.advance({ files: 1 });
    }
    const tops = new Set(files.map(({ path }) => path.split("/")[1] ?? ""));
    for (const top of tops) await parts.files.removeEmpty(drop.folder, top);
    return { delivery: delivery.id, transactionId: transaction.id, files: pairs.length };
  }

  return { run };
}

async function digestOf(bytes: AsyncIterable<Uint8Array>, algorithm: DigestName, signal: AbortSignal): Promise<string> {
  return (await factsOfStream(bytes, [algorithm], signal)).digests[algorithm] ?? "";
}

function ifGone(error: unknown): undefined {
  if (!(error instanceof AppError && error.code === "source_missing")) throw error;
}
