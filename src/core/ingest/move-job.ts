import type { ReadTransaction } from "../archive/archive.ts";
import { contentPaths } from "../archive/content-path.ts";
import type { StagedTree, WrittenFile } from "../archive/object-storage.ts";
import type { ArchivedFile, Transaction } from "../catalogue/catalogue-store.ts";
import type { Clock } from "../clock.ts";
import { type DigestName, factsOfStream } from "../digest.ts";
import { AppError, type Problem, problem } from "../errors.ts";
import { transactionOf } from "../ids.ts";
import type { Job } from "../jobs/job.ts";
import type { JobContext, JobHandler } from "../jobs/worker.ts";
import {
  type AcceptanceParts,
  catalogued,
  declaration,
  failedThroughServer,
  mismatch,
  publish,
  published,
  type SettledFile,
  settledFile,
} from "./acceptance.ts";
import { METADATA_CONTENT_PATH } from "./bundle/bundle.ts";
import { DEPOSITOR_DIGEST } from "./ingest.ts";
import { type DeclaredFile, readMetadata } from "./metadata.ts";
import type { MoveSource, SourceFile } from "./move-source.ts";
import { refusal } from "./refusal.ts";

export interface MoveParts extends AcceptanceParts {
  readonly source: MoveSource;
  /** Sources are copied, never linked, and stay where they lie. */
  readonly keepsSources?: boolean;
}

/** Which files this worker has taken in: their identity by logical path. */
type Taken = Map<string, string>;

/**
 * The `move` job: registers files that already lie on the server's disk. Each is linked into the object (copied when it
 * lies on another file system), verified there, and removed from where it lay only after the object is published and
 * catalogued. So at every moment each file exists in at least one of the two places, and nothing needs undoing.
 */
export function moveJob(parts: MoveParts, clock: Clock): JobHandler {
  const { archive, source, keepsSources = false } = parts;

  async function accept(context: JobContext, taken: Taken): Promise<ReadTransaction> {
    const { job, tasks, signal } = context;
    signal.throwIfAborted();
    const tree = await archive.reopen(transactionOf(job.id));
    if (!tree || job.checkpoint.received === undefined) throw new AppError("upload_interrupted");
    const metadata = await declaration(parts, tree, "move", context);
    const found = await findAll(metadata.files);
    await dropEarlierTry(tree);

    const bytes = found.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    await tasks.begin("files", { files: found.length, bytes });
    const paths = contentPaths();
    const chosen = metadata.files.map(({ path }) => paths.choose(path));
    const algorithmsOf = ({ digest }: DeclaredFile) => [archive.algorithm, DEPOSITOR_DIGEST, digest.algorithm];
    const advance = (bytes: number) => tasks.advance({ files: 1, bytes });
    const copies = keepsSources
      ? await copyAll(tree, chosen, found, unique(metadata.files.flatMap(algorithmsOf)), { signal, advance })
      : undefined;
    const problems: Problem[] = [];
    const files: SettledFile[] = [];
    for (const [index, file] of metadata.files.entries()) {
      signal.throwIfAborted();
      const from = found[index];
      if (!from) continue;
      const written = copies
        ? copies[index]
        : await takeIn(tree, chosen[index] ?? "", from, unique(algorithmsOf(file)), signal);
      if (!written) throw new AppError("internal", { expected: found.length, found: index });
      const objection = mismatch(file, written);
      if (objection) problems.push(objection);
      else files.push(settledFile(file, { ...written, contentPath: written.path }, from.modifiedAt));
      if (!copies) advance(written.sizeBytes);
    }
    problems.push(...(await changedMeanwhile(metadata.files, found)));
    if (problems.length > 0) throw refusal(problems);
    for (const [index, { path }] of metadata.files.entries()) taken.set(path, found[index]?.identity ?? "");
    const document = await factsOfStream(await tree.open(METADATA_CONTENT_PATH), [archive.algorithm, DEPOSITOR_DIGEST]);
    return publish(parts, context, tree, metadata, files, document.digests);
  }

  /** All sources, or the list of those that cannot be moved. */
  async function findAll(files: readonly DeclaredFile[]): Promise<readonly SourceFile[]> {
    const problems: Problem[] = [];
    const found: SourceFile[] = [];
    const seen = new Map<string, string>();
    for (const { path, source: from } of files) {
      try {
        const file = await source.find(from ?? "");
        const other = seen.get(file.path);
        if (other !== undefined)
          problems.push(problem("file_duplicate", { path, found: `${from}, which is also the source of ${other}` }));
        seen.set(file.path, path);
        found.push(file);
      } catch (error) {
        if (!(error instanceof AppError) || error.retryable) throw error;
        const { hint } = error.details;
        problems.push(problem(error.code, { path, found: from ?? "", ...(typeof hint === "string" ? { hint } : {}) }));
      }
    }
    if (problems.length > 0) throw refusal(problems);
    return found;
  }

  /** Sources that were written to or exchanged while they were taken in: a linked file has changed with its source. */
  async function changedMeanwhile(
    files: readonly DeclaredFile[],
    found: readonly SourceFile[],
  ): Promise<readonly Problem[]> {
    const problems: Problem[] = [];
    for (const [index, { path, source: from }] of files.entries()) {
      const now = await source.find(from ?? "").catch(ifGone);
      if (now?.identity !== found[index]?.identity)
        problems.push(problem("source_changed", { path, found: from ?? "" }));
    }
    return problems;
  }

  /** An earlier worker may have died half-way: what it took in is taken in again. */
  async function dropEarlierTry(tree: StagedTree): Promise<void> {
    const stale: string[] = [];
    for await (const { path } of tree.list()) if (path !== METADATA_CONTENT_PATH) stale.push(path);
    for (const path of stale) await tree.remove(path);
  }

  async function removeSources(read: ReadTransaction, taken: Taken, { job, tasks }: JobContext): Promise<void> {
    const path = `${read.transaction.objectPath}/${METADATA_CONTENT_PATH}`;
    const { metadata } = await readMetadata(await archive.storage.open(path), "move");
    for await (const file of read.files()) await requireArchived(read.transaction, file);
    const changed = new Set<string>();
    let removed = 0;
    for (const file of metadata.files) {
      const from = file.source ?? "";
      try {
        const isOurs = await isArchived(await source.find(from), file, taken.get(file.path));
        if (isOurs) {
          await source.remove(from);
          removed++;
        } else {
          changed.add(file.path);
          tasks.warn(problem("source_changed", { path: file.path, found: from }));
        }
      } catch (error) {
        if (!(error instanceof AppError) || error.retryable) throw error;
        // The file is archived: one that cannot be removed where it lay is worth telling, not a failure.
        if (error.code !== "source_missing") tasks.warn(problem(error.code, { path: file.path, found: from }));
        else removed++; // by an earlier worker that did not live to note it
      }
    }
    await noteRemoval(read.transaction, job, removed);
    if (changed.size > 0) await requireIntact(read, changed);
  }

  /** Once, however often the job is taken over after it. */
  async function noteRemoval({ id: transactionId }: Transaction, job: Job, files: number): Promise<void> {
    if (files === 0) return;
    for await (const { type, details } of parts.events.all(transactionId))
      if (type === "deletion" && details.job === job.id) return;
    const details = { what: "source files of the move, after they were archived", files, job: job.id };
    await parts.events.record({ type: "deletion", transactionId, actor: job.owner, outcome: "success", details });
  }

  /** Whoever wrote to a linked source wrote into the archive. @throws AppError object_corrupt, naming the files. */
  async function requireIntact({ transaction, files }: ReadTransaction, changed: ReadonlySet<string>): Promise<void> {
    const problems: Problem[] = [];
    for await (const file of files()) {
      if (!changed.has(file.path)) continue;
      const expected = file.digests[archive.algorithm] ?? "";
      const { digests } = await factsOfStream(await archive.openFile(transaction, file), [archive.algorithm]);
      const found = digests[archive.algorithm] ?? "";
      if (found !== expected) problems.push(problem("object_corrupt", { path: file.path, expected, found }));
    }
    if (problems.length > 0) throw refusal(problems);
  }

  /**
   * Whether what lies there now is what was archived. After a crash and a restart only its bytes can tell: something
   * else may lie there by then, and is not ours to remove.
   */
  async function isArchived(now: SourceFile, { digest }: DeclaredFile, taken: string | undefined): Promise<boolean> {
    if (taken !== undefined) return now.identity === taken;
    const { digests } = await factsOfStream(now.open(), [digest.algorithm]);
    return digests[digest.algorithm] === digest.value;
  }

  /** The last look before anything is removed: no source goes whose file is not there. @throws AppError object_corrupt. */
  async function requireArchived({ objectPath }: Transaction, file: ArchivedFile): Promise<void> {
    const path = `${objectPath}/${file.contentPath}`;
    const found = await archive.storage.stat(path);
    if (found?.sizeBytes !== file.sizeBytes)
      throw new AppError("object_corrupt", { path, expected: file.sizeBytes, found: found?.sizeBytes ?? "nothing" });
  }

  return {
    async run(context) {
      const taken: Taken = new Map();
      const read = await published(archive, transactionOf(context.job.id), () => accept(context, taken));
      const result = await catalogued(parts, context.tasks, read, clock.now());
      if (!keepsSources) await removeSources(read, taken, context);
      return result;
    },
    async cleanUp(job) {
      if (failedThroughServer(job) && job.checkpoint.received !== undefined) return;
      await (await archive.reopen(transactionOf(job.id)))?.discard();
    },
    async retryable(job) {
      const id = transactionOf(job.id);
      return ((await archive.reopen(id)) ?? (await archive.read(id))) !== undefined;
    },
    committed: async (job) => (await archive.read(transactionOf(job.id))) !== undefined,
  };
}

function ifGone(error: unknown): undefined {
  if (!(error instanceof AppError && error.code === "source_missing")) throw error;
}

/** Puts one file into the tree and learns its facts there. */
async function takeIn(
  tree: StagedTree,
  contentPath: string,
  from: SourceFile,
  algorithms: readonly DigestName[],
  signal: AbortSignal,
): Promise<WrittenFile> {
  if (await tree.link?.(contentPath, from.path))
    return { path: contentPath, ...(await factsOfStream(await tree.open(contentPath), algorithms, signal)) };
  const [written] = await copyAll(tree, [contentPath], [from], algorithms, { signal });
  if (!written) throw new AppError("internal");
  return written;
}

/** Copies files with one writer for all: to begin one costs more than to write a small file. In their order. */
async function copyAll(
  tree: StagedTree,
  contentPaths: readonly string[],
  sources: readonly SourceFile[],
  algorithms: readonly DigestName[],
  { signal, advance }: { readonly signal: AbortSignal; readonly advance?: (sizeBytes: number) => void },
): Promise<readonly WrittenFile[]> {
  const writer = tree.writer(algorithms);
  try {
    for (const [index, from] of sources.entries()) {
      writer.begin(contentPaths[index] ?? "");
      for await (const chunk of from.open()) {
        signal.throwIfAborted();
        await writer.write(chunk);
      }
      writer.end();
      advance?.(from.sizeBytes);
    }
    return await writer.finish();
  } finally {
    await writer.abort();
  }
}

const unique = (algorithms: readonly DigestName[]): readonly DigestName[] => [...new Set(algorithms)];
