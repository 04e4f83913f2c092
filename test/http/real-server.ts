import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import type { FastifyInstance } from "fastify";
import { pino } from "pino";
import { openSqlite, type Stores } from "../../src/adapters/db/stores.ts";
import { fsMoveSource } from "../../src/adapters/source/move-source.ts";
import { freeBytesAt } from "../../src/adapters/storage/fs/free-bytes.ts";
import { fsObjectStorage } from "../../src/adapters/storage/fs.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { fsUploadStore } from "../../src/adapters/upload/upload-store.ts";
import { searchIndex } from "../../src/compose/foundation.ts";
import { composeServices } from "../../src/compose/services.ts";
import { access } from "../../src/core/access/access.ts";
import type { Scope } from "../../src/core/access/access-stores.ts";
import { audit } from "../../src/core/access/audit.ts";
import { tokens } from "../../src/core/access/tokens.ts";
import { ocflArchive } from "../../src/core/archive/archive.ts";
import { preservationEvents } from "../../src/core/archive/premis-events.ts";
import { cartService } from "../../src/core/carts/carts.ts";
import { windowBudget } from "../../src/core/carts/layout/window-budget.ts";
import { stageJob } from "../../src/core/carts/staging/stage-job.ts";
import { stagingService } from "../../src/core/carts/staging/staging.ts";
import { jobId } from "../../src/core/ids.ts";
import { sequenceIdSource } from "../../src/core/ingest/id-source.ts";
import { ingestService } from "../../src/core/ingest/ingest.ts";
import { ingestJob } from "../../src/core/ingest/ingest-job.ts";
import { moveJob } from "../../src/core/ingest/move-job.ts";
import { numberedFiles } from "../../src/core/ingest/numbered-files.ts";
import { openPolicy } from "../../src/core/ingest/policy/policy.ts";
import { jobService } from "../../src/core/jobs/jobs.ts";
import { startWorker } from "../../src/core/jobs/worker.ts";
import { buildDoor, buildServer, type DoorName, type Face } from "../../src/http/server.ts";
import type { ServerDeps, ServerOptions } from "../../src/http/server-deps.ts";
import { effectiveSettings, loadConfig } from "../../src/settings/config.ts";
import { instrumentsOf } from "../../src/telemetry/instruments.ts";
import { processMetrics } from "../../src/telemetry/metrics.ts";

export interface RealServer {
  readonly url: string;
  /** Folder of everything; move sources may lie in `sources`. */
  readonly root: string;
  readonly sources: string;
  readonly app: FastifyInstance;
  readonly deps: ServerDeps;
  readonly stores: Stores;
  /** Lines of the log, parsed. */
  readonly log: readonly Record<string, unknown>[];
  /** Creates a token and returns the header that presents it. */
  token(owner: string, ...scopes: Scope[]): Promise<{ readonly authorization: string }>;
  /** The same collaborators behind one door on a port of its own. @returns its address. */
  door(name: DoorName): Promise<string>;
  stop(): Promise<void>;
}

export interface RealServerOptions extends Partial<ServerOptions> {
  /** `false`: jobs stay queued. */
  readonly worker?: boolean;
  /** As if bound to an address of the network. */
  readonly loopback?: boolean;
  /** Stands between the routes and their collaborators. */
  wrap?(deps: ServerDeps): ServerDeps;
  /** Pages, beside the API. */
  readonly face?: Face;
  /** A folder that an earlier server left, to start on it again. */
  readonly root?: string;
}

/** A server on a free loopback port with SQLite, an archive, uploads and a worker of its own, in a temporary folder. */
export async function realServer(options: RealServerOptions = {}): Promise<RealServer> {
  const {
    worker: withWorker = true,
    loopback = true,
    wrap = (deps) => deps,
    root: given,
    face,
    ...overrides
  } = options;
  const root = given ?? (await mkdtemp(join(tmpdir(), "longshore-http-")));
  const sources = join(root, "sources");
  await mkdir(sources, { recursive: true });
  const stores = await openSqlite({ path: join(root, "longshore.sqlite"), clock: systemClock });
  const storage = fsObjectStorage({ root: join(root, "archive") });
  const archive = ocflArchive(storage, "sha512");
  await archive.prepare();
  const uploads = await fsUploadStore(join(root, "uploads"));

  const ids = sequenceIdSource(stores.sequences);
  const parts = {
    archive,
    catalogue: stores.catalogue,
    ids,
    policy: openPolicy(),
    announce: () => [],
    events: preservationEvents(audit(stores.audit, systemClock, "Longshore/0.0.0-test")),
    software: "Longshore/0.0.0-test",
  };
  const source = fsMoveSource({ roots: [sources] });
  const cache = fsObjectStorage({ root: join(root, "staging") });
  const staging = stagingService({
    storage: cache,
    store: stores.staging,
    archive: storage,
    carts: stores.carts,
    clock: systemClock,
    limits: { capacityBytes: 2 ** 40, protectMs: 0 },
  });
  const handlers = {
    ingest: ingestJob({ ...parts, spool: uploads }, systemClock),
    move: moveJob({ ...parts, source }, systemClock),
    stage: stageJob({ carts: stores.carts, staging, archive: storage, clock: systemClock }),
  };
  const jobs = jobService(stores.jobs, async () => jobId(await ids.reserve("upload_job", 1)), systemClock, handlers);
  const ingest = ingestService(jobs, archive);
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
  const env = { LONGSHORE_DATA_DIR: root };
  const config = loadConfig(env);
  const index = searchIndex(config);
  const measured = processMetrics({ version: "0.0.0-test", clock: systemClock });
  const foundation = { stores, storage, archive, cache, index, close: async () => {} };
  const composed = await composeServices(
    config,
    systemClock,
    foundation,
    undefined,
    instrumentsOf(measured, undefined),
  );
  const indexing = composed.startIndexing({
    trouble: (err, during) => log.push({ level: 50, during, err }),
  });
  const observed = { ...stores, index, dataFreeBytes: () => freeBytesAt(root) };
  const onTrouble = (err: unknown, during: string) => void log.push({ level: 50, during, err });
  measured.watch({ ...observed, storage, fixityStatus: composed.fixity.status, onTrouble }, jobs);
  const tokenService = tokens(stores.tokens, systemClock);
  const deps = wrap({
    version: "0.0.0-test",
    apiDescription: () => readFile(new URL("../../openapi.json", import.meta.url)),
    logger,
    clock: systemClock,
    jobs,
    ingest,
    ids,
    numberedFiles: numberedFiles({ ...stores, jobs, ingest, source, algorithm: archive.algorithm }),
    policy: parts.policy,
    uploads,
    catalogue: stores.catalogue,
    carts: cartService({
      store: stores.carts,
      catalogue: stores.catalogue,
      search: composed.search,
      archive,
      staging: { read: staging.read, touch: stores.staging.touch },
      jobs,
      hasRemote: false,
      budget: windowBudget(2 ** 25),
      expiryMs: 3_600_000,
      clock: systemClock,
    }),
    switches: composed.switches,
    drops: composed.drops,
    search: composed.search,
    indexing,
    crawls: composed.crawls,
    extractions: composed.extractions,
    offloads: composed.offloads,
    fixity: composed.fixity,
    nodes: composed.nodes,
    packages: composed.packages,
    documents: composed.documents,
    packageStatistics: composed.statistics,
    storage,
    access: access(stores.tokens, systemClock, { loopback }),
    tokens: tokenService,
    sessions: composed.sessions,
    links: composed.links,
    registers: composed.registers,
    schedules: composed.schedules,
    crontabs: composed.crontabs,
    environment: composed.environment,
    audit: audit(stores.audit, systemClock, "Longshore/0.0.0-test"),
    observed,
    metrics: measured,
    settings: effectiveSettings(env),
    options: {
      trustedProxies: [],
      authHeader: "X-Http-Authed-User",
      defaultUser: "root",
      uploadExpiryMs: 3_600_000,
      ckanpackager: { successMessage: "", workerCount: 0 },
      xtract: { hasGlobus: false },
      elasticsearchStrict: false,
      closeGraceMs: 200,
      ...overrides,
    },
  });
  const app = await buildServer(deps, face);
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  const worker = withWorker
    ? startWorker(jobs, stores.queue, measured.handlers(handlers), systemClock, {
        name: "test",
        concurrency: { fast: 2, slow: 1 },
        onTrouble: (err, during) => log.push({ level: 50, during, err }),
      })
    : undefined;
  const doors: FastifyInstance[] = [];

  return {
    url,
    root,
    sources,
    app,
    deps,
    stores,
    log,
    async token(owner, ...scopes) {
      const { text } = await tokenService.create({ owner, scopes, expiresAt: null });
      return { authorization: `Bearer ${text}` };
    },
    async door(name) {
      const door = await buildDoor(name, deps);
      doors.push(door);
      return door.listen({ host: "127.0.0.1", port: 0 });
    },
    async stop() {
      await Promise.all([app, ...doors].map((server) => server.close()));
      await worker?.stop();
      await indexing.stop();
      await index.close();
      await cache.close();
      await storage.close();
      await stores.close();
      if (given === undefined) await rm(root, { recursive: true, force: true });
    },
  };
}
