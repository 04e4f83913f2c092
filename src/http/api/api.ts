import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import type { ServerContext } from "../server-deps.ts";
import { auditRoutes } from "./audit.ts";
import { bundleRoutes, moveRoutes } from "./bundles.ts";
import { cartDownloadRoutes } from "./cart-downloads.ts";
import { cartRoutes } from "./carts.ts";
import { crawlRoutes } from "./crawls.ts";
import { crontabRoutes } from "./crontabs.ts";
import { dropRoutes } from "./drops.ts";
import { environmentRoutes } from "./environment.ts";
import { eventRoutes } from "./events.ts";
import { extractionRoutes } from "./extractions.ts";
import { fileRoutes } from "./files.ts";
import { fixityRoutes } from "./fixity.ts";
import { jobEventRoutes } from "./job-events.ts";
import { jobRoutes } from "./jobs.ts";
import { nodeRoutes } from "./nodes.ts";
import { offloadRoutes } from "./offloads.ts";
import { packageRoutes } from "./packages.ts";
import { registerRoutes } from "./registers.ts";
import { resourceRoutes } from "./resources.ts";
import { savedQueryRoutes } from "./saved-queries.ts";
import { scheduleRoutes } from "./schedules.ts";
import { searchRoutes } from "./search.ts";
import { statisticsRoutes } from "./statistics.ts";
import { switchRoutes } from "./switches.ts";
import { tokenRoutes } from "./tokens.ts";
import { transactionRoutes } from "./transactions.ts";
import { uploadRoutes } from "./uploads.ts";
import { verificationRoutes } from "./verifications.ts";

/** The native API. Each part is a plugin of its own, so that one's way of reading bodies is not another's. */
export const apiRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    for (const routes of [
      bundleRoutes,
      moveRoutes,
      uploadRoutes,
      jobRoutes,
      jobEventRoutes,
      transactionRoutes,
      eventRoutes,
      fileRoutes,
      cartRoutes,
      cartDownloadRoutes,
      searchRoutes,
      savedQueryRoutes,
      crawlRoutes,
      extractionRoutes,
      offloadRoutes,
      packageRoutes,
      scheduleRoutes,
      crontabRoutes,
      statisticsRoutes,
      verificationRoutes,
      fixityRoutes,
      registerRoutes,
      resourceRoutes,
      environmentRoutes,
      switchRoutes,
      nodeRoutes,
      dropRoutes,
      tokenRoutes,
      auditRoutes,
    ])
      await app.register(routes(context));
  };
