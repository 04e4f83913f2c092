import { BlockList, isIP } from "node:net";
import { resolve } from "node:path";
import { z } from "zod";
import { AppError } from "../core/errors.ts";
import { LANES, type Lane } from "../core/jobs/job.ts";
import { originRule } from "../core/outbound/origins.ts";
import { ARCHIVE_SETTINGS, archiveConfig } from "./archive-settings.ts";
import { CRAWL_SETTINGS, crawlConfig } from "./crawl-settings.ts";
import { DATABASE_SETTINGS, databaseConfig } from "./database-settings.ts";
import { FIXITY_SETTINGS, fixityConfig } from "./fixity-settings.ts";
import { OPENID_SETTINGS, openidConfig } from "./openid-settings.ts";
import { SEARCH_SETTINGS, searchConfig } from "./search-settings.ts";
import { bytes, folder, hours, httpUrl, list, port, rate, refuse, text, url } from "./setting-forms.ts";
import { SHARED_SETTINGS, sharedConfig } from "./shared-settings.ts";
import { START_SETTINGS, startConfig } from "./start-settings.ts";
import { TELEMETRY_SETTINGS, telemetryConfig } from "./telemetry-settings.ts";

const PREFIX = "LONGSHORE_";

/** Protocols of other systems that a server can speak on a port of their own. */
export const DOOR_NAMES = [
  "pacifica-ingest",
  "pacifica-cart",
  "pacifica-archive",
  "pacifica-uniqueid",
  "ckanpackager",
  "xtract",
  "elasticsearch",
] as const;
export type DoorName = (typeof DOOR_NAMES)[number];

const HOUR_MS = 3_600_000;

/**
 * Every setting under its variable's real name. Values are text, as the environment has them: a default is given as the
 * text one would write, and what follows is its meaning. `docs/config.md` is generated from here.
 */
export const SETTINGS = z.strictObject({
  LONGSHORE_DATA_DIR: folder
    .prefault("./data")
    .describe(
      "Folder of the SQLite file, unfinished uploads and the archive, unless settings below place them elsewhere.",
    ),
  LONGSHORE_HOST: text
    .prefault("127.0.0.1")
    .describe(
      "Address to listen on. Anything but loopback needs a token, a trusted proxy or an identity provider first.",
    ),
  LONGSHORE_PORT: port
    .prefault("7700")
    .describe("Port to listen on. 0 picks a free one; the address is the first line on standard output."),
  LONGSHORE_DOORS: list(door)
    .prefault("")
    .describe(`Doors with a port of their own, as name:port separated by commas. Doors: ${DOOR_NAMES.join(", ")}.`),
  LONGSHORE_PUBLIC_URL: httpUrl
    .transform((input) => input.replace(/\/+$/, ""))
    .optional()
    .describe("Address under which clients reach the server when a proxy stands before it."),
  LONGSHORE_DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/, error: "expected a URL that begins with postgres://" })
    .optional()
    .describe("PostgreSQL instead of the SQLite file in the data folder: postgres://user:password@host/database.")
    .meta({ secret: true }),
  ...ARCHIVE_SETTINGS,
  ...SHARED_SETTINGS,
  LONGSHORE_DIGEST: z
    .enum(["sha512", "sha256"])
    .prefault("sha512")
    .describe("Digest that the archive addresses its content by: sha512 or sha256."),

  LONGSHORE_POLICY_FILE: folder.optional().describe("Rules file that every bundle must satisfy."),
  LONGSHORE_POLICY_URL: httpUrl
    .optional()
    .describe(
      "Pacifica policy service that every bundle is shown to: the full address, or the service alone (then /ingest is added).",
    ),
  LONGSHORE_UNIQUEID_URL: httpUrl
    .optional()
    .describe("Pacifica uniqueid service that gives out job and file ids, instead of the server's own sequences."),
  LONGSHORE_METADATA_URL: httpUrl
    .optional()
    .describe(
      "Pacifica metadata service that is sent the metadata of every accepted bundle: full address, or the service alone.",
    ),
  LONGSHORE_ARCHIVEINTERFACE_URL: httpUrl
    .transform((input) => input.replace(/\/*$/, "/"))
    .optional()
    .describe("Pacifica archive interface whose files can be put into carts beside the archive's own."),
  LONGSHORE_STAGING_SIZE: text
    .transform(bytes)
    .prefault("100GiB")
    .describe(
      "Most that copies of files from elsewhere may take in the data folder: a number with KiB, MiB, GiB or TiB.",
    ),
  LONGSHORE_STAGING_PROTECT: text
    .transform((input, context) => hours(input, context, { least: 0 }))
    .prefault("24")
    .describe("Hours after its last use in which such a copy is not dropped to make room for others."),
  LONGSHORE_CART_EXPIRY: text
    .transform((input, context) => hours(input, context, { least: 1 }))
    .prefault("4320")
    .describe("Hours after its last use at which a cart expires, unless it was made with a time of its own."),
  LONGSHORE_MOVE_ROOTS: list((path) => resolve(path))
    .prefault("")
    .describe("Folders, separated by commas, from which files on the server's disk may be moved into the archive."),
  LONGSHORE_REGISTERS: folder
    .optional()
    .describe("Folder of declarations of registers, one JSON file each, read at start; see docs/formats/register.md."),
  LONGSHORE_EVENTS_URL: list(url)
    .prefault("")
    .describe("Addresses, separated by commas, that are sent a CloudEvent for every accepted bundle."),
  LONGSHORE_EVENTS_SOURCE: text
    .optional()
    .describe("Source named in those CloudEvents. The public URL when not set, or longshore without one."),

  LONGSHORE_FETCH_ORIGINS: list((input, context) =>
    originRule(input) === undefined
      ? refuse(context, "expected origins like https://data.example.org or https://*.example.org")
      : input,
  )
    .prefault("")
    .describe(
      "Origins, separated by commas, that packages and notices may fetch from: https://data.example.org; https://*.example.org and https://* for hosts with public addresses; :* for any port.",
    ),
  LONGSHORE_FETCH_RATE: text
    .transform((input, context) => {
      const rate = Number(input);
      return rate > 0 && rate <= 10_000 ? rate : refuse(context, "expected requests in a second, more than 0");
    })
    .prefault("20")
    .describe("Requests in a second, at most, to each of these hosts."),
  LONGSHORE_SMTP_URL: z
    .url({ protocol: /^smtps?$/, error: "expected a URL that begins with smtp:// or smtps://" })
    .optional()
    .describe(
      "Mail server: smtp://user:password@host:587 (STARTTLS when it is offered; ?requireTLS=true insists on it) or smtps://host:465.",
    )
    .meta({ secret: true }),
  LONGSHORE_MAIL_FROM: text
    .prefault("Longshore <longshore@localhost>")
    .describe("Sender of mails: Name <address>; may have places in braces, like the templates."),
  LONGSHORE_MAIL_TEMPLATES: folder
    .optional()
    .describe("JSON file with texts of mails, where the built-in ones will not do; see docs/formats/notices.md."),
  LONGSHORE_WEBHOOK_SECRET: text
    .min(32, "expected at least 32 characters")
    .optional()
    .describe("Secret that webhooks are signed with. Without it, none can be asked for.")
    .meta({ secret: true }),
  LONGSHORE_PACKAGE_CACHE_HOURS: text
    .transform((input, context) => hours(input, context, { least: 0 }))
    .prefault("24")
    .describe("Hours for which a package is given to everyone who orders the same."),
  LONGSHORE_PACKAGE_KEEP_HOURS: text
    .transform((input, context) => hours(input, context, { least: Number.MIN_VALUE }))
    .prefault("168")
    .describe("Hours for which the link to a package works, and its ZIP is kept."),
  LONGSHORE_PACKAGE_STORE_SIZE: text
    .transform(bytes)
    .prefault("100GiB")
    .describe(
      "Most that packages may take together, the least recently used being dropped; and most that a file may have to be packed.",
    ),
  LONGSHORE_PACKAGE_SLOW_ROWS: text
    .regex(/^\d{1,15}$/, "expected a number of rows")
    .transform(Number)
    .prefault("50000")
    .describe("Packages of more rows than this are made in the slow lane, and those whose rows are not counted."),
  LONGSHORE_PACKAGE_ANONYMIZE: z
    .enum(["true", "false"])
    .prefault("false")
    .describe("Whether statistics of packages hold a keyed digest in place of each mail address: true or false."),
  LONGSHORE_CKANPACKAGER_SECRET: text
    .optional()
    .describe("Secret that clients of the ckanpackager door send. Without it, the door lets nobody in.")
    .meta({ secret: true }),
  LONGSHORE_CKANPACKAGER_MESSAGE: text
    .prefault(
      "The resource will be emailed to you shortly. This may take a little longer if our servers are busy, so please be patient!",
    )
    .describe("What the ckanpackager door answers an order with; portals show it to whoever has asked."),
  LONGSHORE_ELASTICSEARCH_STRICT: z
    .enum(["true", "false"])
    .prefault("false")
    .describe("Whether the elasticsearch door refuses dates and updates that Elasticsearch refuses: true or false."),
  LONGSHORE_DWC_CORE: text
    .prefault("Occurrence")
    .describe("Core of Darwin Core Archives: Occurrence, or the path of an extension definition of GBIF's (XML)."),
  LONGSHORE_DWC_EXTENSIONS: list((input) => input)
    .prefault("Multimedia,MeasurementOrFact")
    .describe(
      "Extensions of Darwin Core Archives, separated by commas: Multimedia, MeasurementOrFact, or paths of definitions.",
    ),
  LONGSHORE_DWC_MEDIA: folder
    .optional()
    .describe("JSON file that says which fields hold media; see docs/formats/darwin-core-archive.md."),
  LONGSHORE_DWC_ID_FIELD: text
    .prefault("_id")
    .describe("Field of a portal's resource that identifies a record in a Darwin Core Archive."),
  LONGSHORE_DWC_DYNAMIC_TERM: text
    .prefault("dynamicProperties")
    .describe("Term of the core that takes in every field that has no term of its own."),
  ...DATABASE_SETTINGS,
  ...CRAWL_SETTINGS,
  ...FIXITY_SETTINGS,
  ...SEARCH_SETTINGS,
  ...TELEMETRY_SETTINGS,
  ...OPENID_SETTINGS,
  LONGSHORE_TRUSTED_PROXIES: list(address)
    .prefault("")
    .describe("IP addresses or subnets (10.0.0.0/8), separated by commas, whose user header is believed."),
  LONGSHORE_RATE_LIMIT: list(rate)
    .prefault("")
    .describe(
      "Most requests of one token, or of one address without a token: `15/900s`, `600/m,10000/d`. More get 429. None: no limit.",
    ),
  LONGSHORE_AUTH_HEADER: text
    .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, "expected the name of an HTTP header")
    .prefault("X-Http-Authed-User")
    .describe("Header in which a trusted proxy names the user; also sent to a Pacifica policy service."),
  LONGSHORE_DEFAULT_USER: text
    .prefault("root")
    .describe("User that deposits through the Pacifica door when no header names one and the server is open."),
  LONGSHORE_SECRET_KEY: text
    .min(32, "expected at least 32 characters")
    .optional()
    .describe("Key that signs links and encrypts secrets. Made and kept in the data folder when not set.")
    .meta({ secret: true }),

  LONGSHORE_DROPS: folder
    .optional()
    .describe("JSON file that declares drop folders, read at start; see docs/drop-folders.md."),
  LONGSHORE_CONTROL_FILE: folder
    .optional()
    .describe("JSON file of switches, read anew before each piece of work; see docs/pausing.md."),
  LONGSHORE_WORKERS: text
    .transform(workers)
    .prefault("fast:2,slow:2,run:8")
    .describe(
      "Jobs at a time in each lane, as lane:number separated by commas. 0 leaves a lane to other processes; none leaves all of them.",
    ),
  ...START_SETTINGS,
  LONGSHORE_UPLOAD_EXPIRY: text
    .transform((input, context) => hours(input, context, { least: Number.MIN_VALUE }))
    .prefault("168")
    .describe("Hours after which an upload that nobody continued is removed."),
  LONGSHORE_LOG_LEVEL: z
    .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"])
    .prefault("info")
    .describe("Least severe log lines that are written: trace, debug, info, warn, error, fatal or silent."),
  LONGSHORE_LOG_FORMAT: z.enum(["json", "text"]).prefault("json").describe("Form of the log lines: json or text."),

  LONGSHORE_URL: httpUrl
    .transform((input) => input.replace(/\/+$/, ""))
    .prefault("http://127.0.0.1:7700")
    .describe("Server that the command line talks to."),
  LONGSHORE_TOKEN: text
    .optional()
    .describe("Bearer token that the command line presents to it.")
    .meta({ secret: true }),
});

export type SettingName = keyof typeof SETTINGS.shape;
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the `LONGSHORE_*` variables; a variable set to nothing counts as absent.
 * @throws AppError config_invalid; `details.problems` has one sentence for every bad or unknown variable.
 */
export function loadConfig(env: Environment) {
  const given = Object.fromEntries(Object.entries(env).filter(([name, value]) => name.startsWith(PREFIX) && value));
  const parsed = SETTINGS.safeParse(given);
  if (!parsed.success)
    throw new AppError("config_invalid", {
      problems: parsed.error.issues.flatMap((issue) => explain(issue, given)),
    });
  const e = parsed.data;
  return Object.freeze({
    dataDir: e.LONGSHORE_DATA_DIR,
    host: e.LONGSHORE_HOST,
    port: e.LONGSHORE_PORT,
    doors: e.LONGSHORE_DOORS,
    /** Without a slash at the end. */
    publicUrl: e.LONGSHORE_PUBLIC_URL,
    databaseUrl: e.LONGSHORE_DATABASE_URL,
    ...archiveConfig(e, e.LONGSHORE_DATA_DIR),
    digest: e.LONGSHORE_DIGEST,
    policyFile: e.LONGSHORE_POLICY_FILE,
    policyUrl: e.LONGSHORE_POLICY_URL,
    uniqueidUrl: e.LONGSHORE_UNIQUEID_URL,
    metadataUrl: e.LONGSHORE_METADATA_URL,
    /** With a slash at the end. */
    archiveinterfaceUrl: e.LONGSHORE_ARCHIVEINTERFACE_URL,
    stagingBytes: e.LONGSHORE_STAGING_SIZE,
    stagingProtectMs: e.LONGSHORE_STAGING_PROTECT * HOUR_MS,
    cartExpiryMs: e.LONGSHORE_CART_EXPIRY * HOUR_MS,
    moveRoots: e.LONGSHORE_MOVE_ROOTS,
    registersDir: e.LONGSHORE_REGISTERS,
    eventsUrls: e.LONGSHORE_EVENTS_URL,
    eventsSource: e.LONGSHORE_EVENTS_SOURCE ?? e.LONGSHORE_PUBLIC_URL ?? "longshore",
    fetchOrigins: e.LONGSHORE_FETCH_ORIGINS,
    fetchPerSecond: e.LONGSHORE_FETCH_RATE,
    smtpUrl: e.LONGSHORE_SMTP_URL,
    mailFrom: e.LONGSHORE_MAIL_FROM,
    mailTemplates: e.LONGSHORE_MAIL_TEMPLATES,
    webhookSecret: e.LONGSHORE_WEBHOOK_SECRET,
    ...sharedConfig(e, e.LONGSHORE_DATA_DIR),
    packageFreshMs: e.LONGSHORE_PACKAGE_CACHE_HOURS * HOUR_MS,
    packageKeepMs: e.LONGSHORE_PACKAGE_KEEP_HOURS * HOUR_MS,
    packageStoreBytes: e.LONGSHORE_PACKAGE_STORE_SIZE,
    packageSlowRows: e.LONGSHORE_PACKAGE_SLOW_ROWS,
    packagesAnonymous: e.LONGSHORE_PACKAGE_ANONYMIZE === "true",
    ckanpackager: {
      secret: e.LONGSHORE_CKANPACKAGER_SECRET,
      successMessage: e.LONGSHORE_CKANPACKAGER_MESSAGE,
      workerCount: e.LONGSHORE_WORKERS.fast + e.LONGSHORE_WORKERS.slow,
    },
    elasticsearchStrict: e.LONGSHORE_ELASTICSEARCH_STRICT === "true",
    dwca: {
      core: e.LONGSHORE_DWC_CORE,
      extensions: e.LONGSHORE_DWC_EXTENSIONS,
      mediaFile: e.LONGSHORE_DWC_MEDIA,
      idField: e.LONGSHORE_DWC_ID_FIELD,
      dynamicTerm: e.LONGSHORE_DWC_DYNAMIC_TERM,
    },
    ...databaseConfig(e),
    ...fixityConfig(e),
    ...searchConfig(e),
    ...telemetryConfig(e),
    ...openidConfig(e),
    ...crawlConfig(e, e.LONGSHORE_DATA_DIR, env),
    /** IP addresses, or subnets in CIDR form. */
    trustedProxies: e.LONGSHORE_TRUSTED_PROXIES,
    rateLimits: e.LONGSHORE_RATE_LIMIT,
    authHeader: e.LONGSHORE_AUTH_HEADER,
    defaultUser: e.LONGSHORE_DEFAULT_USER,
    secretKey: e.LONGSHORE_SECRET_KEY,
    dropsFile: e.LONGSHORE_DROPS,
    controlFile: e.LONGSHORE_CONTROL_FILE,
    /** Jobs at a time. */
    workers: e.LONGSHORE_WORKERS,
    ...startConfig(e),
    uploadExpiryMs: e.LONGSHORE_UPLOAD_EXPIRY * HOUR_MS,
    logLevel: e.LONGSHORE_LOG_LEVEL,
    logFormat: e.LONGSHORE_LOG_FORMAT,
    /** Without a slash at the end. */
    url: e.LONGSHORE_URL,
    token: e.LONGSHORE_TOKEN,
  });
}
export type Config = ReturnType<typeof loadConfig>;

/** What a person can know of a setting without reading the schema. */
export interface SettingFacts {
  readonly name: SettingName;
  readonly description: string;
  /** As one would write it; `undefined` when there is none. */
  readonly default: string | undefined;
  readonly secret: boolean;
}

export const SETTING_FACTS: readonly SettingFacts[] = Object.entries(SETTINGS.shape).map(([name, schema]) => ({
  name: name as SettingName,
  description: schema.description ?? "",
  default: schema instanceof z.ZodPrefault ? String(schema.def.defaultValue) : undefined,
  secret: schema.meta()?.secret === true,
}));

export interface EffectiveSetting {
  readonly name: SettingName;
  /** Secrets are masked; `null` when there is no value. */
  readonly value: string | null;
  readonly from: "environment" | "default";
}

/** Every setting as it is in force, safe to show. */
export function effectiveSettings(env: Environment): readonly EffectiveSetting[] {
  return SETTING_FACTS.map(({ name, secret, default: fallback }) => {
    const given = env[name] || undefined;
    const value = given ?? (fallback || null);
    return { name, value: secret && value !== null ? masked(value) : value, from: given ? "environment" : "default" };
  });
}

/** A database URL keeps all but its password; any other secret keeps nothing, though it may have a colon. */
function masked(value: string): string {
  if (!/^[a-z]+:\/\//.test(value) || !URL.canParse(value)) return "********";
  const address = new URL(value);
  if (address.password) address.password = "********";
  return address.href;
}

function door(input: string, context: z.RefinementCtx): { readonly name: DoorName; readonly port: number } {
  const [name = "", number = "", ...rest] = input.split(":");
  const known = DOOR_NAMES.find((candidate) => candidate === name);
  const parsed = port.safeParse(number);
  if (!known) return refuse(context, `there is no door "${name}"; expected ${DOOR_NAMES.join(", ")}`);
  if (!parsed.success || rest.length > 0) return refuse(context, "expected name:port with a port from 0 to 65535");
  return { name: known, port: parsed.data };
}

function workers(input: string, context: z.RefinementCtx): Readonly<Record<Lane, number>> {
  if (input.trim() === "none") return { fast: 0, slow: 0, run: 0 };
  const lanes: Record<Lane, number> = { fast: 2, slow: 2, run: 8 };
  for (const part of input.split(",")) {
    const [name = "", number = ""] = part.trim().split(":");
    const lane = LANES.find((candidate) => candidate === name);
    if (!lane || !/^\d{1,3}$/.test(number)) return refuse(context, `expected ${LANES.join(":number,")}:number`);
    lanes[lane] = Number(number);
  }
  return lanes;
}

function address(input: string, context: z.RefinementCtx): string {
  const [ip = "", bits, ...rest] = input.split("/");
  const family = isIP(ip) === 6 ? "ipv6" : "ipv4";
  try {
    if (bits === undefined) new BlockList().addAddress(ip, family);
    else new BlockList().addSubnet(ip, /^\d+$/.test(bits) ? Number(bits) : -1, family);
  } catch {
    return refuse(context, `"${input}" is not an IP address or subnet`);
  }
  return rest.length === 0 ? input : refuse(context, `"${input}" is not an IP address or subnet`);
}

function explain(issue: z.core.$ZodIssue, given: Environment): string[] {
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((name) => {
      const meant = nearest(name, Object.keys(SETTINGS.shape));
      return `${name} is not a setting.${meant ? ` Did you mean ${meant}?` : ""}`;
    });
  const name = String(issue.path[0]);
  const facts = SETTING_FACTS.find((setting) => setting.name === name);
  const found = facts?.secret ? "" : `, found "${given[name] ?? ""}"`;
  const message = issue.code === "invalid_value" ? `expected ${issue.values.join(" or ")}` : issue.message;
  return [`${name}: ${message}${found}.`];
}

/** The candidate that takes the fewest edits, if they are few enough for a slip of the fingers. */
function nearest(input: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, edits: editDistance(input, candidate) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked[0];
  return best && best.edits <= Math.max(2, (input.length - PREFIX.length) / 3) ? best.candidate : undefined;
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries())
      next.push(Math.min((row[j] ?? 0) + (letter === other ? 0 : 1), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    row = next;
  }
  return row.at(-1) ?? 0;
}
