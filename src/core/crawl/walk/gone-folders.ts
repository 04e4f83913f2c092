import { type Crawl, NO_COUNTS } from "../crawl.ts";
import type { CrawlStore, FolderOf } from "../crawl-store.ts";
import { above } from "../endpoints.ts";
import { goneIn } from "./folder.ts";
import type { Keeping } from "./keeping.ts";

const PROBLEMS_AT_ONCE = 1_000;

/**
 * Tells of the files in folders that the previous crawl listed and this one, when it has listed everything, has not met.
 * What lies in or below something that could not be read is not told to be gone. A folder that has been told of counts as
 * listed: it is not told of again. Memory: the names of one folder, and the paths of all problems.
 * @param unreachable endpoints of which nothing is told.
 */
export async function tellGoneFolders(
  store: Pick<CrawlStore, "problems" | "goneFolders" | "batchesOf">,
  crawl: Crawl,
  previous: Crawl,
  unreachable: ReadonlySet<number>,
  keeping: Pick<Keeping, "add">,
): Promise<void> {
  const unread = await unreadPaths(store, crawl);
  for await (const at of store.goneFolders(crawl.id, previous.id)) {
    if (unreachable.has(at.endpoint) || [...above(at.folder), at.folder].some((path) => unread.has(keyOf(at, path))))
      continue;
    const names: string[] = [];
    for await (const { files } of store.batchesOf(previous.id, at)) for (const { name } of files) names.push(name);
    if (names.length === 0) continue;
    await keeping.add({
      batches: goneIn(at, names),
      folders: [],
      listed: [at],
      problems: [],
      counts: NO_COUNTS,
      changes: { new: 0, changed: 0, same: 0, gone: names.length },
    });
  }
}

async function unreadPaths(store: Pick<CrawlStore, "problems">, { id }: Crawl): Promise<ReadonlySet<string>> {
  const paths = new Set<string>();
  for (let after = 0, more = true; more; ) {
    const page = await store.problems(id, after, PROBLEMS_AT_ONCE);
    for (const problem of page) paths.add(keyOf(problem, problem.path ?? ""));
    after = page.at(-1)?.number ?? after;
    more = page.length === PROBLEMS_AT_ONCE;
  }
  return paths;
}

const keyOf = ({ endpoint }: Pick<FolderOf, "endpoint">, path: string) => `${endpoint} ${path}`;
