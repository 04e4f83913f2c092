import type { Stores } from "../adapters/db/stores.ts";
import type { Archive } from "../core/archive/archive.ts";
import type { Clock } from "../core/clock.ts";
import { type Fixity, fixityService } from "../core/fixity/fixity.ts";
import { fixityAlert } from "../core/fixity/fixity-alert.ts";
import { fixityJob } from "../core/fixity/fixity-job.ts";
import { FIXITY_JOB } from "../core/fixity/fixity-request.ts";
import type { Jobs } from "../core/jobs/jobs.ts";
import type { JobHandler } from "../core/jobs/worker.ts";
import type { Config } from "../settings/config.ts";
import { SOFTWARE } from "../version.ts";
import { operators } from "./operators.ts";

export interface FixityComposition {
  readonly handlers: Readonly<Record<string, JobHandler>>;
  service(jobs: Jobs): Fixity;
}

export function composeFixity(config: Config, archive: Archive, stores: Stores, clock: Clock): FixityComposition {
  const { fixity: limits } = config;
  const common = { store: stores.fixity, clock, limits };
  const alert = fixityAlert(operators(config));
  const { catalogue, jobs } = stores;
  return {
    handlers: { [FIXITY_JOB]: fixityJob({ ...common, archive, catalogue, jobs, software: SOFTWARE, alert }) },
    service: (submitted) => fixityService({ ...common, jobs: submitted }),
  };
}
