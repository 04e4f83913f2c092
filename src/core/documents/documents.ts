import type { Principal } from "../access/access.ts";
import { requireScope } from "../access/access.ts";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Document, DocumentIndex, DocumentOutcome, DocumentWrite, Exactness, IndexSource } from "./document.ts";
import type { Mapping } from "./mapping.ts";
import type { OwnIndices } from "./own-indices.ts";
import type { DocumentQuery } from "./query.ts";
import { countDocuments, type DocumentSearch, type Found, searchDocuments } from "./search.ts";

/** Documents in named indices, whatever they are made of. */
export interface Documents {
  /**
   * @param names of indices; `*` in one stands for anything, and `_all` for all. None: all.
   * @throws AppError document_index_unknown for a plain name of none.
   */
  indices(names: readonly string[]): Promise<readonly DocumentIndex[]>;
  /** @throws AppError document_index_exists, document_index_invalid, scope_missing. */
  createIndex(principal: Principal, name: string, mapping: Mapping): Promise<void>;
  /** Adds fields. @throws AppError document_index_unknown, document_index_read_only, document_index_invalid, scope_missing. */
  extendIndex(principal: Principal, name: string, added: Mapping): Promise<void>;
  /** With its documents. @throws AppError document_index_unknown, document_index_read_only, scope_missing. */
  removeIndex(principal: Principal, name: string): Promise<void>;
  /** @throws AppError document_index_unknown. */
  get(principal: Principal, index: string, id: string): Promise<Document | undefined>;
  /**
   * Makes the index when there is none and something is put into it.
   * @returns an outcome for each, in their order.
   * @throws AppError document_index_unknown, document_index_read_only, document_index_invalid, scope_missing.
   */
  write(
    principal: Principal,
    index: string,
    writes: readonly DocumentWrite[],
    exactness: Exactness,
  ): Promise<readonly DocumentOutcome[]>;
  /** @throws AppError document_query_invalid, document_index_unknown. */
  search(principal: Principal, names: readonly string[], search: DocumentSearch, exactness: Exactness): Promise<Found>;
  /** @throws AppError document_query_invalid, document_index_unknown. */
  count(principal: Principal, names: readonly string[], query: DocumentQuery, exactness: Exactness): Promise<number>;
}

/** @param sources beside the scripts' own indices; of several that have a name the first counts. */
export function documentService(own: OwnIndices, sources: readonly IndexSource[], clock: Clock): Documents {
  const all = [...sources, own];

  async function find(name: string): Promise<DocumentIndex | undefined> {
    for (const source of all) {
      const found = await source.find(name);
      if (found) return found;
    }
    return undefined;
  }

  async function list(): Promise<readonly DocumentIndex[]> {
    const listed = (await Promise.all(all.map((source) => source.list()))).flat();
    const byName = new Map(listed.toReversed().map((index) => [index.name, index]));
    return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async function existing(name: string): Promise<DocumentIndex> {
    const found = await find(name);
    if (!found) throw new AppError("document_index_unknown", { index: name });
    return found;
  }

  async function indices(names: readonly string[]): Promise<readonly DocumentIndex[]> {
    const wanted = names.length === 0 ? ["_all"] : names;
    const found = new Map<string, DocumentIndex>();
    for (const name of wanted) {
      const some =
        name === "_all" || name.includes("*") ? (await list()).filter(namedLike(name)) : [await existing(name)];
      for (const index of some) found.set(index.name, index);
    }
    return [...found.values()];
  }

  async function requireOwn(name: string): Promise<void> {
    await existing(name);
    if (!(await own.find(name)) || (await isOthers(name)))
      throw new AppError("document_index_read_only", { index: name });
  }

  const isOthers = async (name: string) =>
    (await Promise.all(sources.map((source) => source.find(name)))).some((found) => found !== undefined);

  async function createIndex(principal: Principal, name: string, mapping: Mapping): Promise<void> {
    requireScope(principal, "operate");
    if (await isOthers(name)) throw new AppError("document_index_exists", { index: name });
    await own.create(name, mapping);
  }

  /** Two that put the first document into an index at once both find it made. */
  async function made(principal: Principal, name: string): Promise<DocumentIndex> {
    await createIndex(principal, name, {}).catch((error) => {
      if (!(error instanceof AppError && error.code === "document_index_exists")) throw error;
    });
    return existing(name);
  }

  return {
    indices,
    createIndex,
    async extendIndex(principal, name, added) {
      requireScope(principal, "operate");
      await requireOwn(name);
      await own.extend(name, added);
    },
    async removeIndex(principal, name) {
      requireScope(principal, "operate");
      await requireOwn(name);
      await own.remove(name);
    },
    async get(principal, name, id) {
      const [found] = await (await existing(name)).documents(principal, [id]);
      return found;
    },
    async write(principal, name, writes, exactness) {
      const makes = writes.some(
        (write) => write.op !== "delete" && !(write.op === "update" && write.upsert === undefined),
      );
      const index = (await find(name)) ?? (makes ? await made(principal, name) : await existing(name));
      if (!index.write) throw new AppError("document_index_read_only", { index: name });
      return index.write(principal, writes, exactness);
    },
    search: async (principal, names, search, { strict }) =>
      searchDocuments(principal, await indices(names), search, { now: clock.now(), strict }),
    count: async (principal, names, query, { strict }) =>
      countDocuments(principal, await indices(names), query, { now: clock.now(), strict }),
  };
}

function namedLike(pattern: string): (index: DocumentIndex) => boolean {
  const [start = "", ...rest] = (pattern === "_all" ? "*" : pattern).split("*");
  const end = rest.at(-1) ?? "";
  return ({ name }) => {
    if (!name.startsWith(start) || !name.endsWith(end) || name.length < start.length + end.length) return false;
    let from = start.length;
    return rest.slice(0, -1).every((part) => {
      const at = name.indexOf(part, from);
      from = at + part.length;
      return at >= 0 && from <= name.length - end.length;
    });
  };
}
