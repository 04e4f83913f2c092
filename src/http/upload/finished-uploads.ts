import type { FastifyBaseLogger } from "fastify";
import type { ServerContext, ServerOptions } from "../server-deps.ts";

interface FinishedUploadsParts extends Pick<ServerContext, "uploads" | "ingest" | "audit" | "clock"> {
  readonly options: Pick<ServerOptions, "uploadExpiryMs">;
}

/** What becomes of uploads once their last byte is here, or when none comes any more. */
export interface FinishedUploads {
  /**
   * Makes the job of a complete upload; however often it is asked, there is one. A crash between any two steps is mended
   * by the next sweep. @returns the job's id, or `undefined` when the upload is not complete or not known.
   */
  ingest(uploadId: string): Promise<number | undefined>;
  /**
   * Makes jobs of uploads that were completed when nobody could, and forgets those that nobody continued. Never rejects:
   * the next sweep tries again.
   */
  sweep(log: FastifyBaseLogger): Promise<void>;
}

export function finishedUploads({ uploads, ingest, audit, clock, options }: FinishedUploadsParts): FinishedUploads {
  const underWay = new Map<string, Promise<number | undefined>>();

  async function begin(id: string): Promise<number | undefined> {
    const upload = await uploads.get(id);
    if (!upload || upload.offset !== upload.sizeBytes) return undefined;
    if (upload.jobId !== null) return upload.jobId;
    await uploads.seal(id);
    const job = await ingest.receiveSpooled(id, { owner: upload.owner, sizeBytes: upload.sizeBytes });
    await audit.record(upload.owner, "bundle.deposit", `job/${job.id}`, { via: `upload/${id}` });
    await uploads.assign(id, job.id);
    return job.id;
  }

  function ingestOnce(id: string): Promise<number | undefined> {
    const known = underWay.get(id);
    if (known) return known;
    const begun = begin(id).finally(() => underWay.delete(id));
    underWay.set(id, begun);
    return begun;
  }

  return {
    ingest: ingestOnce,
    async sweep(log) {
      try {
        for await (const { id, offset, sizeBytes, jobId } of uploads.list()) {
          if (offset !== sizeBytes || jobId !== null) continue;
          const made = await ingestOnce(id);
          log.info({ uploadId: id, jobId: made }, "a completed upload was found without a job");
        }
        const removed = await uploads.removeExpired(clock.now() - options.uploadExpiryMs);
        if (removed > 0) log.info({ removed }, "expired uploads were removed");
      } catch (err) {
        log.error({ err }, "looking through uploads");
      }
    },
  };
}
