import { randomBytes } from "node:crypto";
import { hasScope, maySee, type Principal } from "../access/access.ts";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { type SavedQueryId, savedQueryId } from "../ids.ts";
import { parseQuery } from "./query.ts";
import type { SavedQueries, SavedQuery } from "./saved-queries.ts";
import type { SearchDocument, SearchIndex, SearchPage, SearchRequest } from "./search-index.ts";

export interface SearchQuestion extends Omit<SearchRequest, "query" | "owner"> {
  /** As people write it: see docs/formats/queries.md. Nothing at all finds everything. */
  readonly query: string;
}

export interface NewSavedQuery {
  readonly name: string;
  readonly query: string;
  readonly types: readonly SearchDocument["type"][];
}

/** Finds what the catalogue knows: of one's own, or everybody's for operators. */
export interface Search {
  /** @throws AppError query_invalid with the column, request_invalid for a bad cursor, search_unavailable. */
  search(principal: Principal, question: SearchQuestion): Promise<SearchPage>;
  /** Values of a field that begin so. @throws AppError search_unavailable. */
  suggest(principal: Principal, field: string, prefix: string, limit: number): Promise<readonly string[]>;
  /** @throws AppError query_invalid, saved_query_exists for a name that this caller has given already. */
  save(principal: Principal, saved: NewSavedQuery): Promise<SavedQuery>;
  /** One's own, by name. */
  listSaved(principal: Principal): Promise<readonly SavedQuery[]>;
  /** @throws AppError saved_query_unknown, also for one that this caller may not see. */
  getSaved(principal: Principal, id: SavedQueryId): Promise<SavedQuery>;
  /** What is left out stays. @throws AppError saved_query_unknown, query_invalid, saved_query_exists. */
  changeSaved(principal: Principal, id: SavedQueryId, change: Partial<NewSavedQuery>): Promise<SavedQuery>;
  /** @throws AppError saved_query_unknown. */
  removeSaved(principal: Principal, id: SavedQueryId): Promise<void>;
}

export interface SearchParts {
  readonly index: Pick<SearchIndex, "search" | "suggest">;
  readonly savedQueries: SavedQueries;
  readonly clock: Clock;
}

export function searchService({ index, savedQueries, clock }: SearchParts): Search {
  async function visible(principal: Principal, id: SavedQueryId): Promise<SavedQuery> {
    const saved = await savedQueries.get(id);
    if (!saved || !maySee(principal, saved.owner)) throw new AppError("saved_query_unknown", { id });
    return saved;
  }

  return {
    async search(principal, { query: text, ...question }) {
      const query = parseQuery(text);
      const owner = ownerSeen(principal);
      return index.search({ ...question, ...(query && { query }), ...(owner !== undefined && { owner }) });
    },

    suggest: (principal, field, prefix, limit) => index.suggest(field, prefix, ownerSeen(principal), limit),

    async save(principal, { name, query, types }) {
      parseQuery(query);
      const id = savedQueryId(randomBytes(16).toString("hex"));
      const saved = { id, owner: principal.name, name, query, types, createdAt: clock.now() };
      await savedQueries.create(saved);
      return saved;
    },

    listSaved: (principal) => savedQueries.list(principal.name),
    getSaved: visible,

    async changeSaved(principal, id, change) {
      await visible(principal, id);
      if (change.query !== undefined) parseQuery(change.query);
      const changed = await savedQueries.replace(id, change);
      if (!changed) throw new AppError("saved_query_unknown", { id });
      return changed;
    },

    async removeSaved(principal, id) {
      await visible(principal, id);
      if (!(await savedQueries.remove(id))) throw new AppError("saved_query_unknown", { id });
    },
  };
}

/** `undefined` for those who see what everybody has. */
function ownerSeen(principal: Principal): string | undefined {
  return hasScope(principal, "operate") ? undefined : principal.name;
}
