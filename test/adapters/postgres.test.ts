import { after } from "node:test";
import pg from "pg";
import { openPostgres } from "../../src/adapters/db/stores.ts";
import type { Clock } from "../../src/core/clock.ts";
import { accessConformance } from "../conformance/access-stores.ts";
import { agreementsConformance } from "../conformance/agreements.ts";
import { cartStoreConformance } from "../conformance/cart-store.ts";
import { catalogueConformance } from "../conformance/catalogue-store.ts";
import { crawlRemovalConformance } from "../conformance/crawl-removal.ts";
import { crawlStoreConformance } from "../conformance/crawl-store.ts";
import { documentStoreConformance } from "../conformance/document-store.ts";
import { dropStoreConformance } from "../conformance/drop-store.ts";
import { environmentStoreConformance } from "../conformance/environment-store.ts";
import { extractionStoreConformance } from "../conformance/extraction-store.ts";
import { fixityStoreConformance } from "../conformance/fixity-store.ts";
import { historyStoreConformance } from "../conformance/history-store.ts";
import { jobQueueConformance } from "../conformance/job-queue.ts";
import { jobStoreConformance } from "../conformance/job-store.ts";
import { leaseStoreConformance, ownClockConformance } from "../conformance/lease-store.ts";
import { packageStoreConformance } from "../conformance/package-store.ts";
import { registerStoreConformance } from "../conformance/register-store.ts";
import { savedQueriesConformance } from "../conformance/saved-queries.ts";
import { scheduleStoreConformance } from "../conformance/schedule-store.ts";
import { searchChangesConformance } from "../conformance/search-changes.ts";
import { searchRebuildsConformance } from "../conformance/search-rebuilds.ts";
import { stagingConformance } from "../conformance/staging-store.ts";
import { switchStoreConformance } from "../conformance/switch-store.ts";
import { startPostgres } from "../support/postgres.ts";

const postgres = await startPostgres();
after(() => postgres.stop());

const clock: Clock = { now: () => Date.now(), sleep: () => Promise.resolve() };

const open = async () => openPostgres({ url: await postgres.freshDatabase(), clock });
// A process whose clock is an hour slow: only the database's counts.
jobStoreConformance("postgres", async () => ({ ...(await open()), now: () => Date.now() - 3_600_000 }));
catalogueConformance("postgres", open);
cartStoreConformance("postgres", open);
stagingConformance("postgres", open);
packageStoreConformance("postgres", open);
crawlStoreConformance("postgres", open);
crawlRemovalConformance("postgres", open);
extractionStoreConformance("postgres", open);
searchChangesConformance("postgres", open);
searchRebuildsConformance("postgres", open);
savedQueriesConformance("postgres", open);
scheduleStoreConformance("postgres", open);
registerStoreConformance("postgres", open);
documentStoreConformance("postgres", open);
switchStoreConformance("postgres", open);
dropStoreConformance("postgres", open);
environmentStoreConformance("postgres", open);
accessConformance("postgres", open);
fixityStoreConformance("postgres", open);
historyStoreConformance("postgres", open);
const leaseDatabase = async () => {
  const url = await postgres.freshDatabase();
  return {
    open: (apartMs = 0) => openPostgres({ url, clock: { ...clock, now: () => Date.now() + apartMs } }),
    /** PostgreSQL's clock cannot be moved: what it has noted is. */
    async pass(ms: number) {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.query(`update leases set until = until - ${ms}`);
      await client.query(`update nodes set seen_at = seen_at - ${ms}`);
      await client.end();
    },
  };
};
agreementsConformance("postgres", open);
leaseStoreConformance("postgres", leaseDatabase);
ownClockConformance("postgres", leaseDatabase);
jobQueueConformance("pg-boss", async () => {
  const url = await postgres.freshDatabase();
  return {
    open: () => openPostgres({ url, clock }),
    now: () => Date.now(),
    pass: async () => {}, // PostgreSQL's clock cannot be moved: the suite waits
    async silenceHolders() {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.query("update pgboss.job set heartbeat_on = heartbeat_on - interval '11 s' where state = 'active'");
      await client.end();
    },
  };
});
