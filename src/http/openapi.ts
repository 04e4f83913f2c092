import swagger, { type SwaggerTransform, type SwaggerTransformObject } from "@fastify/swagger";
import Fastify, { type FastifyInstance } from "fastify";
import {
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
} from "fastify-type-provider-zod";
import { apiRoutes } from "./api/api.ts";
import type { ServerContext } from "./server-deps.ts";

declare module "fastify" {
  interface FastifySchema {
    /** Bodies that the route reads itself, unvalidated: a description by media type. */
    streams?: Readonly<Record<string, string>>;
  }
}

/** Describes the routes that are registered in `app` after this: `app.swagger()` is OpenAPI 3.1. */
async function describeRoutes(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Longshore",
        version,
        description: "Deposit bundles of research data, watch what becomes of them, and fetch what is archived.",
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      security: [{}, { token: [] }],
      tags: [
        { name: "bundles", description: "Sending data in." },
        { name: "uploads", description: "Sending a bundle in pieces (tus 1.0)." },
        { name: "jobs", description: "What becomes of what was sent." },
        { name: "transactions", description: "Accepted bundles." },
        { name: "files", description: "Archived files." },
        { name: "fixity", description: "Checks that archived files are what they were." },
        { name: "carts", description: "Choices of files, downloaded as one archive." },
        { name: "search", description: "Finding what the archive holds and what is known of it." },
        { name: "crawls", description: "What stores hold: walked, grouped, described." },
        { name: "packages", description: "Resources of data portals, packed and delivered as links." },
        { name: "registers", description: "Tables of requests, each with a status." },
        { name: "environment", description: "Named values and secrets for what registers and schedules run." },
        { name: "drop folders", description: "Folders that are watched for complete deliveries." },
        { name: "switches", description: "Pausing everything, a part, or a path." },
        { name: "nodes", description: "The processes that share the database." },
        { name: "access", description: "Tokens and the audit log." },
      ],
    },
    transform,
    transformObject,
  });
}

const transform: SwaggerTransform = (route) => {
  const { streams, ...schema } = route.schema ?? {};
  const transformed = jsonSchemaTransform({ ...route, schema });
  if (streams)
    transformed.schema.body = {
      content: Object.fromEntries(
        Object.entries(streams).map(([type, description]) => [
          type,
          { schema: { type: "string", format: "binary", description } },
        ]),
      ),
    };
  return transformed;
};

const transformObject: SwaggerTransformObject = (document) => {
  const described = jsonSchemaTransformObject(document);
  if ("components" in described) dropUnused(described, described.components?.schemas ?? {});
  return described;
};

/** Every schema is made twice, as it is sent and as it is received; mostly only one of the two is referred to. */
function dropUnused(document: object, schemas: Record<string, unknown>): void {
  const text = JSON.stringify(document);
  const unused = Object.keys(schemas).filter((name) => !text.includes(`"#/components/schemas/${name}"`));
  for (const name of unused) delete schemas[name];
  if (unused.length > 0) dropUnused(document, schemas); // what only those referred to
}

/** `openapi.json`, as it lies at the top of the repository. Made from the routes alone: nothing has to run. */
export async function openApiDocument(version: string): Promise<string> {
  const app = Fastify();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  await describeRoutes(app, version);
  await app.register(apiRoutes(unusedContext()), { prefix: "/api/v1" });
  await app.ready();
  const document = app.swagger();
  await app.close();
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Routes only use their collaborators when a request comes, and here none does. */
function unusedContext(): ServerContext {
  const context: Pick<ServerContext, "link" | "options"> = {
    link: (path) => path,
    options: {
      trustedProxies: [],
      authHeader: "",
      defaultUser: "",
      uploadExpiryMs: 0,
      ckanpackager: { successMessage: "", workerCount: 0 },
      xtract: { hasGlobus: false },
      elasticsearchStrict: false,
    },
  };
  return context as ServerContext;
}
