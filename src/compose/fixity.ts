import type { Stores } from "../adapters/db/stores.ts";
import type { Archive } from "../core/archive/archive.ts";
import type { Clock } from "../core/clock.ts";
import { type Fixity, fixityService } from "../core/fixity/fixity.ts";
import { fixityAlert } from "../core/fixity/fixity-alert.ts";
import { fixityJob } from "../core/fixity/fixity-job.ts";
import { FIXITY_JOB } from "../core/fixity/fixity-request.ts";
import type { Jobs } from "../core/jobs/jobs.ts";
import type { JobHandler } from "../core/jobs/worker.ts";
import { unfilled } from "../core/notify/templates.ts";
import type { Config } from "../settings/config.ts";
import { SOFTWARE } from "../version.ts";

export interface FixityComposition {
  readonly handlers: Readonly<Record<string, JobHandler>>;
  service(jobs: Jobs): Fixity;
}

/** Without a mail server nobody is written to: a mail would wait for ever. */
export function composeFixity(config: Config, archive: Archive, stores: Stores, clock: Clock): FixityComposition {
  const { fixity: limits, mailFrom, operatorMail, smtpUrl } = config;
  const common = { store: stores.fixity, clock, limits };
  const alert = fixityAlert({ from: unfilled(mailFrom), to: smtpUrl === undefined ? [] : operatorMail });
  const { catalogue, jobs } = stores;
  return {
    handlers: { [FIXITY_JOB]: fixityJob({ ...common, archive, catalogue, jobs, software: SOFTWARE, alert }) },
    service: (submitted) => fixityService({ ...common, jobs: submitted }),
  };
}
