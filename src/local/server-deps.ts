import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import { freeBytesAt } from "../adapters/storage/fs/free-bytes.ts";
import { systemClock as clock } from "../adapters/system-clock.ts";
import type { Foundation } from "../compose/foundation.ts";
import type { Services } from "../compose/services.ts";
import type { Telemetry } from "../compose/telemetry.ts";
import { access } from "../core/access/access.ts";
import { audit } from "../core/access/audit.ts";
import { callLimits } from "../core/access/call-limits.ts";
import type { ProviderSignIn } from "../core/access/provider-sign-in.ts";
import { tokens } from "../core/access/tokens.ts";
import type { ServerDeps } from "../http/server-deps.ts";
import { type Config, type Environment, effectiveSettings } from "../settings/config.ts";
import { PACKAGE_ROOT, SOFTWARE, VERSION } from "../version.ts";
import { isLoopback } from "./loopback.ts";

export interface ServerDepsParts {
  /** What `config` was read from. */
  readonly env: Environment;
  readonly config: Config;
  readonly log: Logger;
  readonly foundation: Foundation;
  readonly services: Services;
  readonly telemetry: Telemetry;
  readonly openid?: ProviderSignIn | undefined;
  /** Who keeps the index of this process, if it searches. */
  readonly indexing: ServerDeps["indexing"];
  readonly isLeaving: () => boolean;
  /** Whether this process answers searches. */
  readonly searches: boolean;
}

/** What the routes are given. */
export function serverDeps(parts: ServerDepsParts): ServerDeps {
  const { env, config, log, foundation, services, telemetry, openid, indexing, isLeaving, searches } = parts;
  const { index, stores, storage } = foundation;
  return {
    ...services,
    version: VERSION,
    // Made from the routes beforehand: to make it takes libraries that nothing else needs.
    apiDescription: () => readFile(new URL("openapi.json", PACKAGE_ROOT)),
    logger: log,
    clock,
    catalogue: stores.catalogue,
    indexing,
    packageStatistics: services.statistics,
    storage,
    access: access(stores.tokens, clock, {
      loopback: isLoopback(config.host),
      hasProvider: config.openid !== undefined,
    }),
    tokens: tokens(stores.tokens, clock),
    sessions: services.sessions,
    openid,
    callLimits: callLimits(config.rateLimits, clock),
    audit: audit(stores.audit, clock, SOFTWARE),
    observed: {
      ...stores,
      index,
      dataFreeBytes: () => freeBytesAt(config.dataDir),
      isLeaving,
      ...(searches && { search: () => index.isFilled() }),
    },
    metrics: telemetry.metrics,
    tracer: telemetry.tracer,
    options: config,
    settings: effectiveSettings(env),
  };
}
