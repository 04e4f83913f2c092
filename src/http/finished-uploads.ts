import type { FastifyBaseLogger } from "fastify";
import type { Upload } from "../core/ingest/upload-store.ts";
import type { ServerContext } from "./server-deps.ts";

/**
 * Makes the job of a complete upload; however often it is asked, there is one. A crash between any two steps is mended
 * by the next sweep. @returns the job's id.
 */
export async function ingestUpload({ uploads, ingest, audit }: ServerContext, upload: Upload): Promise<number> {
  if (upload.jobId !== null) return upload.jobId;
  await uploads.seal(upload.id);
  const job = await ingest.receiveSpooled(upload.id, { owner: upload.owner, sizeBytes: upload.offset });
  await audit.record(upload.owner, "bundle.deposit", `job/${job.id}`, { via: `upload/${upload.id}` });
  await uploads.assign(upload.id, job.id);
  return job.id;
}

/**
 * Makes jobs of uploads that were completed when nobody could, and forgets those that nobody continued. Never rejects:
 * the next sweep tries again.
 */
export async function sweepUploads(context: ServerContext, log: FastifyBaseLogger): Promise<void> {
  const { uploads, clock, options } = context;
  try {
    for await (const upload of uploads.list()) {
      if (upload.offset !== upload.sizeBytes || upload.jobId !== null) continue;
      const jobId = await ingestUpload(context, upload);
      log.info({ uploadId: upload.id, jobId }, "a completed upload was found without a job");
    }
    const removed = await uploads.removeExpired(clock.now() - options.uploadExpiryMs);
    if (removed > 0) log.info({ removed }, "expired uploads were removed");
  } catch (err) {
    log.error({ err }, "looking through uploads");
  }
}
