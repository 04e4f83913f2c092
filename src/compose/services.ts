import { isIPv6 } from "node:net";
import { controlFile } from "../adapters/control-file.ts";
import type { Stores } from "../adapters/db/stores.ts";
import { httpExchange } from "../adapters/outbound/http-exchange.ts";
import { pacificaArchive } from "../adapters/pacifica/archive.ts";
import { pacificaIdSource } from "../adapters/pacifica/id-source.ts";
import { pacificaMetadata } from "../adapters/pacifica/metadata.ts";
import { fsMoveSource } from "../adapters/source/move-source.ts";
import { audit } from "../core/access/audit.ts";
import type { KeyRing } from "../core/access/key-ring.ts";
import type { Links } from "../core/access/links.ts";
import { type Sessions, sealedSessions } from "../core/access/sessions.ts";
import { preservationEvents } from "../core/archive/premis-events.ts";
import { verifyJob } from "../core/archive/verify-job.ts";
import { tidyCarts } from "../core/carts/cart-upkeep.ts";
import { type Carts, cartService } from "../core/carts/carts.ts";
import { windowBudget } from "../core/carts/layout/window-budget.ts";
import type { RemoteArchive } from "../core/carts/staging/remote-archive.ts";
import { stageJob } from "../core/carts/staging/stage-job.ts";
import { stagingService } from "../core/carts/staging/staging.ts";
import { type Search, searchService } from "../core/catalogue/search.ts";
import type { Clock } from "../core/clock.ts";
import type { Crawls } from "../core/crawl/crawls.ts";
import type { Offloads } from "../core/crawl/offloads.ts";
import { type Documents, documentService } from "../core/documents/documents.ts";
import { fileIndex } from "../core/documents/file-index.ts";
import { ownIndices } from "../core/documents/own-indices.ts";
import { registerIndices } from "../core/documents/register-index.ts";
import type { Drops } from "../core/drop/drops.ts";
import { type Environment, environmentService } from "../core/environment/environment.ts";
import { AppError } from "../core/errors.ts";
import type { Extractions } from "../core/extract/extractions.ts";
import type { Fixity } from "../core/fixity/fixity.ts";
import { fixityWork } from "../core/fixity/fixity-work.ts";
import { jobId } from "../core/ids.ts";
import { type IdSource, sequenceIdSource } from "../core/ingest/id-source.ts";
import { type Ingest, ingestService } from "../core/ingest/ingest.ts";
import { ingestJob } from "../core/ingest/ingest-job.ts";
import { moveJob } from "../core/ingest/move-job.ts";
import { type NumberedFiles, numberedFiles } from "../core/ingest/numbered-files.ts";
import type { Policy } from "../core/ingest/policy/policy.ts";
import type { UploadStore } from "../core/ingest/upload-store.ts";
import type { Job } from "../core/jobs/job.ts";
import type { QueuedKind } from "../core/jobs/job-store.ts";
import { type Jobs, jobService } from "../core/jobs/jobs.ts";
import { tidyHistory } from "../core/jobs/tidy-history.ts";
import { startUpkeep, type Upkeep } from "../core/jobs/upkeep.ts";
import { type JobHandler, startWorker, type Worker } from "../core/jobs/worker.ts";
import { type Nodes, nodeService } from "../core/nodes/nodes.ts";
import { unservedWatch } from "../core/nodes/unserved.ts";
import { mailChannel, webhookChannel } from "../core/notify/channels.ts";
import type { Mailer } from "../core/notify/mailer.ts";
import { MAIL_CHANNEL, WEBHOOK_CHANNEL } from "../core/notify/notices.ts";
import { announcements, CLOUDEVENT_CHANNEL, METADATA_CHANNEL } from "../core/outbound/announcements.ts";
import { cloudEvents } from "../core/outbound/cloudevents.ts";
import { type OutboxDelivery, outboxDelivery } from "../core/outbound/outbox-delivery.ts";
import { httpSend } from "../core/outbound/send.ts";
import { packageJob } from "../core/packages/package-job.ts";
import { packageWork } from "../core/packages/package-work.ts";
import { PACKAGE_JOB, type Packages, packageService } from "../core/packages/packages.ts";
import type { Statistics } from "../core/packages/statistics.ts";
import { registerWork } from "../core/registers/register-work.ts";
import type { Registers } from "../core/registers/registers.ts";
import type { CrontabExchange } from "../core/schedules/crontab-exchange.ts";
import { ownWork } from "../core/schedules/own-work.ts";
import type { Scheduler } from "../core/schedules/scheduler.ts";
import type { Schedules } from "../core/schedules/schedules.ts";
import { pausable, whileRunning } from "../core/switches/pausable.ts";
import type { Subsystem } from "../core/switches/switch.ts";
import { type Switches, switchService } from "../core/switches/switches.ts";
import type { Config } from "../settings/config.ts";
import { dwcaSettings } from "../settings/dwca-settings.ts";
import { type Instruments, NO_INSTRUMENTS } from "../telemetry/instruments.ts";
import { SOFTWARE } from "../version.ts";
import { composeCrawling } from "./crawls.ts";
import { composeDrops } from "./drops.ts";
import { nodeName } from "./duties.ts";
import { composeFixity } from "./fixity.ts";
import type { Foundation } from "./foundation.ts";
import { composePackaging } from "./packages.ts";
import { composePolicy } from "./policy.ts";
import { composeRegisters } from "./registers.ts";
import { composeScheduling } from "./schedules.ts";
import { composeIndexing, type IndexingServices } from "./search.ts";
import { composeShared } from "./shared.ts";

/** Memory of all downloads of carts together, beside what the sockets hold. */
const DOWNLOAD_WINDOWS_BYTES = 32 * 1024 ** 2;

/** How often is asked whether it is a drop folder's time to be looked at. */
const HISTORY_MS = 3_600_000;
const DROP_LOOK_MS = 5_000;

/** The services, on a foundation. */
export interface Services extends IndexingServices {
  /** The name of this process among all that share the database. */
  readonly node: string;
  readonly nodes: Nodes;
  readonly switches: Switches;
  readonly drops: Drops;
  readonly jobs: Jobs;
  readonly ingest: Ingest;
  readonly ids: IdSource;
  readonly numberedFiles: NumberedFiles;
  readonly policy: Policy;
  readonly uploads: UploadStore;
  readonly carts: Carts;
  readonly search: Search;
  readonly crawls: Crawls;
  readonly extractions: Extractions;
  readonly offloads: Offloads;
  readonly packages: Packages;
  readonly documents: Documents;
  readonly schedules: Schedules;
  readonly crontabs: CrontabExchange;
  readonly keys: KeyRing;
  readonly links: Links;
  readonly sessions: Sessions;
  readonly registers: Registers;
  readonly fixity: Fixity;
  readonly environment: Environment;
  /** Of packages. */
  readonly statistics: Statistics;
  /** Runs jobs until it is stopped. */
  startWorker(log: WorkLog): Worker;
  /** Delivers what is in the outbox until it is stopped. */
  startDelivery(log: WorkLog): OutboxDelivery;
  /** Turns what is due into runs until it is stopped. */
  startSchedules(log: Pick<WorkLog, "trouble">): Scheduler;
  /** Lets carts and packages expire, counts downloads, and sweeps what is removed, until it is stopped. */
  startUpkeep(log: Pick<WorkLog, "trouble" | "unserved">): Upkeep;
  /** Looks at drop folders when it is their time, until it is stopped. */
  startLooks(log: Pick<WorkLog, "trouble">): Upkeep;
}

export interface WorkLog {
  jobEnded(job: Job): void;
  trouble(error: unknown, during: string): void;
  /** Told when what waits with no node that takes it has become something else; of nothing when that is over. */
  unserved?(kinds: readonly QueuedKind[]): void;
}

/** Under which clients reach the server, as far as the settings say. */
export function publicUrlOf({ publicUrl, host, port }: Pick<Config, "publicUrl" | "host" | "port">): string {
  return publicUrl ?? `http://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/**
 * @param publicUrl under which clients reach the server; asked for whenever a link is made.
 * @param instruments put around whatever does work.
 */
export async function composeServices(
  config: Config,
  clock: Clock,
  foundation: Foundation,
  publicUrl: () => string = () => publicUrlOf(config),
  instruments: Instruments = NO_INSTRUMENTS,
): Promise<Services> {
  const { cache, index, storage } = foundation;
  const archive = instruments.archive(foundation.archive);
  const stores: Stores = {
    ...foundation.stores,
    catalogue: instruments.catalogue(foundation.stores.catalogue),
    extractions: instruments.extractions(foundation.stores.extractions),
    schedules: instruments.schedules(foundation.stores.schedules),
  };
  const node = nodeName();
  const send = httpSend(clock);
  const switches = switchService({
    store: stores.switches,
    readControlFile: config.controlFile === undefined ? undefined : controlFile(config.controlFile),
    clock,
  });
  const ids: IdSource =
    config.uniqueidUrl === undefined
      ? sequenceIdSource(stores.sequences)
      : pacificaIdSource({ url: config.uniqueidUrl, send });
  const shared = await composeShared(config, instruments);
  const { uploads } = shared;

  const acceptance = {
    archive,
    catalogue: stores.catalogue,
    ids,
    policy: await composePolicy(config, send),
    announce: announcements(config),
    events: preservationEvents(audit(stores.audit, clock, SOFTWARE)),
    software: SOFTWARE,
  };
  const source = fsMoveSource({ roots: config.moveRoots });
  const remote = composeRemote(config);
  const staging = stagingService({
    storage: cache,
    store: stores.staging,
    archive: storage,
    carts: stores.carts,
    clock,
    limits: { capacityBytes: config.stagingBytes, protectMs: config.stagingProtectMs },
  });
  const packaging = await composePackaging(config, clock, stores, shared.packages, publicUrl);
  const { fetch, links, origins } = packaging;
  const openMailer = await composeMail(config);
  const nextJobId = async () => jobId(await ids.reserve("upload_job", 1));
  const crawling = await composeCrawling(config, {
    stores,
    storage,
    fetch,
    origins,
    clock,
    nextJobId,
    watch: instruments,
  });
  const fixity = composeFixity(config, archive, stores, clock);
  const registering = await composeRegisters(config, {
    stores,
    staging,
    source,
    fetch,
    links,
    keys: packaging.keys,
    publicUrl,
    clock,
    nextJobId,
  });
  const dropping = await composeDrops(config, {
    stores,
    acceptance,
    audit: audit(stores.audit, clock, SOFTWARE),
    switches,
    clock,
  });
  const unswitched: Readonly<Record<string, JobHandler>> = {
    ingest: ingestJob({ ...acceptance, spool: uploads }, clock),
    move: moveJob({ ...acceptance, source }, clock),
    verify: verifyJob({ archive, catalogue: stores.catalogue, jobs: stores.jobs, clock }),
    stage: stageJob({ carts: stores.carts, staging, archive: storage, remote, clock }),
    [PACKAGE_JOB]: packageJob({ ...packaging, dwca: await dwcaSettings(config) }),
    ...crawling.handlers,
    ...registering.handlers,
    ...fixity.handlers,
    ...dropping.handlers(() => jobs),
  };
  const environment = environmentService({ store: stores.environment, keys: packaging.keys, clock });
  const scheduling = composeScheduling(config, {
    store: stores.schedules,
    outputs: shared.outputs,
    environment,
    switches,
    fetch,
    clock,
    nextJobId,
  });
  // What a schedule has begun is left to end when schedules are paused.
  const handlers = instruments.handlers({ ...pausable(unswitched, switches, clock), ...scheduling.handlers });
  const taken = chosenTasks(handlers, config.tasks);
  const jobs = jobService(stores.jobs, nextJobId, clock, handlers);
  const received = ingestService(jobs, archive);
  // An upload that is complete is queued all the same: it waits.
  const ingest: Ingest = {
    ...received,
    receive: whileRunning(switches, "ingest", received.receive),
    receiveFile: whileRunning(switches, "ingest", received.receiveFile),
    move: whileRunning(switches, "ingest", received.move),
  };
  const search = instruments.search(searchService({ index, savedQueries: stores.savedQueries, clock }));
  const packages = packageService({
    ...packaging,
    nextJobId,
    limits: {
      origins,
      canMail: config.smtpUrl !== undefined,
      canPost: config.webhookSecret !== undefined,
    },
    slowRows: config.packageSlowRows,
  });

  const carts = cartService({
    store: stores.carts,
    catalogue: stores.catalogue,
    search,
    archive,
    staging: { read: staging.read, touch: stores.staging.touch },
    jobs,
    hasRemote: remote !== undefined,
    budget: windowBudget(DOWNLOAD_WINDOWS_BYTES),
    expiryMs: config.cartExpiryMs,
    clock,
  });
  const { crawls, extractions, offloads } = crawling.services(jobs);
  /** Now and then, and when a schedule says so. */
  const sweeps = {
    carts: (signal: AbortSignal) => tidyCarts({ store: stores.carts, clock, expiryMs: config.cartExpiryMs }, signal),
    packages: (signal: AbortSignal) => packages.evict(signal),
    registers: (signal: AbortSignal) => registering.tidy(signal),
    async crawls(signal: AbortSignal) {
      while (!signal.aborted && (await stores.crawls.sweep()));
    },
    schedules: (signal: AbortSignal) => schedules.tidy(signal),
  } satisfies Partial<Record<Subsystem, (signal: AbortSignal) => Promise<unknown>>>;
  const registers = registering.services({ jobs, carts, ingest });
  const { schedules, crontabs } = scheduling.services(jobs, {
    ...ownWork({ jobs, crawls, sweeps }),
    ...fixityWork(fixity.service(jobs)),
    ...dropping.builtIns(jobs),
    ...packageWork(packages),
    ...registerWork(registers),
  });
  const drops = dropping.service(jobs);
  const shown = [fileIndex(stores.catalogue), registerIndices(registers)];

  const nodes = nodeService(stores.nodes, stores.leases, stores.jobs);

  return {
    node,
    nodes,
    switches,
    drops,
    jobs,
    ids,
    policy: acceptance.policy,
    uploads,
    ingest,
    numberedFiles: numberedFiles({ ...stores, jobs, ingest, source, algorithm: archive.algorithm }),
    carts: { ...carts, create: whileRunning(switches, "carts", carts.create) },
    search,
    crawls: { ...crawls, start: whileRunning(switches, "crawls", crawls.start) },
    extractions: { ...extractions, start: whileRunning(switches, "crawls", extractions.start) },
    offloads: { ...offloads, start: whileRunning(switches, "crawls", offloads.start) },
    documents: documentService(ownIndices(stores.documents, clock), shown, clock),
    packages: { ...packages, order: whileRunning(switches, "packages", packages.order) },
    links,
    keys: packaging.keys,
    sessions: sealedSessions(packaging.keys, clock, config.openid?.issuer),
    registers,
    schedules,
    crontabs,
    environment,
    statistics: packaging.statistics,
    fixity: fixity.service(jobs),

    startWorker(log) {
      crawling.reportTo(log.trouble);
      const worker = startWorker(jobs, stores.queue, taken, clock, {
        name: node,
        concurrency: config.workers,
        onJobEnd: log.jobEnded,
        onTrouble: log.trouble,
      });
      const onTrouble = log.trouble;
      const tidying = startUpkeep({ what: "work on packages", clock, round: packages.tidyWork, onTrouble });
      return {
        ...worker,
        async stop() {
          await tidying.stop();
          await worker.stop();
          await crawling.close();
        },
      };
    },

    startDelivery(log) {
      const { told } = packaging.statistics;
      const mailer = openMailer?.();
      const channels = instruments.channels({
        [CLOUDEVENT_CHANNEL]: cloudEvents({ source: config.eventsSource, send }),
        ...(config.metadataUrl !== undefined && {
          [METADATA_CHANNEL]: pacificaMetadata({ url: config.metadataUrl, archive, send }),
        }),
        ...(mailer && { [MAIL_CHANNEL]: mailChannel(mailer, new URL(publicUrl()).hostname, told) }),
        ...(config.webhookSecret !== undefined && {
          [WEBHOOK_CHANNEL]: webhookChannel(fetch, config.webhookSecret, clock, told),
        }),
      });
      const delivery = outboxDelivery({ outbox: stores.outbox, clock, onTrouble: log.trouble, channels });
      return {
        ...delivery,
        async stop() {
          await delivery.stop();
          await mailer?.close();
        },
      };
    },

    ...composeIndexing(config, { index, stores }, clock),

    startSchedules: (log) => scheduling.start(log.trouble),

    startUpkeep(log) {
      const running = Object.entries(sweeps).map(([what, round]) =>
        startUpkeep({
          what,
          clock,
          onTrouble: log.trouble,
          round: async (signal) => (await switches.mayRun(what as Subsystem)) && round(signal),
        }),
      );
      const history = { history: stores.history, clock, days: config.historyDays };
      running.push(
        startUpkeep({
          what: "the history of jobs",
          clock,
          everyMs: HISTORY_MS,
          onTrouble: log.trouble,
          round: (signal) => tidyHistory(history, signal),
        }),
      );
      if (log.unserved)
        running.push(
          startUpkeep({
            what: "what nobody takes",
            clock,
            onTrouble: log.trouble,
            round: unservedWatch(nodes.unserved, log.unserved),
          }),
        );
      return {
        async stop() {
          await Promise.all(running.map((one) => one.stop()));
        },
      };
    },

    startLooks: (log) =>
      startUpkeep({
        what: "drop folders",
        clock,
        everyMs: DROP_LOOK_MS,
        onTrouble: log.trouble,
        round: (signal) => drops.lookAround(signal, log.trouble),
      }),
  };
}

/** What a worker takes; others' jobs are left to other workers. @throws AppError config_invalid when there is no such kind. */
function chosenTasks(
  handlers: Readonly<Record<string, JobHandler>>,
  tasks: readonly string[] | undefined,
): Readonly<Record<string, JobHandler>> {
  if (tasks === undefined) return handlers;
  const problems = tasks
    .filter((kind) => !Object.hasOwn(handlers, kind))
    .map((kind) => `LONGSHORE_TASKS: there is no kind of job "${kind}"; expected ${Object.keys(handlers).join(", ")}.`);
  if (problems.length > 0) throw new AppError("config_invalid", { problems });
  return Object.fromEntries(Object.entries(handlers).filter(([kind]) => tasks.includes(kind)));
}

/** Its library is loaded when there is a mail server. */
async function composeMail({ smtpUrl: url }: Config): Promise<(() => Mailer) | undefined> {
  if (url === undefined) return undefined;
  const { smtpMailer } = await import("../adapters/mail/smtp.ts");
  return () => smtpMailer({ url });
}

/** Its idle connections keep no process from ending. */
function composeRemote({ archiveinterfaceUrl: url }: Config): RemoteArchive | undefined {
  return url === undefined ? undefined : pacificaArchive({ url, exchange: httpExchange() });
}
