import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Stores } from "../adapters/db/stores.ts";
import { systemClock } from "../adapters/system-clock.ts";
import { keyRing } from "../core/access/key-ring.ts";
import { isoTime } from "../core/clock.ts";
import { type Node, nodeService } from "../core/nodes/nodes.ts";
import type { Config } from "../settings/config.ts";
import { knownSecretKey } from "../settings/secret-key.ts";
import { type Finding, fail, ok, reasonOf, warn } from "./finding.ts";

/** @returns whether any token is active; `undefined` when nobody can tell. */
export async function* database(config: Config): AsyncGenerator<Finding, boolean | undefined> {
  const file = join(config.dataDir, "longshore.sqlite");
  if (config.databaseUrl === undefined && !(await stat(file).catch(() => undefined))) {
    yield ok("database", `${file} will be made`);
    return false;
  }
  try {
    const { openStores } = await import("../compose/foundation.ts"); // what needs no database starts without it
    const stores = await openStores(config, systemClock);
    try {
      await stores.ping();
      const { transactions, files } = await stores.catalogue.totals();
      yield ok("database", `opens, schema up to date; ${transactions} transactions, ${files} files`);
      yield* secrets(config, stores);
      yield* nodes(await nodeService(stores.nodes, stores.leases).list());
      return await stores.tokens.anyActive(systemClock.now());
    } finally {
      await stores.close();
    }
  } catch (error) {
    const setting = config.databaseUrl === undefined ? "LONGSHORE_DATA_DIR" : "LONGSHORE_DATABASE_URL";
    yield fail("database", reasonOf(error), `See that it runs and that ${setting} names it.`);
    return undefined;
  }
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
