import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import type { PageContext } from "../page-context.ts";
import { auditPageRoutes } from "./operations/audit-log.ts";
import { fixityPageRoutes } from "./operations/fixity.ts";
import { nodePageRoutes } from "./operations/nodes.ts";
import { settingPageRoutes } from "./operations/settings.ts";
import { stateRoutes } from "./operations/state.ts";
import { switchPageRoutes } from "./operations/switches.ts";
import { tokenPageRoutes } from "./operations/tokens.ts";

const PARTS = [
  stateRoutes,
  switchPageRoutes,
  nodePageRoutes,
  fixityPageRoutes,
  auditPageRoutes,
  tokenPageRoutes,
  settingPageRoutes,
];

/** For those who keep Longshore running. */
export const operationRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    for (const routes of PARTS) await app.register(routes(context));
  };
