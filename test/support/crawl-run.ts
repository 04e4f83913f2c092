/**
 * A process that works on crawls until it is killed: `node crawl-run.ts <SQLite file> <root> <lease in ms>`. It is a little
 * slow, so that there are moments to kill it in.
 */
import { setTimeout } from "node:timers/promises";
import { folderEndpoints, openEndpoints } from "../../src/adapters/source/open-endpoint.ts";
import type { Source } from "../../src/core/crawl/source.ts";
import { openCrawlServices } from "./crawling.ts";

const [path = "", root = "", leaseMs] = process.argv.slice(2);
const endpoints = openEndpoints({ file: folderEndpoints({ roots: [root] }) });

function slow(source: Source): Source {
  return {
    ...source,
    async *walk(options) {
      let listed = 0;
      for await (const listing of source.walk(options)) {
        listed += 1 + listing.entries.length;
        if (listed > 1_000) {
          await setTimeout(100);
          listed = 0;
        }
        yield listing;
      }
    },
  };
}

const { work } = await openCrawlServices({
  path,
  leaseMs: Number(leaseMs),
  endpoints: { ...endpoints, open: async (endpoint) => slow(await endpoints.open(endpoint)) },
});
work();
