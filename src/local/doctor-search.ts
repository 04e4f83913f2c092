import { httpExchange } from "../adapters/outbound/http-exchange.ts";
import {
  assertUsable,
  type Engine,
  isRecord,
  type Json,
  recordIn,
  searchEngine,
} from "../adapters/search/opensearch/engine.ts";
import { indexNames, searchIndices } from "../adapters/search/opensearch/indices.ts";
import { systemClock } from "../adapters/system-clock.ts";
import { bytesText } from "../cli/amounts.ts";
import { AppError } from "../core/errors.ts";
import type { Config } from "../settings/config.ts";
import { type Finding, fail, ok, reasonOf, warn } from "./finding.ts";

const ENGINE = "search engine";
const INDEX = "search index";
const DISK = "search disk";

/** Whether OpenSearch or Elasticsearch is there and well. Nothing is made there. */
export async function* search(
  { searchShards: shards }: Config,
  named: NonNullable<Config["searchEngine"]>,
): AsyncGenerator<Finding> {
  const exchange = httpExchange();
  const engine = searchEngine({ url: named.url, exchange, clock: systemClock });
  const { host } = new URL(named.url);
  try {
    const { name, number } = await assertUsable(engine);
    yield ok(ENGINE, `${name} ${number} at ${host}`);
    yield* disks(engine);
    const indices = searchIndices({ engine, prefix: named.prefix, shards, clock: systemClock });
    yield* indexes(engine, named.prefix, await indices.isFilled());
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { hint, reason, found } = error.details;
    yield fail(
      ENGINE,
      `${host}: ${[reason ?? reasonOf(error), found, hint].filter((words) => words !== undefined).join("; ")}`,
      "See that it runs and that LONGSHORE_SEARCH_URL names it. Until then nothing is found, and changes wait.",
    );
  } finally {
    engine.close();
    exchange.close();
  }
}

async function* indexes(engine: Engine, prefix: string, isFilled: boolean): AsyncGenerator<Finding> {
  const { document } = await engine.ask({ method: "GET", path: "/_cluster/health?level=indices", answers: [401, 403] });
  const health = recordIn(document, "indices");
  const ours = Object.keys(health).filter((name) => indexNames(prefix).test(name));
  const unwell = (status: string) => ours.filter((name) => recordIn(health, name).status === status).join(", ");
  const blocked = await blockedOf(engine, ours);
  const why = "GET _cluster/allocation/explain says why.";
  if (unwell("red") !== "")
    yield fail(
      INDEX,
      `${unwell("red")}: parts of it are on no node (red)`,
      `Searches fail until the engine's nodes that have them are back; ${why} If they are lost: longshore reindex.`,
    );
  else if (blocked.length > 0)
    yield fail(
      INDEX,
      `${blocked.join(", ")}: takes no changes (read only)`,
      "Make room on the engine's disks, or lift the block there. Changes wait meanwhile, and are brought in afterwards.",
    );
  else if (unwell("yellow") !== "")
    yield warn(
      INDEX,
      `${unwell("yellow")}: there is no second copy of all of it (yellow)`,
      `Everything is found until a node is lost. Add one, or see to those that are there: ${why}`,
    );
  else yield ok(INDEX, `${prefix}: ${isFilled ? "is there" : "is not filled yet, which the next server does"}`);
}

/** Names of those that the engine writes nothing to: it does so by itself when a disk is past its last watermark. */
async function blockedOf(engine: Engine, names: readonly string[]): Promise<readonly string[]> {
  if (names.length === 0) return [];
  const path = `/${names.join(",")}/_settings/index.blocks*?flat_settings=true`;
  const { document } = await engine.ask({ method: "GET", path, answers: [404] });
  return names.filter((name) => {
    const blocks = Object.values(recordIn(document, name, "settings"));
    return blocks.some((value) => String(value) === "true");
  });
}

const WATERMARKS = ["flood_stage", "high", "low"] as const;

/** Says nothing where the user may not ask, as with an engine that others run. */
async function* disks(engine: Engine): AsyncGenerator<Finding> {
  const ask = (path: string) => engine.ask({ method: "GET", path, answers: [401, 403] });
  const settings = await ask("/_cluster/settings?include_defaults=true&flat_settings=true");
  const stats = await ask("/_nodes/stats/fs");
  if (settings.status !== 200 || stats.status !== 200) return;
  const layers = ["transient", "persistent", "defaults"].map((layer) => recordIn(settings.document, layer));
  const setting = (name: string) =>
    layers.map((layer) => layer[`cluster.routing.allocation.disk.${name}`]).find((value) => value !== undefined);
  const nodes = Object.values(recordIn(stats.document, "nodes"))
    .filter(isRecord)
    .map((node) => ({ name: String(node.name || node.host), ...roomIn(node) }));
  const past = (node: Room) => WATERMARKS.find((mark) => isBeyond(String(setting(`watermark.${mark}`)), node));
  const full = setting("threshold_enabled") === "false" ? [] : nodes.filter(past);
  for (const node of full) {
    const found = `${node.name}: ${bytesText(node.free)} free, past the watermark ${past(node)}`;
    if (past(node) === "flood_stage") yield fail(DISK, found, "Make room there: the engine takes no changes.");
    else yield warn(DISK, found, "Make room there, or add a node: past flood_stage the engine takes no changes.");
  }
  if (full.length === 0) yield ok(DISK, nodes.map(({ name, free }) => `${name}: ${bytesText(free)} free`).join(", "));
}

/** Bytes. */
interface Room {
  readonly free: number;
  readonly total: number;
}

function roomIn(node: Json): Room {
  const { available_in_bytes: free, total_in_bytes: total } = recordIn(node, "fs", "total");
  return { free: Number(free), total: Number(total) };
}

/** @param mark how full a disk may be, as `85%` or `0.85`, or how much must be free, as `10gb`. */
function isBeyond(mark: string, { free, total }: Room): boolean {
  const [, number = "", unit = ""] = /^([\d.]+)(%|[kmgtp]?b|)$/i.exec(mark) ?? [];
  if (number === "") return false;
  if (unit === "%" || unit === "") return 1 - free / total > Number(number) / (unit === "%" ? 100 : 1);
  return free < Number(number) * 1024 ** "bkmgtp".indexOf(unit.charAt(0).toLowerCase());
}
