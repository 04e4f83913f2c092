import type { FastifyPluginAsync } from "fastify";
import type { AllowedMethods } from "../allowed-methods.ts";
import type { Authentication } from "../authentication.ts";
import type { ServerContext } from "../server-deps.ts";
import { speakCherryPy } from "./cherrypy.ts";

/** More ids than this are asked for by mistake, or to use the sequence up. */
const MAX_RANGE = 1_000_000_000;
const MAX_MODE_LENGTH = 255;

/** What the original answers to a request for nothing: -1 for the index, and for the range. */
const NOTHING = { startIndex: -1, endIndex: -3 } as const;

/**
 * Pacifica UniqueID 0.5: `GET /getid?range=N&mode=M` reserves N consecutive numbers of the sequence M. Those named `file`
 * and `upload_job` are Longshore's own: whoever takes ids here never gets one of a file or job that Longshore numbered. A
 * Longshore whose ids come from elsewhere passes requests on.
 */
export const pacificaUniqueid =
  (context: ServerContext, authentication: Authentication, allowed: AllowedMethods): FastifyPluginAsync =>
  async (app) => {
    const { refuse, fail, identify } = speakCherryPy(app, { context, authentication, allowed });

    app.get("/", async () => ({ message: "Pacifica UniqueID Up and Running" }));

    // Only depositors have a use for ids, and what is reserved is gone: a reader has no business here.
    app.get<{ Querystring: { range?: unknown; mode?: unknown } }>(
      "/getid",
      { onRequest: identify("deposit"), exposeHeadRoute: false },
      async ({ query: { range = "-1", mode = "" } }, reply) => {
        if (typeof range !== "string" || !/^\s*[+-]?\d+\s*$/.test(range)) return fail(reply);
        if (typeof mode !== "string" || mode.length > MAX_MODE_LENGTH || mode.includes("\0"))
          return refuse(reply, 400, `A mode is one text of at most ${MAX_MODE_LENGTH} characters.`);
        const count = Number(range);
        if (count > MAX_RANGE) return refuse(reply, 400, `At most ${MAX_RANGE} ids at once.`);
        if (count <= 0 || mode === "") return NOTHING;
        const startIndex = await context.ids.reserve(mode, count);
        return { startIndex, endIndex: startIndex + count - 1 };
      },
    );
  };
