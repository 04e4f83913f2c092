import type { Clock } from "../../clock.ts";
import { factsOfStream } from "../../digest.ts";
import { AppError, type DetailValue } from "../../errors.ts";
import { jobId } from "../../ids.ts";
import type { Ingest } from "../../ingest/ingest.ts";
import type { MoveSource } from "../../ingest/move-source.ts";
import { FINISHED_STATES } from "../../jobs/job.ts";
import type { Jobs } from "../../jobs/jobs.ts";
import { PutOff } from "../../jobs/worker.ts";
import type { Action } from "../declaration-form.ts";
import { filledPath, filledText } from "../places.ts";
import type { ActionContext, ActionRunner } from "../register-job.ts";
import type { ActionPlaces } from "./action-places.ts";

export interface IngestFolderParts {
  readonly ingest: Pick<Ingest, "move">;
  readonly jobs: Pick<Jobs, "get">;
  readonly source: MoveSource;
  readonly places: Pick<ActionPlaces, "source">;
  readonly clock: Clock;
}

type IngestAction = Extract<Action, { do: "ingest" }>;

const WAIT_MS = 1_000;

/**
 * Moves all files of a folder into the archive as one transaction, through the same job as every move: each is archived,
 * verified and catalogued before it is removed where it lay. Nothing is begun while a file may still be written.
 */
export function ingestFolder(parts: IngestFolderParts): ActionRunner<IngestAction> {
  const { ingest, jobs, places, source, clock } = parts;

  async function document(
    { entry, action, signal, tasks }: ActionContext<IngestAction>,
    folder: string,
  ): Promise<Buffer> {
    const found = await (await places.source(folder)).files(signal);
    const objects: Record<string, DetailValue>[] = [];
    for (const table of ["submitter", "project", "instrument"] as const) {
      const template = action[table];
      if (template !== undefined)
        objects.push({ destinationTable: `Transactions.${table}`, value: filledText(template, entry) });
    }
    for (const [key, template] of Object.entries(action.keys))
      objects.push({ destinationTable: "TransactionKeyValue", key, value: filledText(template, entry) });
    for (const one of found) {
      const file = await source.find(one.source);
      const idleMs = clock.now() - file.modifiedAt;
      if (idleMs < action.quiet)
        throw new AppError("source_changed", { path: one.path, hint: "it was written to a moment ago" });
      const { digests, sizeBytes } = await factsOfStream(file.open(), ["sha256"], signal);
      const at = one.path.lastIndexOf("/");
      objects.push({
        destinationTable: "Files",
        name: one.path.slice(at + 1),
        subdir: at < 0 ? "data" : `data/${one.path.slice(0, at)}`,
        size: sizeBytes,
        mtime: Math.floor(file.modifiedAt / 1_000),
        hashtype: "sha256",
        hashsum: digests.sha256 ?? "",
        source: one.source,
      });
      tasks.advance({ files: 1, bytes: sizeBytes });
    }
    if (found.length === 0) throw new AppError("source_missing", { path: folder, hint: "the folder is empty" });
    return Buffer.from(JSON.stringify(objects));
  }

  return async (context) => {
    const { entry, action, noted, note, settle } = context;
    const folder = filledPath(action.folder, entry);
    const key = `register/${entry.register}/${entry.id}/${entry.version}`;
    if (noted.key === undefined) {
      const metadata = await document(context, folder);
      await settle();
      await note({ key });
      const job = await ingest.move(metadata, { owner: entry.owner, idempotencyKey: key });
      await note({ key, job: job.id });
    } else if (noted.job === undefined) {
      // Whether it was begun, its key says; its files may be gone by now. If not, this fails, and is tried again.
      const job = await ingest.move(Buffer.from("[]"), { owner: entry.owner, idempotencyKey: String(noted.key) });
      await note({ key: noted.key, job: job.id });
    }
    const job = await jobs.get(jobId(Number(context.noted.job)));
    if (!FINISHED_STATES.includes(job.state)) throw new PutOff(WAIT_MS);
    if (job.state !== "succeeded")
      throw new AppError("action_failed", { job: job.id, state: job.state, reason: job.error?.message ?? "" });
    await (await places.source(folder)).prune();
    return { reason: `archived as transaction ${job.id}` };
  };
}
