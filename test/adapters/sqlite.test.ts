import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { openSqlite } from "../../src/adapters/db/stores.ts";
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
import { leaseStoreConformance } from "../conformance/lease-store.ts";
import { packageStoreConformance } from "../conformance/package-store.ts";
import { registerStoreConformance } from "../conformance/register-store.ts";
import { savedQueriesConformance } from "../conformance/saved-queries.ts";
import { scheduleStoreConformance } from "../conformance/schedule-store.ts";
import { searchChangesConformance } from "../conformance/search-changes.ts";
import { searchRebuildsConformance } from "../conformance/search-rebuilds.ts";
import { stagingConformance } from "../conformance/staging-store.ts";
import { switchStoreConformance } from "../conformance/switch-store.ts";

const folder = await mkdtemp(join(tmpdir(), "sqlite-"));
after(() => rm(folder, { recursive: true }));

let files = 0;
const freshPath = () => join(folder, `${++files}.db`);

/** A clock that stands still until it is moved. */
let now = 1_700_000_000_000;
const clock: Clock = { now: () => now, sleep: () => Promise.resolve() };

const open = () => openSqlite({ path: freshPath(), clock });
jobStoreConformance("sqlite", async () => ({ ...(await open()), now: clock.now }));
catalogueConformance("sqlite", open);
cartStoreConformance("sqlite", open);
stagingConformance("sqlite", open);
packageStoreConformance("sqlite", open);
crawlStoreConformance("sqlite", open);
crawlRemovalConformance("sqlite", open);
extractionStoreConformance("sqlite", open);
searchChangesConformance("sqlite", open);
searchRebuildsConformance("sqlite", open);
savedQueriesConformance("sqlite", open);
scheduleStoreConformance("sqlite", open);
registerStoreConformance("sqlite", open);
documentStoreConformance("sqlite", open);
switchStoreConformance("sqlite", open);
dropStoreConformance("sqlite", open);
environmentStoreConformance("sqlite", open);
accessConformance("sqlite", open);
fixityStoreConformance("sqlite", open);
historyStoreConformance("sqlite", open);
agreementsConformance("sqlite", open);
leaseStoreConformance("sqlite", async () => {
  const path = freshPath();
  return {
    open: () => openSqlite({ path, clock }),
    pass: async (ms) => {
      now += ms;
    },
  };
});
jobQueueConformance("sqlite", async () => {
  const path = freshPath();
  return {
    open: () => openSqlite({ path, clock }),
    now: () => now,
    pass: async (ms) => {
      now += ms;
    },
    silenceHolders: async () => {
      now += 10_000;
    },
  };
});
