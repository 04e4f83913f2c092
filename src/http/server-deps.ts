import type { FastifyBaseLogger } from "fastify";
import type { Access } from "../core/access/access.ts";
import type { Audit } from "../core/access/audit.ts";
import type { CallLimits } from "../core/access/call-limits.ts";
import type { Links } from "../core/access/links.ts";
import type { ProviderSignIn } from "../core/access/provider-sign-in.ts";
import type { Sessions } from "../core/access/sessions.ts";
import type { Tokens } from "../core/access/tokens.ts";
import type { ObjectStorage } from "../core/archive/object-storage.ts";
import type { Carts } from "../core/carts/carts.ts";
import type { CatalogueStore, Outbox } from "../core/catalogue/catalogue-store.ts";
import type { Reindexing } from "../core/catalogue/reindexing.ts";
import type { Search } from "../core/catalogue/search.ts";
import type { SearchChanges } from "../core/catalogue/search-changes.ts";
import type { SearchIndex } from "../core/catalogue/search-index.ts";
import type { Clock } from "../core/clock.ts";
import type { Crawls } from "../core/crawl/crawls.ts";
import type { Offloads } from "../core/crawl/offloads.ts";
import type { Documents } from "../core/documents/documents.ts";
import type { Drops } from "../core/drop/drops.ts";
import type { Environment } from "../core/environment/environment.ts";
import type { Extractions } from "../core/extract/extractions.ts";
import type { Fixity } from "../core/fixity/fixity.ts";
import type { IdSource } from "../core/ingest/id-source.ts";
import type { Ingest } from "../core/ingest/ingest.ts";
import type { NumberedFiles } from "../core/ingest/numbered-files.ts";
import type { Policy } from "../core/ingest/policy/policy.ts";
import type { UploadStore } from "../core/ingest/upload-store.ts";
import type { JobQueue } from "../core/jobs/job-queue.ts";
import type { Jobs } from "../core/jobs/jobs.ts";
import type { Nodes } from "../core/nodes/nodes.ts";
import type { Packages } from "../core/packages/packages.ts";
import type { Statistics } from "../core/packages/statistics.ts";
import type { Registers } from "../core/registers/registers.ts";
import type { CrontabExchange } from "../core/schedules/crontab-exchange.ts";
import type { Schedules } from "../core/schedules/schedules.ts";
import type { Switches } from "../core/switches/switches.ts";
import type { Tracer } from "../core/tracing.ts";
import type { CollectionSettings } from "./doors/xtract-collections.ts";
import type { Metrics } from "./metrics.ts";

/** What the routes translate to. The caller owns all of it: closing the server closes none of it. */
export interface ServerDeps {
  /** Of Longshore, as it is shown to clients. */
  readonly version: string;
  /** OpenAPI, as JSON. */
  apiDescription(): Promise<Uint8Array>;
  readonly logger: FastifyBaseLogger;
  readonly clock: Clock;
  readonly switches: Switches;
  readonly drops: Drops;
  readonly jobs: Jobs;
  readonly ingest: Ingest;
  readonly ids: IdSource;
  readonly numberedFiles: NumberedFiles;
  /** Of bundles; jobs hold them against it. */
  readonly policy: Pick<Policy, "asks">;
  readonly uploads: UploadStore;
  readonly catalogue: CatalogueStore;
  readonly carts: Carts;
  readonly search: Search;
  readonly indexing: Reindexing;
  readonly crawls: Crawls;
  readonly extractions: Extractions;
  readonly offloads: Offloads;
  readonly fixity: Fixity;
  readonly packages: Packages;
  readonly documents: Documents;
  readonly schedules: Schedules;
  readonly crontabs: CrontabExchange;
  readonly packageStatistics: Pick<Statistics, "totals" | "requests" | "errors" | "days">;
  readonly storage: ObjectStorage;
  readonly environment: Environment;
  readonly access: Access;
  readonly tokens: Tokens;
  readonly sessions: Sessions;
  /** Left out: tokens alone let people in. */
  readonly openid?: ProviderSignIn | undefined;
  /** Shared by all servers of a process, as callers are; left out: anybody may ask as often as they like. */
  readonly callLimits?: CallLimits;
  readonly links: Links;
  readonly registers: Registers;
  readonly audit: Audit;
  readonly nodes: Nodes;
  /** Only looked at, by those who ask how things are. */
  readonly observed: {
    /** @throws when the database does not answer. */
    ping(): Promise<void>;
    /** Room where what is received, fetched and noted is kept until it is in the archive. */
    dataFreeBytes(): Promise<number>;
    readonly queue: Pick<JobQueue, "depth">;
    readonly outbox: Pick<Outbox, "backlog">;
    readonly searchChanges: Pick<SearchChanges, "depth">;
    readonly index: Pick<SearchIndex, "counts">;
    /** Asks the search engine for a sign of life; left out where nothing is searched. */
    search?(): Promise<unknown>;
    /** Whether the process has been told to stop. */
    isLeaving?(): boolean;
  };
  /** Shared by all servers of a process: `/metrics` tells of the doors on their own ports too. */
  readonly metrics: Metrics;
  /** Left out: nothing is traced. */
  readonly tracer?: Tracer | undefined;
  readonly options: ServerOptions;
  /** What the process was started with. */
  readonly settings: readonly ShownSetting[];
}

/** A setting as it is in force and may be shown: of a secret no more than that there is one. */
export interface ShownSetting {
  readonly name: string;
  readonly value: string | null;
  readonly from: "environment" | "default";
}

export interface ServerOptions {
  /** Where clients find the server when a proxy stands before it; no slash at the end. */
  readonly publicUrl?: string | undefined;
  /** Addresses and subnets whose `authHeader` is believed. */
  readonly trustedProxies: readonly string[];
  readonly authHeader: string;
  /** Who deposits through a Pacifica door of an open server. */
  readonly defaultUser: string;
  readonly ckanpackager: {
    /** What callers of the door must know; without it, nobody is let in. */
    readonly secret?: string | undefined;
    /** What portals show to whoever has ordered a package. */
    readonly successMessage: string;
    /** Jobs that this server runs at a time. */
    readonly workerCount: number;
  };
  readonly xtract: CollectionSettings;
  /** Whether the door refuses what Elasticsearch refuses, unless a request says otherwise. */
  readonly elasticsearchStrict: boolean;
  /** An upload that nobody continued for this long is removed. */
  readonly uploadExpiryMs: number;
  /** A peer that is silent for this long while it is its turn to send or to read is gone. Default: 2 minutes. */
  readonly silenceMs?: number;
  /** How long a closing server waits for requests under way before it breaks them off. Default: 10 s. */
  readonly closeGraceMs?: number;
}

/** The collaborators and what the server itself adds to them for its routes. */
export interface ServerContext extends ServerDeps {
  /** Aborts when the server begins to close: streams that would never end by themselves end then. */
  readonly closing: AbortSignal;
  /** The address of one of our own paths as a client sees it, behind a proxy that adds a prefix too. */
  link(path: string): string;
  /** Work that is not over when its sender is gone: the server does not count as closed before it is. */
  finish<T>(work: Promise<T>): Promise<T>;
}
