import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Stores } from "../adapters/db/stores.ts";
import { systemClock } from "../adapters/system-clock.ts";
import { keyRing } from "../core/access/key-ring.ts";
import { isoTime } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import type { QueuedKind } from "../core/jobs/job-store.ts";
import { CLOCKS_APART_MS, type Node, nodeService } from "../core/nodes/nodes.ts";
import type { Config } from "../settings/config.ts";
import { knownSecretKey } from "../settings/secret-key.ts";
import { type Finding, fail, ok, reasonOf, warn } from "./finding.ts";

/** Without it there is no table at all. */
const FIRST_STEP = "001";
const LOOK_AGAIN_MS = 3_000;
/** Mails and events go out within seconds. */
const LATE_MS = 10 * 60_000;

/** @returns whether any token is active; `undefined` when nobody can tell. */
export async function* database(config: Config): AsyncGenerator<Finding, boolean | undefined> {
  const file = join(config.dataDir, "longshore.sqlite");
  if (config.databaseUrl === undefined && !(await stat(file).catch(() => undefined))) {
    yield ok("database", `${file} will be made`);
    return false;
  }
  try {
    const { openStores } = await import("../compose/foundation.ts"); // what needs no database starts without it
    const stores = await openStores({ ...config, migrates: false }, systemClock);
    try {
      await stores.ping();
      const { transactions, files } = await stores.catalogue.totals();
      yield ok("database", `opens, schema up to date; ${transactions} transactions, ${files} files`);
      yield* secrets(config, stores);
      const found = nodeService(stores.nodes, stores.leases, stores.jobs);
      yield* nodes(await found.list());
      yield* unserved(await found.unserved());
      if (config.databaseUrl !== undefined) yield* clocks(stores);
      yield* backlog(stores);
      return await stores.tokens.anyActive(systemClock.now());
    } finally {
      await stores.close();
    }
  } catch (error) {
    if (error instanceof AppError && error.code === "database_older")
      return yield* older(String(error.details.pending));
    yield fail("database", reasonOf(error), adviceOn(error, config));
    return undefined;
  }
}

function adviceOn(error: unknown, { databaseUrl }: Config): string {
  if (error instanceof AppError && error.code === "database_newer")
    return "Run the release that brought it up, or a later one: there is no way back to an older schema.";
  if (databaseUrl === undefined)
    return "See that LONGSHORE_DATA_DIR names the right folder, and that it can be written.";
  return "See that it runs and that LONGSHORE_DATABASE_URL names it, its user and password.";
}

/** @param pending steps of the schema, separated by commas. */
async function* older(pending: string): AsyncGenerator<Finding, boolean | undefined> {
  if (pending.startsWith(FIRST_STEP)) {
    yield ok("database", "answers; the first start makes its tables");
    return false;
  }
  yield warn(
    "database",
    `its schema is older than this program: ${pending}`,
    "Back it up. The first start of this program brings it up, as does longshore migrate beforehand.",
  );
  return undefined;
}

/** The database's own is what all nodes have in common. */
async function* clocks({ nodes }: Stores): AsyncGenerator<Finding> {
  const before = systemClock.now();
  const there = await nodes.now();
  // The database looked at its clock somewhere in between.
  const aheadMs = Math.max(before - there, 0) || Math.min(systemClock.now() - there, 0);
  if (Math.abs(aheadMs) <= CLOCKS_APART_MS) yield ok("database clock", isoTime(there));
  else
    yield warn(
      "database clock",
      `this machine's is ${Math.abs(aheadMs / 1_000).toFixed(1)} s ${aheadMs > 0 ? "ahead of" : "behind"} it`,
      "Synchronise both by NTP: what is due, and when links and tokens expire, goes by each node's own clock.",
    );
}

/** What waits to be told to others, and to the search index. */
async function* backlog({ outbox, searchChanges }: Stores): AsyncGenerator<Finding> {
  const { messages, failing, oldestAt } = await outbox.backlog();
  const waits = `${messages} messages wait${oldestAt === null ? "" : `, the oldest since ${isoTime(oldestAt)}`}`;
  if (failing > 0)
    yield warn(
      "outbox",
      `${waits}; ${failing} of them could not be delivered`,
      "They are tried again. See that who is to get them answers: mail server, webhooks, subscribers; the log says which.",
    );
  else if (oldestAt !== null && systemClock.now() - oldestAt > LATE_MS)
    yield warn("outbox", waits, "Servers and workers deliver them: see that one runs, and its log.");
  else if (messages > 0) yield ok("outbox", waits);

  const first = (await searchChanges.pending(1))[0];
  if (first === undefined) return;
  await systemClock.sleep(LOOK_AGAIN_MS);
  const stands = (await searchChanges.pending(1))[0]?.number === first.number;
  const changes = `${await searchChanges.depth()} changes are not in the search index yet`;
  if (stands)
    yield warn(
      "search changes",
      `${changes}, and none was brought in within ${LOOK_AGAIN_MS / 1_000} s`,
      "A running server does it, unless the index takes nothing: see its log, and what is said of the search engine.",
    );
  else yield ok("search changes", `${changes}; it is being done`);
}

/** Says nothing while nobody is there. */
async function* nodes(found: readonly Node[]): AsyncGenerator<Finding> {
  if (found.length === 0) return;
  const silent = found.filter(({ isAlive }) => !isAlive);
  const count = `${found.length - silent.length} alive`;
  if (silent.length === 0) yield ok("nodes", count);
  else
    yield warn(
      "nodes",
      `${count}; silent: ${silent.map(({ name, seenAt }) => `${name} since ${isoTime(seenAt)}`).join(", ")}`,
      "They died, or do not reach the database; what they did is done by others. longshore nodes shows all.",
    );
}

/** Says nothing when all that waits is taken by somebody. */
async function* unserved(kinds: readonly QueuedKind[]): AsyncGenerator<Finding> {
  if (kinds.length === 0) return;
  const each = kinds.map(
    ({ lane, kind, jobs, queuedAt }) => `${jobs} ${kind} in the lane ${lane}, the oldest since ${isoTime(queuedAt)}`,
  );
  yield warn(
    "jobs",
    `no running process takes what waits: ${each.join("; ")}`,
    "Start one that does: longshore serve, or longshore worker whose --lanes and --tasks name it.",
  );
}

/** Those that were sealed under another key cannot be read: whatever needs them is refused. */
async function* secrets(config: Config, { environment: store }: Stores): AsyncGenerator<Finding> {
  const key = await knownSecretKey(config);
  const kept = (await store.list()).filter(({ secret }) => secret);
  if (kept.length === 0) return;
  const keys = key === undefined ? undefined : keyRing(key);
  const lost = kept.filter(({ content }) => keys?.unseal(content) === undefined);
  if (lost.length === 0) yield ok("secrets", `${kept.length} can be read`);
  else
    yield fail(
      "secrets",
      `sealed under another key: ${lost.map(({ scope, name }) => `${name} (${scope})`).join(", ")}`,
      "Set them again, or set LONGSHORE_SECRET_KEY to the key that they were sealed under.",
    );
}
