import { join, relative, sep } from "node:path";
import { httpExchange } from "../adapters/outbound/http-exchange.ts";
import { globusApi } from "../adapters/source/globus/api.ts";
import { type GlobusEndpointsParts, globusEndpoints, globusTargets } from "../adapters/source/globus/endpoints.ts";
import type { OwnCollection } from "../adapters/source/globus/landing.ts";
import { archiveEndpoints, folderEndpoints, httpEndpoints, openEndpoints } from "../adapters/source/open-endpoint.ts";
import { folderTargets, openTargets } from "../adapters/source/open-target.ts";
import { s3Endpoints, s3Targets } from "../adapters/source/s3/endpoints.ts";
import type { ObjectStorage } from "../core/archive/object-storage.ts";
import type { CatalogueStore } from "../core/catalogue/catalogue-store.ts";
import type { Clock } from "../core/clock.ts";
import { type Endpoints, schemeOf } from "../core/crawl/endpoints.ts";
import type { Targets } from "../core/crawl/targets.ts";
import type { ExtractionStore } from "../core/extract/extraction-store.ts";
import type { Fetch } from "../core/outbound/fetch.ts";
import { hostPace } from "../core/outbound/host-pace.ts";
import type { Origins } from "../core/outbound/origins.ts";
import type { Config } from "../settings/config.ts";
import { type S3Watch, s3Settings } from "./s3.ts";

export interface StoreParts {
  readonly catalogue: CatalogueStore;
  readonly storage: ObjectStorage;
  readonly fetch: Fetch;
  /** The same that `fetch` is guarded by. */
  readonly origins: Origins;
  readonly clock: Clock;
  readonly extractions: Pick<ExtractionStore, "recordsFolders">;
  readonly watch?: S3Watch | undefined;
}

/** The stores that settings open, by what they are used for. */
export interface OpenStores {
  readonly crawled: Endpoints;
  /** What is crawled, and the folders that records are written to. */
  readonly offloaded: Endpoints;
  readonly targets: Targets;
}

/** Globus bears more, but is shared with all that the token's owner does. */
const GLOBUS_PACE = { connections: 4, rate: { calls: 1, perMs: 100 } };

export function composeStores(config: Config, parts: StoreParts): OpenStores {
  const { catalogue, storage, fetch, origins, clock, extractions, watch } = parts;
  const { crawlRoots, recordRoots, moveRoots, crawlBuckets, offloadStores } = config;
  const settings = s3Settings(config, watch);
  const globus = globusParts(config, clock);
  const writable = Map.groupBy(offloadStores, schemeOf);
  const writableS3 = writable.get("s3");
  const writableGlobus = writable.get("globus");
  const overHttp = httpEndpoints({ origins, fetch, clock });
  const elsewhere = {
    http: overHttp,
    https: overHttp,
    archive: archiveEndpoints({ catalogue, storage }),
    ...(crawlBuckets.length > 0 && { s3: s3Endpoints({ settings, buckets: crawlBuckets }) }),
    ...(globus && { globus: globusEndpoints(globus) }),
  };
  return {
    crawled: openEndpoints({ ...elsewhere, file: folderEndpoints({ roots: crawlRoots }) }),
    offloaded: openEndpoints({ ...elsewhere, file: folderEndpoints({ roots: [...crawlRoots, ...recordRoots] }) }),
    targets: openTargets({
      file: folderTargets({ writable: recordRoots, removable: moveRoots, owned: extractions.recordsFolders }),
      ...(writableS3 && { s3: s3Targets({ settings, writable: writableS3 }) }),
      ...(globus && writableGlobus && { globus: globusTargets({ ...globus, writable: writableGlobus }) }),
    }),
  };
}

/** `undefined` without a token. Its idle connections keep no process from ending. */
function globusParts(config: Config, clock: Clock): GlobusEndpointsParts | undefined {
  const { token, url } = config.globus;
  if (token === undefined) return undefined;
  const api = globusApi({ url, token, exchange: httpExchange(), pace: hostPace(GLOBUS_PACE, clock), clock });
  return { api, own: ownCollection(config), clock };
}

/** Files on their way lie in the data folder when the collection shows it, else at the collection's top. */
function ownCollection({ globus: { collection, folder }, dataDir }: Config): OwnCollection | undefined {
  if (collection === undefined) return undefined;
  const [first = ""] = relative(folder, dataDir).split(sep);
  const landing = first === ".." ? join(folder, ".longshore-globus") : join(dataDir, "globus");
  return { id: collection, top: folder, landing };
}
