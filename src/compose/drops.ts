import { readFile } from "node:fs/promises";
import type { Stores } from "../adapters/db/stores.ts";
import { fsDropFiles } from "../adapters/drop/fs.ts";
import { fsMoveSource } from "../adapters/source/move-source.ts";
import type { Audit } from "../core/access/audit.ts";
import type { Clock } from "../core/clock.ts";
import { readDrops } from "../core/drop/declaration.ts";
import type { Drop } from "../core/drop/drop.ts";
import { dropAlerts } from "../core/drop/drop-alerts.ts";
import { DROP_INGEST_JOB, dropIngestJob } from "../core/drop/drop-ingest-job.ts";
import { DROP_REMOVE_JOB, dropRemoveJob } from "../core/drop/drop-remove-job.ts";
import { DROP_LOOK_JOB, type Drops, declaredDrops, dropLookJob, dropService } from "../core/drop/drops.ts";
import { AppError } from "../core/errors.ts";
import type { AcceptanceParts } from "../core/ingest/acceptance.ts";
import type { Jobs } from "../core/jobs/jobs.ts";
import type { JobHandler } from "../core/jobs/worker.ts";
import type { BuiltIns } from "../core/schedules/built-in.ts";
import { requireFields } from "../core/schedules/own-work.ts";
import type { Switches } from "../core/switches/switches.ts";
import type { Config } from "../settings/config.ts";
import { operators } from "./operators.ts";

interface DropCompositionParts {
  readonly stores: Stores;
  readonly acceptance: AcceptanceParts;
  readonly audit: Audit;
  readonly switches: Switches;
  readonly clock: Clock;
}

/** Drop folders: their service and the handlers of their jobs. @throws AppError drop_invalid for what the settings declare. */
export async function composeDrops(config: Config, parts: DropCompositionParts) {
  const { stores, acceptance, audit, switches, clock } = parts;
  const files = fsDropFiles();
  const dropParts = {
    store: stores.drops,
    files,
    declared: await declaredInFile(config),
    roots: config.moveRoots,
    audit,
    switches,
    clock,
    alerts: dropAlerts(operators(config)),
  };
  const drop = declaredDrops(dropParts).get;
  const sourceBelow = (folder: string) => fsMoveSource({ roots: [folder] });
  const { archive, catalogue } = acceptance;
  /** @param jobs asked for when a job of a drop folder runs: they are made with the handlers. */
  const handlers = (jobs: () => Jobs): Readonly<Record<string, JobHandler>> => ({
    [DROP_LOOK_JOB]: dropLookJob(dropParts, jobs),
    [DROP_INGEST_JOB]: dropIngestJob({ ...acceptance, files, sourceBelow, drop, switches }, clock),
    [DROP_REMOVE_JOB]: dropRemoveJob({
      archive,
      catalogue,
      store: stores.drops,
      files,
      audit,
      switches,
      sourceBelow,
      drop,
    }),
  });
  /** For schedules: one look at a folder. */
  const builtIns = (jobs: Pick<Jobs, "submit">): BuiltIns => ({
    drop: {
      summary: "look at a drop folder, and take what is complete in it",
      check: (input) => requireFields("drop", input, { drop: (value) => typeof value === "string" }),
      async run({ drop: name = "" }, { owner, key, follow }) {
        const input = { drop: name };
        const job = await jobs.submit({ kind: DROP_LOOK_JOB, lane: "fast", owner, input, idempotencyKey: key });
        return { job: job.id, ...(await follow(job)).result };
      },
    },
  });
  return { handlers, builtIns, service: (jobs: Jobs): Drops => dropService({ ...dropParts, jobs }) };
}

async function declaredInFile({ dropsFile: path }: Config): Promise<readonly Drop[]> {
  if (path === undefined) return [];
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new AppError("drop_invalid", { path, expected: "a file that can be read" }, { cause });
  });
  return readDrops(text, path, "drops");
}
