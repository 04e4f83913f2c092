import { type FilesApi, filesApi, type TransactionsApi, transactionsApi } from "./archive.ts";
import { type AuditApi, auditApi } from "./audit.ts";
import { type BundlesApi, bundlesApi } from "./bundles.ts";
import { type CartsApi, cartsApi } from "./carts.ts";
import { type ConnectionOptions, connect } from "./connection.ts";
import { type CrawlsApi, crawlsApi } from "./crawls.ts";
import { type DropsApi, dropsApi } from "./drops.ts";
import { type NamedValue, type Secret, type VariablesApi, variablesApi } from "./environment.ts";
import { type EventsApi, eventsApi } from "./events.ts";
import { type ExtractionsApi, extractionsApi } from "./extractions.ts";
import { type FixityApi, fixityApi } from "./fixity.ts";
import { type JobsApi, jobsApi } from "./jobs.ts";
import { type NodesApi, nodesApi } from "./nodes.ts";
import { type OffloadsApi, offloadsApi } from "./offloads.ts";
import { type PackagesApi, packagesApi } from "./packages.ts";
import { type RegistersApi, registersApi } from "./registers.ts";
import { type SchedulesApi, schedulesApi } from "./schedules.ts";
import { type SearchApi, searchApi } from "./search.ts";
import { type SwitchesApi, switchesApi } from "./switches.ts";
import { type TokensApi, tokensApi } from "./tokens.ts";
import { type UploadsApi, uploadsApi } from "./uploads.ts";

export type { FilesApi, TransactionsApi } from "./archive.ts";
export type { AuditApi, AuditEntry, AuditFilter, AuditHead, AuditVerdict } from "./audit.ts";
export { type Backoff, type BackoffOptions, backoff } from "./backoff.ts";
export {
  type BundleFile,
  type BundleHash,
  type BundleOptions,
  type BundleSource,
  bundleSource,
  type MetadataObject,
} from "./bundle.ts";
export { type BundleDescription, bundleMetadata } from "./bundle-metadata.ts";
export type { BundlesApi, DepositOptions } from "./bundles.ts";
export type {
  CartFilter,
  CartsApi,
  CartWaitOptions,
  CatalogueQuery,
  ChosenFile,
  ChosenTransaction,
  DownloadForm,
  NewCart,
} from "./carts.ts";
export type { ConnectionOptions } from "./connection.ts";
export type { Content, ContentOptions } from "./content.ts";
export type * from "./crawl-types.ts";
export type { CrawlsApi, CrawlWaitOptions, Flushed, FlushOptions, NewCrawl, NewEndpoint } from "./crawls.ts";
export type { Delivery, DeliveryState, DropFolder, DropsApi, NewDropFolder } from "./drops.ts";
export type * from "./environment.ts";
export { type ErrorFacts, LongshoreError } from "./errors.ts";
export type { EventsApi, EventType, NewPreservationEvent, PreservationEvent } from "./events.ts";
export type { ExtractionsApi, ExtractionWaitOptions, NewExtraction } from "./extractions.ts";
export type { FixityApi, FixityCheck, FixityStatus, NewFixityRun } from "./fixity.ts";
export type { JobFilter, JobNews, JobsApi, WatchOptions } from "./jobs.ts";
export type { Node, NodesApi } from "./nodes.ts";
export type { NewOffload, OffloadsApi, StartedOffload } from "./offloads.ts";
export {
  DEFAULT_RETRIES,
  type OutboundClient,
  type OutboundOptions,
  outboundClient,
  type Passing,
  type Rate,
  type Retries,
} from "./outbound.ts";
export type { NewPackage, PackagePreview, PackagesApi, PackageWaitOptions, StatisticsQuery } from "./packages.ts";
export type { Listing, PageOptions } from "./pages.ts";
export type {
  EntryFilter,
  ExchangeFormat,
  Register,
  RegisterEntry,
  RegisterEvent,
  RegistersApi,
  StatusChange,
} from "./registers.ts";
export type * from "./schedule-types.ts";
export type {
  CrontabFinding,
  CrontabForm,
  CrontabImport,
  Imported,
  NextTimes,
  RunOptions,
  SchedulesApi,
} from "./schedules.ts";
export type {
  FoundType,
  HitOptions,
  NewSavedQuery,
  SavedQueriesApi,
  SavedQuery,
  SearchApi,
  SearchHit,
  SearchIndex,
  SearchListing,
  SearchOptions,
  SearchPage,
} from "./search.ts";
export type { Switch, SwitchesApi } from "./switches.ts";
export { TAR_END, type TarFile, tarHeader, tarMemberLength, tarPadding } from "./tar.ts";
export type { NewToken, TokensApi } from "./tokens.ts";
export type * from "./types.ts";
export {
  blobSource,
  type NewUpload,
  type SendOptions,
  type UploadSource,
  type UploadStatus,
  type UploadsApi,
} from "./uploads.ts";

export {
  type CrawlStatusResult,
  type CrawlWait,
  type FlushCount,
  type FlushedFile,
  type FlushResult,
  type OffloadOptions,
  XtractClient,
  type XtractClientOptions,
  type XtractSearchOptions,
  type XtractSearchResult,
  type XtractStatusResult,
} from "./xtract/client.ts";
export type { DownloadedFile } from "./xtract/download.ts";
export { XtractEndpoint, type XtractEndpointOptions } from "./xtract/endpoint.ts";
export type { LoginOptions } from "./xtract/login.ts";

export interface Longshore {
  readonly bundles: BundlesApi;
  readonly uploads: UploadsApi;
  readonly jobs: JobsApi;
  readonly transactions: TransactionsApi;
  readonly files: FilesApi;
  readonly carts: CartsApi;
  readonly packages: PackagesApi;
  readonly crawls: CrawlsApi;
  readonly extractions: ExtractionsApi;
  readonly offloads: OffloadsApi;
  readonly fixity: FixityApi;
  readonly events: EventsApi;
  readonly audit: AuditApi;
  readonly schedules: SchedulesApi;
  readonly registers: RegistersApi;
  readonly search: SearchApi;
  readonly switches: SwitchesApi;
  readonly nodes: NodesApi;
  readonly drops: DropsApi;
  readonly environment: VariablesApi<NamedValue>;
  readonly secrets: VariablesApi<Secret>;
  readonly tokens: TokensApi;
}

/** A client of one Longshore server, for Node and the browser. */
export function longshore(options: ConnectionOptions): Longshore {
  const connection = connect(options);
  return {
    bundles: bundlesApi(connection),
    uploads: uploadsApi(connection),
    jobs: jobsApi(connection),
    transactions: transactionsApi(connection),
    files: filesApi(connection),
    carts: cartsApi(connection),
    packages: packagesApi(connection),
    crawls: crawlsApi(connection),
    extractions: extractionsApi(connection),
    offloads: offloadsApi(connection),
    fixity: fixityApi(connection),
    events: eventsApi(connection),
    audit: auditApi(connection),
    schedules: schedulesApi(connection),
    registers: registersApi(connection),
    search: searchApi(connection),
    switches: switchesApi(connection),
    nodes: nodesApi(connection),
    drops: dropsApi(connection),
    environment: variablesApi<NamedValue>(connection, "/environment"),
    secrets: variablesApi<Secret>(connection, "/secrets"),
    tokens: tokensApi(connection),
  };
}
