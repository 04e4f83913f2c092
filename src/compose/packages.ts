import { readFile } from "node:fs/promises";
import type { Stores } from "../adapters/db/stores.ts";
import { httpExchange } from "../adapters/outbound/http-exchange.ts";
import { keyRing } from "../core/access/key-ring.ts";
import { signedLinks } from "../core/access/links.ts";
import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import { requireSameKey } from "../core/nodes/agreements.ts";
import { notices } from "../core/notify/notices.ts";
import { readTemplates, requirePlaces } from "../core/notify/templates.ts";
import { type Fetch, guardedFetch } from "../core/outbound/fetch.ts";
import { hostPace } from "../core/outbound/host-pace.ts";
import { allowedOrigins } from "../core/outbound/origins.ts";
import type { PackageFiles } from "../core/packages/package-files.ts";
import { statistics } from "../core/packages/statistics.ts";
import { telling } from "../core/packages/telling.ts";
import type { Config } from "../settings/config.ts";
import { secretKey } from "../settings/secret-key.ts";
import { SOFTWARE } from "../version.ts";

/** Requests under way at once to one host that packages are fetched from. */
const HOST_CONNECTIONS = 4;

/** What the service of packages and their job have in common. */
export async function composePackaging(
  config: Config,
  clock: Clock,
  stores: Stores,
  files: PackageFiles,
  publicUrl: () => string,
) {
  const keys = keyRing(await secretKey(config));
  if (config.databaseUrl !== undefined) await requireSameKey(stores.agreements, keys);
  const links = signedLinks(keys);
  const origins = allowedOrigins(config.fetchOrigins);
  const pace = hostPace(
    { connections: HOST_CONNECTIONS, rate: { calls: 1, perMs: 1_000 / config.fetchPerSecond } },
    clock,
  );
  const userAgent = SOFTWARE;
  const fetch: Fetch = guardedFetch({ exchange: httpExchange(), origins, pace, clock, userAgent });
  const counted = statistics({
    store: stores.statistics,
    packages: stores.packages,
    keys,
    clock,
    anonymous: config.packagesAnonymous,
  });
  requirePlaces(config.mailFrom, "LONGSHORE_MAIL_FROM");
  const templates = readTemplates(await mailTemplates(config), config.mailTemplates ?? "");
  return {
    store: stores.packages,
    files,
    keys,
    links,
    origins,
    fetch,
    clock,
    statistics: counted,
    telling: telling({ notices: notices({ templates, from: config.mailFrom }), statistics: counted, links, publicUrl }),
    keeping: {
      freshMs: config.packageFreshMs,
      keepMs: config.packageKeepMs,
      storeBytes: config.packageStoreBytes,
    },
  };
}

async function mailTemplates({ mailTemplates: path }: Config): Promise<string | undefined> {
  try {
    return path === undefined ? undefined : await readFile(path, "utf8");
  } catch (error) {
    throw new AppError("config_invalid", { path: path ?? "", expected: "a file that can be read" }, { cause: error });
  }
}
