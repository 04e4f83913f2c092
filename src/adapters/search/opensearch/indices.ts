import { randomBytes } from "node:crypto";
import type { Clock } from "../../../core/clock.ts";
import { AppError } from "../../../core/errors.ts";
import { assertUsable, type Engine, failureOf, type Json, recordIn } from "./engine.ts";
import { FORMAT, indexDefinition } from "./stored-document.ts";

/*
 * The indexes of one Longshore. The one in use has the alias `prefix`; one that is being made has `prefix-building-…`, an alias
 * of its own. All that is written goes through these aliases and never makes an index: whoever writes to one that is gone is told.
 * What is known of an index is in its mapping's `_meta`, so all of it is one answer of the engine, the same to every process.
 */

/** One that is being made and has not been heard of for so long is nobody's: its process has died. */
const ABANDONED_MS = 3_600_000;
const NOTED_EVERY_MS = 60_000;

interface Meta {
  readonly longshore: number;
  /** Whether what was put into it is all there was. */
  readonly filled: boolean;
  /** When somebody was making it. */
  readonly aliveAt: number;
}

interface KnownIndex {
  readonly name: string;
  readonly createdAt: number;
  readonly meta: Meta;
}

interface Building extends KnownIndex {
  readonly alias: string;
}

interface Known {
  readonly live: KnownIndex | undefined;
  readonly building: readonly Building[];
  /** Ours, of no use any more. */
  readonly left: readonly KnownIndex[];
}

export interface IndicesParts {
  readonly engine: Engine;
  readonly prefix: string;
  readonly shards: number;
  readonly clock: Clock;
}

export type Indices = ReturnType<typeof searchIndices>;

/** Of the indexes that are made, whether in use or not. */
export const indexNames = (prefix: string) => new RegExp(`^${prefix.replace(/\./g, "\\.")}-\\d{13}-[0-9a-f]{6}$`);

/** @throws AppError search_unavailable, from all calls, when the alias is somebody else's. */
export function searchIndices({ engine, prefix, shards, clock }: IndicesParts) {
  /** The same in every process: whoever begins first makes it. */
  const firstName = `${prefix}-${"0".repeat(13)}-${"0".repeat(6)}`;
  const ownName = indexNames(prefix);
  let isUsable = false;
  let hasBeenThere = false;

  async function look(): Promise<Known> {
    if (!isUsable) await assertUsable(engine);
    isUsable = true;
    const path = `/${prefix}*?expand_wildcards=all&filter_path=*.aliases,*.mappings._meta,*.settings.index.creation_date`;
    const { document } = await engine.ask({ method: "GET", path });
    let live: KnownIndex | undefined;
    const building: Building[] = [];
    const left: KnownIndex[] = [];
    for (const [name, about] of Object.entries(document)) {
      const aliases = Object.keys(recordIn(about, "aliases"));
      const isLive = aliases.includes(prefix);
      const meta = recordIn(about, "mappings", "_meta");
      const isOurs = ownName.test(name) && typeof meta.longshore === "number";
      if (name === prefix || (isLive && !isOurs))
        throw new AppError("search_unavailable", {
          reason: "the name in LONGSHORE_SEARCH_URL is that of an index which Longshore has not made",
          name: prefix,
          index: name,
        });
      if (!isOurs) continue;
      const createdAt = Number(recordIn(about, "settings", "index").creation_date);
      const known = { name, createdAt, meta: meta as unknown as Meta };
      const alias = aliases.find((one) => one.startsWith(`${prefix}-building-`));
      if (isLive) live = known;
      else if (alias !== undefined) building.push({ ...known, alias });
      else left.push(known);
    }
    hasBeenThere ||= live !== undefined;
    return { live, building, left };
  }

  function isReadable({ meta }: KnownIndex): boolean {
    if (meta.longshore <= FORMAT) return meta.longshore === FORMAT;
    throw new AppError("search_unavailable", {
      reason: "a newer Longshore has made the index",
      expected: FORMAT,
      found: meta.longshore,
    });
  }

  /** @returns whether it is this call that has made it. */
  async function make(name: string, alias: string): Promise<boolean> {
    const meta: Meta = { longshore: FORMAT, filled: false, aliveAt: clock.now() };
    const { status, document } = await engine.ask({
      method: "PUT",
      path: `/${name}`,
      body: { ...indexDefinition({ ...meta }, shards), aliases: { [alias]: {} } },
      answers: [400],
    });
    if (status !== 400) return true;
    const { type, reason } = failureOf(document.error);
    if (type === "resource_already_exists_exception") return false;
    // As many shards as the engine is set to have, for one.
    throw new AppError("search_unavailable", { reason, index: name });
  }

  /** Of an index that is there. */
  async function note(name: string, meta: Partial<Meta>): Promise<void> {
    const noted: Meta = { longshore: FORMAT, filled: false, aliveAt: clock.now(), ...meta };
    await engine.ask({ method: "PUT", path: `/${name}/_mapping`, body: { _meta: noted }, answers: [404] });
  }

  /** Unless it has come into use, or is abandoned: then it has another alias, or none. */
  async function abandon({ name, alias }: Pick<Building, "name" | "alias">): Promise<void> {
    const { status } = await change([{ remove: { index: name, alias, must_exist: true } }]);
    if (status !== 404) await remove(name);
  }

  /** All at once, or none. Not found: something of it is not as it was any more. */
  function change(actions: readonly Json[]) {
    return engine.ask({ method: "POST", path: "/_aliases", body: { actions }, answers: [404] });
  }

  async function remove(name: string): Promise<void> {
    await engine.ask({ method: "DELETE", path: `/${name}`, answers: [404] });
  }

  return {
    /**
     * The aliases that a change is to reach. The first call of all makes an empty index.
     * @throws AppError database_damaged when there was an index and it is gone, search_unavailable when there is one of
     * another format.
     */
    async inUse(): Promise<{ readonly live: boolean; readonly building: readonly string[] }> {
      for (;;) {
        const { live, building } = await look();
        const silent = building.filter(({ meta }) => clock.now() - meta.aliveAt > ABANDONED_MS);
        for (const one of silent) await abandon(one);
        const active = building.filter((one) => !silent.includes(one)).map(({ alias }) => alias);
        const isLive = live !== undefined && isReadable(live);
        if (isLive || active.length > 0) return { live: isLive, building: active };
        if (live) throw new AppError("search_unavailable", { reason: "the index is still to be made anew" });
        if (hasBeenThere) throw new AppError("database_damaged", { reason: "the search index is gone", name: prefix });
        const isMade = await make(firstName, prefix);
        if (isMade || (await look()).live) continue;
        throw new AppError("search_unavailable", {
          reason: "the index has lost its alias",
          name: prefix,
          index: firstName,
        });
      }
    },

    async isFilled(): Promise<boolean> {
      const { live } = await look();
      return live !== undefined && isReadable(live) && live.meta.filled;
    },

    async declareFilled(): Promise<void> {
      const { live } = await look();
      if (live) await note(live.name, { filled: true });
    },

    /** Makes one beside the one in use, and does away with all that were begun earlier. */
    async begin() {
      const id = `${String(clock.now()).padStart(13, "0")}-${randomBytes(3).toString("hex")}`;
      const [name, alias] = [`${prefix}-${id}`, `${prefix}-building-${id}`];
      const before = await look();
      if (before.live) isReadable(before.live);
      await make(name, alias);
      let notedAt = clock.now();
      // By the engine's clock.
      const { building, left } = await look();
      const own = building.find((one) => one.name === name);
      for (const one of building) if (own && isEarlier(one, own)) await abandon(one);
      for (const { name } of left) await remove(name);

      function gone(): AppError {
        return new AppError("job_cancelled", { reason: "The index is finished, abandoned, or made anew by another." });
      }

      return {
        alias,
        gone,
        abandon: () => abandon({ name, alias }),
        /** Tells others that it is being made still. */
        async keepAlive(): Promise<void> {
          if (clock.now() - notedAt < NOTED_EVERY_MS) return;
          notedAt = clock.now();
          await note(name, {});
        },
        /** In one step, it takes the place of the one in use, and that one is gone. */
        async takePlace(): Promise<void> {
          for (;;) {
            const { live, building } = await look();
            if (live?.name === name) return; // an answer was lost
            if (!building.some((one) => one.name === name)) throw gone();
            await note(name, { filled: true });
            await engine.ask({ method: "POST", path: `/${name}/_refresh`, answers: [404] });
            const { status } = await change([
              { add: { index: name, alias: prefix } },
              { remove: { index: name, alias, must_exist: true } },
              ...(live ? [{ remove_index: { index: live.name } }] : []),
            ]);
            if (status !== 404) return;
            // This one, or the one in use, has made way for another in the meantime.
          }
        },
      };
    },
  };
}

function isEarlier(one: KnownIndex, other: KnownIndex): boolean {
  return one.createdAt < other.createdAt || (one.createdAt === other.createdAt && one.name < other.name);
}
