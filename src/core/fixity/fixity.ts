import type { Clock } from "../clock.ts";
import type { Details } from "../errors.ts";
import type { TransactionId } from "../ids.ts";
import type { Job } from "../jobs/job.ts";
import type { Jobs } from "../jobs/jobs.ts";
import { DAY_MS, dayOf, type FixityLimits } from "./fixity-job.ts";
import { FIXITY_JOB, type FixityRequest, fixityRequest } from "./fixity-request.ts";
import type { Coverage, FixityCheck, FixityDay, FixityStore } from "./fixity-store.ts";

/** How well the archive is looked after. */
export interface FixityStatus extends Coverage {
  /** Within how many days everything is to be checked. */
  readonly days: number;
  /** Of the transactions, those checked within these days and found as they should be; 1 for an empty archive. */
  readonly share: number;
  readonly today: FixityDay;
  readonly limits: FixityLimits;
}

export interface Fixity {
  /** @param key begins one run, however often it is asked for under this key. @throws AppError request_invalid. */
  start(owner: string, request: FixityRequest, key?: string): Promise<Job>;
  status(): Promise<FixityStatus>;
  check(transaction: TransactionId): Promise<FixityCheck | undefined>;
  list: FixityStore["list"];
}

export interface FixityParts {
  readonly store: FixityStore;
  readonly jobs: Pick<Jobs, "submit">;
  readonly clock: Clock;
  readonly limits: FixityLimits;
}

export function fixityService({ store, jobs, clock, limits }: FixityParts): Fixity {
  return {
    async start(owner, request, key) {
      const given = Object.entries(request).filter(([, value]) => value !== undefined);
      const input = Object.fromEntries(given) as Details;
      fixityRequest(input);
      return jobs.submit({
        kind: FIXITY_JOB,
        lane: "slow",
        owner,
        input,
        ...(key !== undefined && { idempotencyKey: key }),
      });
    },

    async status() {
      const now = clock.now();
      const { days } = limits;
      const coverage = await store.coverage(now - days * DAY_MS);
      const { transactions, soundTransactions } = coverage;
      return {
        ...coverage,
        days,
        share: transactions === 0 ? 1 : soundTransactions / transactions,
        today: await store.day(dayOf(now)),
        limits,
      };
    },

    check: (transaction) => store.check(transaction),
    list: (page) => store.list(page),
  };
}
