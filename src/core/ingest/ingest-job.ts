import type { ReadTransaction } from "../archive/archive.ts";
import type { StagedTree } from "../archive/object-storage.ts";
import type { Clock } from "../clock.ts";
import { factsOfStream } from "../digest.ts";
import { AppError, type Problem, problem } from "../errors.ts";
import { transactionOf } from "../ids.ts";
import type { Job } from "../jobs/job.ts";
import type { TaskTracker } from "../jobs/task-tracker.ts";
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
import { METADATA_PATH, receiveBundle, stagedMembers } from "./bundle/bundle.ts";
import { type MemberTable, memberTable, type StagedMember } from "./bundle/member-table.ts";
import { DEPOSITOR_DIGEST } from "./ingest.ts";
import type { BundleMetadata, DeclaredFile } from "./metadata.ts";
import { refusal } from "./refusal.ts";
import type { UploadSpool } from "./upload-spool.ts";

export interface IngestParts extends AcceptanceParts {
  readonly spool: UploadSpool;
}

/**
 * The `ingest` job: from staged bytes to a published, catalogued transaction.
 *
 * Commitment in order: bytes (durable before the job is queued), object published, catalogue, spool removed. Each step
 * looks at what is there first, so a worker that takes over does only what was not finished.
 */
export function ingestJob(parts: IngestParts, clock: Clock): JobHandler {
  const { archive, spool } = parts;

  async function accept(context: JobContext): Promise<ReadTransaction> {
    const { tasks, signal } = context;
    signal.throwIfAborted();
    const tree = await receivedTree(context);
    const members = memberTable();
    for await (const member of stagedMembers(tree)) members.add(member);
    const metadataFile = members.get(METADATA_PATH);
    if (!metadataFile) {
      await tasks.begin("metadata");
      throw new AppError("metadata_missing");
    }
    const metadata = await declaration(parts, tree, "bundle", context);

    await tasks.begin("files", { files: metadata.files.length });
    const problems: Problem[] = [];
    for (const file of metadata.files) {
      signal.throwIfAborted();
      const objection = await objectionTo(tree, file, members.get(file.path), signal);
      if (objection) problems.push(objection);
      tasks.advance({ files: 1 });
    }
    if (problems.length > 0) throw refusal(problems);
    await dropUnlisted(tree, members, metadata, tasks);
    return publish(parts, context, tree, metadata, settledFiles(metadata, members), metadataFile.digests);
  }

  /** The bundle's tree: as the request left it, or read now from the spool. */
  async function receivedTree({ job, tasks, checkpoint, signal }: JobContext): Promise<StagedTree> {
    const id = transactionOf(job.id);
    const staged = await archive.reopen(id);
    if (job.checkpoint.received !== undefined) {
      if (staged) return staged;
      throw new AppError("stage_missing", { transactionId: id });
    }
    const uploadId = uploadOf(job);
    if (uploadId === undefined) throw new AppError("upload_interrupted");
    await staged?.discard();
    const tree = await archive.stage(id);
    const { bytes, sizeBytes } = await spool.open(uploadId);
    await tasks.begin("receive", { bytes: sizeBytes });
    const received = await receiveBundle(bytes, tree, {
      algorithms: [archive.algorithm, DEPOSITOR_DIGEST],
      expected: {},
      onBytes: (count) => tasks.advance({ bytes: count }),
      signal,
    });
    for (const member of received.passedOver) tasks.warn(member);
    await checkpoint({ received: { members: received.memberCount, bytes: received.sizeBytes } });
    return tree;
  }

  return {
    async run(context) {
      const { job, tasks } = context;
      const read = await published(archive, transactionOf(job.id), () => accept(context));
      const result = await catalogued(parts, tasks, read, clock.now());
      const uploadId = uploadOf(job);
      if (uploadId !== undefined) await spool.remove(uploadId);
      return result;
    },

    async cleanUp(job) {
      const uploadId = uploadOf(job);
      const isReceived = job.checkpoint.received !== undefined;
      if (failedThroughServer(job) && (isReceived || uploadId !== undefined)) return;
      await (await archive.reopen(transactionOf(job.id)))?.discard();
      if (uploadId !== undefined) await spool.remove(uploadId);
    },

    async retryable(job) {
      const uploadId = uploadOf(job);
      if (uploadId !== undefined && (await spool.has(uploadId))) return true;
      if (job.checkpoint.received === undefined) return false;
      const id = transactionOf(job.id);
      return ((await archive.reopen(id)) ?? (await archive.read(id))) !== undefined;
    },

    committed: async (job) => (await archive.read(transactionOf(job.id))) !== undefined,
  };
}

function uploadOf(job: Job): string | undefined {
  const { uploadId } = job.input;
  return typeof uploadId === "string" ? uploadId : undefined;
}

/**
 * Compares one declared file with the member that was received. An algorithm that was not computed on the way is
 * computed now, from the staged bytes.
 */
async function objectionTo(
  tree: StagedTree,
  declared: DeclaredFile,
  member: StagedMember | undefined,
  signal: AbortSignal,
): Promise<Problem | undefined> {
  if (!member) return problem("file_missing", { path: declared.path });
  const { algorithm } = declared.digest;
  if (algorithm in member.digests) return mismatch(declared, member);
  const { digests } = await factsOfStream(await tree.open(member.contentPath), [algorithm], signal);
  return mismatch(declared, { ...member, digests });
}

/**
 * The files of a bundle to which there is no objection. Made anew each time they are gone through: of a million, each is
 * in memory only as a declaration and a row.
 */
function settledFiles({ files }: BundleMetadata, members: MemberTable): Iterable<SettledFile> {
  return {
    *[Symbol.iterator]() {
      for (const declared of files) {
        const member = members.get(declared.path);
        if (!member) throw new AppError("file_missing", { path: declared.path });
        const digests = { ...member.digests, [declared.digest.algorithm]: declared.digest.value };
        yield settledFile(declared, { ...member, digests }, member.modifiedAt * 1000);
      }
    },
  };
}

/** What the metadata does not list is no part of the deposit: reported on the job, not archived. */
async function dropUnlisted(
  tree: StagedTree,
  members: MemberTable,
  { files }: BundleMetadata,
  tasks: TaskTracker,
): Promise<void> {
  if (members.size === files.length + 1) return; // those, and the metadata itself
  const listed = new Set([METADATA_PATH, ...files.map(({ path }) => path)]);
  for (const { path, contentPath } of members) {
    if (listed.has(path)) continue;
    tasks.warn(problem("member_unlisted", { path }));
    await tree.remove(contentPath);
  }
}
