import { posix } from "node:path";
import type { Clock } from "../clock.ts";
import { isoTime } from "../clock.ts";
import { AppError } from "../errors.ts";
import { transactionOf } from "../ids.ts";
import type { AcceptanceParts } from "../ingest/acceptance.ts";
import { METADATA_CONTENT_PATH } from "../ingest/bundle/bundle.ts";
import { moveJob } from "../ingest/move-job.ts";
import type { MoveSource } from "../ingest/move-source.ts";
import type { Job } from "../jobs/job.ts";
import type { JobContext, JobHandler } from "../jobs/worker.ts";
import type { Switches } from "../switches/switches.ts";
import { filled } from "./declaration.ts";
import type { Drop, DropFiles } from "./drop.ts";
import { everything, fingerprint, type InspectedFile, inspect } from "./inspect.ts";

export const DROP_INGEST_JOB = "drop-ingest";

/** What the look that found a delivery ready says of it. */
export interface DeliveryInput {
  readonly drop: string;
  readonly delivery: string;
  /** Top-level names of what belongs to it. */
  readonly paths: readonly string[];
  readonly groups: Readonly<Record<string, string>>;
  readonly fingerprint: string;
}

/** File systems can hold times that no calendar of ours can (ECMA-262, Time Values). */
const LAST_DATE_MS = 8.64e15;

export interface DropIngestParts extends AcceptanceParts {
  readonly files: DropFiles;
  /** Files below one folder, as a move sees them. */
  sourceBelow(folder: string): MoveSource;
  /** @throws AppError drop_unknown. */
  drop(name: string): Promise<Drop>;
  readonly switches: Pick<Switches, "requireRunning">;
}

/**
 * The `drop-ingest` job: reads a delivery once where it lies, and compares it with what its sender says; then it is copied
 * into the archive as a move would, which reads it a second time and compares again. What lies in the drop folder stays. A
 * delivery that changes meanwhile fails with `source_changed`, and is looked at anew.
 */
export function dropIngestJob(parts: DropIngestParts, clock: Clock): JobHandler {
  const { archive, files, switches } = parts;

  /** The bundle's metadata, staged: what a later worker continues from. */
  async function prepare({ job, tasks, signal, checkpoint }: JobContext, drop: Drop): Promise<Job> {
    const id = transactionOf(job.id);
    const earlier = await archive.reopen(id);
    if ((earlier && job.checkpoint.received !== undefined) || (await archive.read(id))) return job;
    const input = inputOf(job);
    await switches.requireRunning("drops", `${drop.folder}/${input.delivery}`);
    const top = (await files.list(drop.folder)).filter(({ path }) => input.paths.includes(path));
    const entries = await everything(files, drop.folder, top);
    if (fingerprint(entries) !== input.fingerprint) throw new AppError("source_changed", { path: input.delivery });
    const regular = entries.filter(({ kind }) => kind === "file");
    const bytes = regular.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    await tasks.begin("inspect", { files: regular.length, bytes });
    const inspected = await inspect(drop, input.delivery, entries, files, archive.algorithm, {
      signal,
      onFile: (sizeBytes) => tasks.advance({ files: 1, bytes: sizeBytes }),
    });
    const tree = earlier ?? (await archive.stage(id));
    const document = metadataOf(drop, input, inspected);
    await tree.put(METADATA_CONTENT_PATH, document);
    await tree.sync();
    const prepared = { ...job.checkpoint, received: { files: inspected.length, bytes } };
    await checkpoint(prepared);
    return { ...job, checkpoint: prepared };
  }

  /** Sources that ask the switches for permission, each time one is found. */
  function heeding(source: MoveSource): MoveSource {
    return {
      ...source,
      async find(path) {
        await switches.requireRunning("drops", path);
        return source.find(path);
      },
    };
  }

  const moving = (drop: Drop) =>
    moveJob({ ...parts, source: heeding(parts.sourceBelow(drop.folder)), keepsSources: true }, clock);

  return {
    async run(context) {
      const drop = await parts.drop(inputOf(context.job).drop);
      const job = await prepare(context, drop);
      return moving(drop).run({ ...context, job });
    },
    async cleanUp(job) {
      await (await archive.reopen(transactionOf(job.id)))?.discard();
    },
    committed: async (job) => (await archive.read(transactionOf(job.id))) !== undefined,
  };
}

export function inputOf({ input }: Pick<Job, "input">): DeliveryInput {
  const { drop, delivery, paths, groups, fingerprint: found } = input as unknown as DeliveryInput;
  return { drop, delivery, paths, groups, fingerprint: found };
}

/** The metadata array of a move; files keep their paths below the drop folder. */
function metadataOf(
  { folder, name, metadata }: Drop,
  { delivery, groups }: DeliveryInput,
  files: readonly InspectedFile[],
): Uint8Array {
  const text = (template: string) => filled(template, { ...groups, delivery, drop: name });
  const about = (["submitter", "project", "instrument"] as const).flatMap((field) => {
    const template = metadata[field];
    return template === null ? [] : [{ destinationTable: `Transactions.${field}`, value: text(template) }];
  });
  const keyValues = Object.entries({ ...metadata.keyValues, "drop folder": "{drop}", delivery: "{delivery}" }).map(
    ([key, template]) => ({ destinationTable: "TransactionKeyValue", key, value: text(template) }),
  );
  const listed = files.map(({ path, sizeBytes, modifiedAt, digest }) => ({
    destinationTable: "Files",
    name: posix.basename(path),
    subdir: `data/${posix.dirname(path) === "." ? "" : posix.dirname(path)}`,
    size: sizeBytes,
    mimetype: "application/octet-stream",
    hashtype: digest.algorithm,
    hashsum: digest.value,
    ...(Math.abs(modifiedAt) <= LAST_DATE_MS && { mtime: isoTime(modifiedAt) }),
    source: `${folder}/${path}`,
  }));
  return Buffer.from(`${JSON.stringify([...about, ...keyValues, ...listed], null, 1)}\n`);
}
