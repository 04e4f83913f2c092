import type { SearchDocument, SearchIndex } from "../../core/catalogue/search-index.ts";
import type { Clock } from "../../core/clock.ts";
import { AppError } from "../../core/errors.ts";
import type { Exchange } from "../../core/outbound/exchange.ts";
import { AliasGone, bulk, type Change } from "./opensearch/bulk.ts";
import { type Json, searchEngine } from "./opensearch/engine.ts";
import { searchIndices } from "./opensearch/indices.ts";
import { EVERYTHING, searchBody, searchPage, suggestBody, suggestions } from "./opensearch/search-request.ts";
import { storedDocument } from "./opensearch/stored-document.ts";

export interface OpenSearchParts {
  /** Of the engine, perhaps with `user:password@`, without a slash at the end. */
  readonly url: string;
  /** The alias that searches go to, and what names of indexes begin with. */
  readonly prefix: string;
  /** That an index is made with. */
  readonly shards?: number;
  /** Its connections are closed with the index. */
  readonly exchange: Exchange;
  readonly clock: Clock;
}

/** An index that has been replaced while something was written to it is looked for again. */
const LOOKS = 5;
/** Stands for a removed document in an index that is being made: it is there already, so it is not created. */
const REMOVED = "{}";

/**
 * The search index in OpenSearch or Elasticsearch, shared by all processes that have the same address. The first use makes it.
 *
 * The engine changes documents one by one: of a `put` that fails, some may be there, and whoever puts it again has all.
 * An index that has vanished is `database_damaged`, which `rebuild` mends.
 */
export function openSearchIndex(parts: OpenSearchParts): SearchIndex & { close(): Promise<void> } {
  const { prefix, shards = 1, exchange, clock } = parts;
  const engine = searchEngine({ url: parts.url, exchange, clock });
  const indices = searchIndices({ engine, prefix, shards, clock });
  let isThere = false;

  /** @param inBuilding what becomes of it in an index that is being made. */
  async function changeAll(inLive: readonly Change[], inBuilding: (alias: string) => readonly Change[]): Promise<void> {
    if (inLive.length === 0) return;
    for (let looks = 1; ; looks++) {
      const { live, building } = await indices.inUse();
      try {
        return await bulk(engine, clock, [...(live ? inLive : []), ...building.flatMap(inBuilding)], true);
      } catch (error) {
        if (!(error instanceof AliasGone)) throw error;
        if (looks === LOOKS) throw new AppError("search_unavailable", { reason: error.message }, { cause: error });
      }
    }
  }

  async function ask(operation: string, body: Json): Promise<Json> {
    if (!isThere) await assertThere();
    const path = `/${prefix}/${operation}`;
    const { status, document } = await engine.ask({ method: "POST", path, body, answers: [404] });
    if (status !== 404) return document;
    await assertThere();
    return (await engine.ask({ method: "POST", path, body })).document;
  }

  async function assertThere(): Promise<void> {
    const { live } = await indices.inUse();
    if (!live) throw new AppError("search_unavailable", { reason: "the index is being made anew" });
    isThere = true;
  }

  return {
    async put(documents) {
      const stored = documents.map((document) => ({ key: document.key, document: storedDocument(document) }));
      const filed = (alias: string) => stored.map((one): Change => ({ action: "index", alias, ...one }));
      await changeAll(filed(prefix), filed);
    },

    async remove(keys) {
      await changeAll(
        keys.map((key) => ({ action: "delete", alias: prefix, key })),
        (alias) => keys.map((key) => ({ action: "index", alias, key, document: REMOVED })),
      );
    },

    async search(request) {
      return searchPage(await ask(SEARCH, searchBody(request)), request);
    },

    async suggest(field, prefix, owner, limit) {
      return suggestions(await ask(SEARCH, suggestBody(field, prefix, owner, limit)), field, limit);
    },

    isFilled: indices.isFilled,

    async declareFilled() {
      await indices.inUse();
      await indices.declareFilled();
    },

    async rebuild() {
      const made = await indices.begin();
      let isOver = false;

      return {
        async put(documents: readonly SearchDocument[]) {
          if (isOver) throw made.gone();
          await made.keepAlive();
          const changes = documents.map((document): Change => {
            return { action: "create", alias: made.alias, key: document.key, document: storedDocument(document) };
          });
          await bulk(engine, clock, changes, false).catch((error: unknown) => {
            throw error instanceof AliasGone ? made.gone() : error;
          });
        },
        async finish() {
          if (isOver) throw made.gone();
          await made.takePlace();
          isOver = true;
        },
        async abandon() {
          if (isOver) return;
          isOver = true;
          await made.abandon();
        },
      };
    },

    async counts() {
      const { count } = await ask("_count", { query: EVERYTHING });
      const path = `/${prefix}/_stats/store?filter_path=_all.total.store.size_in_bytes`;
      const { document } = await engine.ask({ method: "GET", path });
      const all = document._all as { readonly total: { readonly store: { readonly size_in_bytes: number } } };
      return { documents: Number(count), sizeBytes: all.total.store.size_in_bytes };
    },

    async close() {
      engine.close();
      exchange.close();
    },
  };
}

/** Half an index would be an answer, too. */
const SEARCH = "_search?allow_partial_search_results=false&timeout=25s";
