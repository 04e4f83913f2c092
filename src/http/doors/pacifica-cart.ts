import type { FastifyPluginAsync } from "fastify";
import type { AllowedMethods } from "../allowed-methods.ts";
import type { Authentication } from "../authentication.ts";
import type { ServerContext } from "../server-deps.ts";
import { speakCherryPy } from "./cherrypy.ts";

export const pacificaCart =
  (context: ServerContext, authentication: Authentication, allowed: AllowedMethods): FastifyPluginAsync =>
  async (app) => {
    speakCherryPy(app, { context, authentication, allowed });

    app.get("/", async () => ({ message: "Pacifica Cartd Interface Up and Running" }));
  };
