import type { z } from "zod";
import { refuse, text, whole } from "./setting-forms.ts";

const DEFAULT_NAME = "longshore";
/** What OpenSearch and Elasticsearch take as the name of an index, with room for what is added to it. */
const NAME = /^[a-z0-9][a-z0-9_.-]{0,99}$/;

/** Settings of the search engine; a part of `SETTINGS` in `config.ts`. */
export const SEARCH_SETTINGS = {
  LONGSHORE_SEARCH_URL: text
    .transform(engineAddress)
    .optional()
    .describe(
      "OpenSearch or Elasticsearch to search with: https://user:password@host:9200/name, where names of its indexes begin with name (longshore when there is none). Without it, the database finds what is searched for.",
    )
    .meta({ secret: true }),
  LONGSHORE_SEARCH_SHARDS: text
    .transform((input, context) => whole(input, context, { most: 1000 }))
    .prefault("1")
    .describe(
      "Shards of an index that is made in OpenSearch or Elasticsearch; about one for each 20 million documents.",
    ),
} as const;

export function searchConfig(e: z.output<z.ZodObject<typeof SEARCH_SETTINGS>>) {
  return { searchEngine: e.LONGSHORE_SEARCH_URL, searchShards: e.LONGSHORE_SEARCH_SHARDS } as const;
}

/** The engine's own address, with the credentials, and the name that follows it. */
function engineAddress(input: string, context: z.RefinementCtx): { readonly url: string; readonly prefix: string } {
  const url = URL.canParse(input) ? new URL(input) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    return refuse(context, "expected a URL that begins with http:// or https://");
  if (url.search !== "" || url.hash !== "") return refuse(context, "expected a URL without ? and #");
  const [, path = "", name = ""] = /^(.*)\/([^/]*)$/.exec(url.pathname) ?? [];
  const prefix = name === "" ? DEFAULT_NAME : name;
  if (!NAME.test(prefix))
    return refuse(context, "expected a name of small letters, digits, _, . and -, which begins with a letter or digit");
  url.pathname = path;
  return { url: url.href.replace(/\/$/, ""), prefix };
}
