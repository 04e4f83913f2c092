import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { Writable } from "node:stream";
import type { TestContext } from "node:test";
import type { FastifyInstance } from "fastify";
import { pino } from "pino";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { access } from "../../src/core/access/access.ts";
import type { Scope } from "../../src/core/access/access-stores.ts";
import { audit } from "../../src/core/access/audit.ts";
import { tokens } from "../../src/core/access/tokens.ts";
import { buildDoor, buildServer, type Face } from "../../src/http/server.ts";
import type { ServerDeps } from "../../src/http/server-deps.ts";
import { processMetrics } from "../../src/telemetry/metrics.ts";
import { type Packaging, type PackagingOptions, PUBLIC_URL, packaging } from "../support/packaging.ts";
import { until } from "../support/until.ts";

export const SECRET = "8ba6d280d4ce9a41";
export const MESSAGE = "It will be sent to you.";

/** The few fields that tests look at. */
export interface WirePackage {
  readonly id: string;
  readonly owner: string;
  readonly recipe: Readonly<Record<string, unknown>>;
  readonly status: string;
  readonly fileName: string | null;
  readonly sizeBytes: number | null;
  readonly sha256: string | null;
  readonly rows: number | null;
  readonly members: readonly { readonly name: string; readonly sizeBytes: number; readonly crc32: string }[];
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly link: string | null;
  readonly linkExpiresAt: string | null;
  readonly downloads: number;
  readonly toldAt: string | null;
}

/** The real services of {@link packaging}, at work, behind a server and a door on a port of its own. */
export interface PackageServer extends Packaging {
  readonly url: string;
  /** Address of the ckanpackager door below `/doors`, and of the one on its own port. */
  readonly doors: readonly [string, string];
  readonly log: readonly Record<string, unknown>[];
  readonly deps: ServerDeps;
  token(owner: string, ...scopes: Scope[]): Promise<{ readonly authorization: string }>;
  /** A link as it was sent out, leading to this server. */
  here(link: string | null | undefined): string;
  /** Orders natively and waits until it is over. */
  made(body: Readonly<Record<string, unknown>>, headers?: Readonly<Record<string, string>>): Promise<WirePackage>;
}

export interface PackageServerOptions extends PackagingOptions {
  /** `undefined`: not set. */
  readonly secret?: string | undefined;
  /** As if bound to an address of the network. */
  readonly loopback?: boolean;
  /** Pages, beside the API. */
  readonly face?: Face;
}

export async function packageServer(t: TestContext, options: PackageServerOptions = {}): Promise<PackageServer> {
  const { loopback = true, face: _, ...rest } = options;
  const secret = "secret" in options ? options.secret : SECRET;
  const services = await packaging(t, rest);
  const { index, stores, storage } = services.foundation;
  const log: Record<string, unknown>[] = [];
  const logger = pino(
    { level: "debug" },
    new Writable({
      write(chunk, _encoding, done) {
        log.push(JSON.parse(chunk));
        done();
      },
    }),
  );
  const observed = {
    ...stores,
    index,
    dataFreeBytes: async () => Number.MAX_SAFE_INTEGER,
  };
  const deps: ServerDeps = {
    ...services,
    version: "0.0.0-test",
    apiDescription: () => readFile(new URL("../../openapi.json", import.meta.url)),
    logger,
    clock: systemClock,
    catalogue: stores.catalogue,
    indexing: { lastRebuild: async () => null, begin: async () => {} },
    packageStatistics: services.statistics,
    storage,
    access: access(stores.tokens, systemClock, { loopback }),
    tokens: tokens(stores.tokens, systemClock),
    audit: audit(stores.audit, systemClock, "Longshore/0.0.0-test"),
    observed,
    metrics: processMetrics({ version: "0.0.0-test", clock: systemClock }),
    settings: [],
    options: {
      trustedProxies: [],
      authHeader: "X-Http-Authed-User",
      defaultUser: "root",
      uploadExpiryMs: 3_600_000,
      closeGraceMs: 200,
      ckanpackager: { secret, successMessage: MESSAGE, workerCount: 3 },
      xtract: { hasGlobus: false },
      elasticsearchStrict: false,
    },
  };
  const servers: FastifyInstance[] = [await buildServer(deps, options.face), await buildDoor("ckanpackager", deps)];
  const [url = "", door = ""] = await Promise.all(servers.map((app) => app.listen({ host: "127.0.0.1", port: 0 })));
  t.after(() => Promise.all(servers.map((app) => app.close())));
  services.work();

  return {
    ...services,
    url,
    doors: [`${url}/doors/ckanpackager`, door],
    log,
    deps,
    async token(owner, ...scopes) {
      const { text } = await deps.tokens.create({ owner, scopes, expiresAt: null });
      return { authorization: `Bearer ${text}` };
    },
    here: (link) => (link ?? "").replace(PUBLIC_URL, url),
    async made(body, headers = {}) {
      const response = await order(url, { apiUrl: services.portal.apiUrl, ...body }, headers);
      let made = (await response.json()) as WirePackage;
      assert.ok(response.ok, JSON.stringify(made));
      await until(`package ${made.id} is over`, async () => {
        made = (await (await fetch(`${url}/api/v1/packages/${made.id}`, { headers })).json()) as WirePackage;
        return made.status !== "building";
      });
      return made;
    },
  };
}

/** `POST /api/v1/packages`. */
export function order(
  url: string,
  body: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return fetch(`${url}/api/v1/packages`, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json", ...headers },
  });
}
