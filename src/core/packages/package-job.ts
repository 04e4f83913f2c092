import type { KeyRing } from "../access/key-ring.ts";
import type { Clock } from "../clock.ts";
import { AppError, type Details } from "../errors.ts";
import { type PackageId, packageId } from "../ids.ts";
import type { Job } from "../jobs/job.ts";
import type { JobContext, JobHandler } from "../jobs/worker.ts";
import type { Fetch } from "../outbound/fetch.ts";
import type { DwcaSettings } from "./dwca/settings.ts";
import type { KeepingLimits } from "./eviction.ts";
import { packFile } from "./pack-file.ts";
import { packRows } from "./pack-rows.ts";
import type { Package, PackCheckpoint } from "./package.ts";
import type { PackageFiles } from "./package-files.ts";
import { describing, writeManifest } from "./package-manifest.ts";
import type { PackageStore } from "./package-store.ts";
import { type PackageZip, packageZip } from "./package-zip.ts";
import { patiently } from "./patience.ts";
import type { PackageSink } from "./row-format.ts";
import type { Telling } from "./telling.ts";

export interface PackageJobParts {
  readonly store: PackageStore;
  readonly files: PackageFiles;
  readonly keys: KeyRing;
  readonly telling: Telling;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly dwca: DwcaSettings;
  readonly keeping: KeepingLimits;
}

/** The work on one package, as those see it who fetch and convert. */
export interface Packing extends Pick<JobContext, "tasks" | "signal"> {
  readonly made: Package;
  /** The user's, for the portal. */
  readonly key: string | undefined;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly dwca: DwcaSettings;
  /** Of a file by URL. */
  readonly maxBytes: number;
  /** What an earlier worker has left to go on from. */
  readonly earlier: PackCheckpoint | undefined;
  /** Begins the ZIP; or goes on with it, as it was at a checkpoint. Called once. */
  open(from?: PackCheckpoint): Promise<PackageSink>;
  /** Notes how far it is, once what was written is durable. */
  save(state: Omit<PackCheckpoint, "spool">): Promise<void>;
}

/**
 * The `package` job: fetches, converts and packs; then, in one transaction, the package is ready and all who wait are told.
 * Its input: `{ package }`.
 *
 * Its checkpoint is a {@link PackCheckpoint} after some whole pages, and at last the name under which the ZIP appears: a
 * file of that name that no row knows is left from a worker that died between the two.
 */
export function packageJob(parts: PackageJobParts): JobHandler {
  const { store, files, keys, telling, clock, keeping } = parts;

  /** @throws AppError package_failed when it was given up already. */
  async function begun(job: Job): Promise<Package> {
    const made = await store.package(packageOf(job));
    if (made?.status === "building" || made?.status === "ready") return made;
    throw new AppError("package_failed", { reason: made ? `it is ${made.status}` : "it was forgotten" });
  }

  async function keyOf({ id }: Package): Promise<string | undefined> {
    const sealed = await store.sealedKey(id);
    if (sealed === null) return undefined;
    const key = keys.unseal(sealed);
    if (key === undefined) throw new AppError("package_failed", { reason: "the secret key of the server was changed" });
    return key;
  }

  async function build(made: Package, context: JobContext): Promise<Package> {
    const { job, signal, tasks } = context;
    const workspace = await files.workspace(made.id);
    let zip: PackageZip | undefined;
    const described = describing();
    const packing: Packing = {
      ...parts,
      made,
      signal,
      tasks,
      key: await keyOf(made),
      maxBytes: keeping.storeBytes,
      earlier: packCheckpoint(job),
      async open(from) {
        zip = await packageZip(workspace, { modifiedAt: made.createdAt, from: from?.spool });
        if (!made.recipe.manifest) return zip;
        await described.over(zip);
        return described;
      },
      async save(state) {
        const spool = await zip?.checkpoint();
        await context.checkpoint({ ...state, spool: spool ?? {} });
      },
    };
    try {
      const { rowCount } = await (made.recipe.kind === "url" ? packFile(packing) : packRows(packing));
      if (!zip) throw new AppError("internal", { expected: "a package that was begun" });
      signal.throwIfAborted();
      if (made.recipe.manifest) await writeManifest(zip, described.members(), made, rowCount, clock.now());
      await tasks.begin("publish");
      return await publish(made, context, zip, rowCount);
    } finally {
      await zip?.close();
    }
  }

  async function publish(made: Package, { job, checkpoint }: JobContext, zip: PackageZip, rowCount: number | null) {
    // As ckanpackager names them: 32 hex digits, a number, seconds. Others parse that.
    const fileName = `${made.cacheKey.slice(0, 32)}-${job.id}-${Math.floor(clock.now() / 1_000)}.zip`;
    await checkpoint({ fileName });
    const finished = await zip.finish(fileName);
    const now = clock.now();
    const facts = {
      fileName,
      ...finished,
      rowCount,
      freshUntil: now + keeping.freshMs,
      linkExpiresAt: now + keeping.keepMs,
    };
    if (!(await store.ready(made.id, job.attempts, facts, now, telling.ready))) await files.remove(fileName);
    return begun(job);
  }

  /** Removes what a worker has published that died before the row said so. */
  async function removeUnclaimed({ checkpoint }: Job): Promise<void> {
    const { fileName } = checkpoint;
    if (typeof fileName === "string" && !(await store.holds(fileName))) await files.remove(fileName);
  }

  return {
    async run(context) {
      const made = await begun(context.job);
      if (made.status === "ready") return resultOf(made);
      await removeUnclaimed(context.job);
      return resultOf(await patiently(context, clock, (watched) => build(made, watched)));
    },

    async cleanUp(job) {
      const id = packageOf(job);
      const { code, message, details } = job.error ?? new AppError("job_cancelled");
      const error = { code, message, details };
      await store.fail(id, error, clock.now(), telling.failed(error));
      await removeUnclaimed(job);
      await (await files.workspace(id)).discard();
    },

    /** Those who waited have been told, and the user's key is forgotten: who wants it still orders anew. */
    retryable: () => Promise.resolve(false),

    committed: async (job) => (await store.package(packageOf(job)))?.status === "ready",
  };
}

const packageOf = ({ input }: Job): PackageId => packageId(String(input.package));

function packCheckpoint({ checkpoint }: Job): PackCheckpoint | undefined {
  return "spool" in checkpoint ? (checkpoint as unknown as PackCheckpoint) : undefined;
}

const resultOf = ({ id, fileName, sizeBytes, digest, rowCount }: Package): Details => ({
  package: id,
  fileName,
  sizeBytes,
  digest,
  rows: rowCount,
});
