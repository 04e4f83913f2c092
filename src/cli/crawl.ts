import { resolve } from "node:path";
import { type Command, Option } from "commander";
import type { CrawlDetail, GrouperName, NewExtraction } from "../sdk/index.ts";
import { type CliContext, command, commandGroup, count, type JsonOption, take, withExamples } from "./command.ts";
import { crawlLines, endedCrawl, fileLine, requireDescribed, requireWhole } from "./crawl-display.ts";
import { table } from "./terminal.ts";

const GROUPERS: readonly GrouperName[] = [
  "file_is_group",
  "extension",
  "directory",
  "matio",
  "stem",
  "sequence",
  "regex",
];

interface StartOptions extends JsonOption {
  readonly folder?: readonly string[];
  readonly grouper?: GrouperName;
  readonly pattern?: string;
  readonly hidden: boolean;
  readonly since?: string;
  readonly extract?: true;
  readonly extractor?: readonly string[];
  readonly records?: string;
  readonly wait?: true;
}

interface LimitOption extends JsonOption {
  readonly limit?: number;
}

export function crawlCommand(context: CliContext): Command {
  const { terminal } = context;

  function show(crawl: CrawlDetail, { json }: JsonOption): void {
    if (json) terminal.printJson(crawl);
    else for (const line of crawlLines(crawl)) terminal.print(line);
  }

  /** Waits for a crawl and its extractions and shows it; the exit code says whether everything was found. */
  async function wait(id: string, options: JsonOption): Promise<void> {
    const waiting = { client: context.server().client, terminal, signal: context.interruptible() };
    const crawl = await endedCrawl(waiting, id, { withExtractions: true });
    show(crawl, options);
    requireWhole(crawl);
    for (const extraction of crawl.extractions) requireDescribed(extraction);
  }

  const start = command("start", "Have folders and other stores walked by the server.")
    .argument(
      "<url...>",
      "file:///folder or a path, https://host/index/, archive:, s3://bucket/prefix, …",
      storeAddress,
    )
    .option("--folder <path...>", "only these, below each address")
    .addOption(new Option("--grouper <name>", "which files belong together").choices(GROUPERS))
    .option("--pattern <regex>", "of the grouper regex: files whose named groups agree")
    .option("--no-hidden", "leave out names that begin with a dot")
    .option("--since <crawl>", "tell what is new, changed and gone against this crawl")
    .option("--extract", "describe the files while the crawl goes on")
    .option("--extractor <name...>", "with these only; implies --extract")
    .option("--records <folder>", "folder of the server for records as files; implies --extract")
    .option("--wait", "end when it has ended, and what is described")
    .action(async (urls: readonly string[], options: StartOptions) => {
      const { folder: folders, grouper, pattern, hidden, since: previous, extract, extractor, records } = options;
      const how = {
        ...(folders && { folders }),
        ...(grouper && { grouper }),
        ...(pattern !== undefined && { pattern }),
        ...(hidden ? {} : { hidden }),
      };
      const isExtracted = extract || extractor !== undefined || records !== undefined;
      const crawl = await context.server().client.crawls.start({
        endpoints: urls.map((url) => ({ url, ...how })),
        ...(previous !== undefined && { previous }),
        ...(isExtracted && { extract: extraction({ extractor, records }) }),
      });
      if (options.wait) return wait(crawl.id, options);
      show(crawl, options);
    });

  const status = command("status", "Show one crawl: how it stands, what it found, how far it is described.")
    .argument("<id>", "the crawl")
    .action(async (id: string, options: JsonOption) => show(await context.server().client.crawls.get(id), options));

  const waiting = command("wait", "Follow a crawl and its extractions to the end; the exit code says how it ended.")
    .argument("<id>", "the crawl")
    .action((id: string, options: JsonOption) => wait(id, options));

  const list = command("list", "List crawls, newest first.")
    .option("--limit <number>", "how many at most", count, 50)
    .action(async ({ json, limit = 50 }: LimitOption) => {
      const rows: (string | number)[][] = [];
      const { crawls } = context.server().client;
      for await (const one of take(crawls.list({ limit: Math.min(limit, 1000) }), limit)) {
        const { counts, endpoints } = one;
        const where = `${endpoints[0]?.url}${endpoints.length > 1 ? ` and ${endpoints.length - 1} more` : ""}`;
        if (json) terminal.printJson(one);
        else rows.push([one.id, one.status, counts.files, counts.errors, one.createdAt, where]);
      }
      if (json) return;
      for (const line of table(["ID", "STATUS", "FILES", "PROBLEMS", "CREATED", "WHERE"], rows)) terminal.print(line);
    });

  const files = command("files", "List what a crawl found, in the order in which it was found; uses nothing up.")
    .argument("<id>", "the crawl")
    .option("--limit <number>", "how many at most; all when not given, to the end of the crawl", count)
    .action(async (id: string, { json, limit }: LimitOption) => {
      const found = context.server().client.crawls.files(id, {
        limit: Math.min(limit ?? 1000, 1000),
        signal: context.interruptible(),
      });
      // Printed as they come: there may be millions.
      for await (const file of take(found, limit)) {
        if (json) terminal.printJson(file);
        else terminal.print(fileLine(file));
      }
    });

  const flush = command("flush", "Take the next files of a crawl: what was given out is not given again.")
    .argument("<id>", "the crawl")
    .option("--consumer <name>", "whose place in the feed it is", "default")
    .option("--limit <number>", "how many at most, up to 1000", count, 100)
    .action(async (id: string, { json, ...options }: JsonOption & { consumer: string; limit: number }) => {
      const { items, queueEmpty } = await context.server().client.crawls.flush(id, options);
      if (json) return terminal.printJson({ items, queueEmpty });
      for (const file of items) terminal.print(fileLine(file));
      terminal.note(queueEmpty ? "That was all." : "There may be more.");
    });

  const problems = command("problems", "List what a crawl could not list or read.")
    .argument("<id>", "the crawl")
    .option("--limit <number>", "how many at most; all when not given", count)
    .action(async (id: string, { json, limit }: LimitOption) => {
      const { crawls } = context.server().client;
      for await (const one of take(crawls.problems(id, { limit: Math.min(limit ?? 1000, 1000) }), limit)) {
        if (json) terminal.printJson(one);
        else terminal.print(`${one.path ?? ""}: ${one.message}`);
      }
    });

  const cancel = command("cancel", "End a crawl; what it has found stays.")
    .argument("<id>", "the crawl")
    .action(async (id: string, options: JsonOption) => {
      const { crawls } = context.server().client;
      await crawls.cancel(id);
      show(await crawls.get(id), options);
    });

  const remove = command("rm", "Forget crawls, with all they found and its records; the stores stay as they are.")
    .argument("<id...>", "the crawls")
    .action(async (ids: readonly string[], { json }: JsonOption) => {
      for (const id of ids) {
        await context.server().client.crawls.remove(id);
        if (json) terminal.printJson({ id, removed: true });
        else terminal.print(`removed ${id}`);
      }
    });

  const all = [start, status, waiting, list, files, flush, problems, cancel, remove];
  const crawl = commandGroup("crawl", "Find out what stores hold: walk them, and have the files described.", all);
  return withExamples(crawl, [
    ["longshore crawl start /srv/data --wait", "folder of the server, below LONGSHORE_CRAWL_ROOTS"],
    ["longshore crawl start /srv/scans --grouper sequence --extract --wait", "frames together, and described"],
    ["longshore crawl start /srv/data --since ID --wait", "what is new, changed and gone since then"],
    ["longshore crawl files ID --json | jq -r 'select(.change == \"new\").path'", "the new ones"],
    ["longshore crawl flush ID --consumer mirror --limit 1000", "the next thousand, for this consumer"],
  ]);
}

/** A path is one of the server; a relative one begins here, which is of use where the server is this machine. */
function storeAddress(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, /^[a-z][a-z0-9+.-]+:/i.test(text) ? text : resolve(text)];
}

export function extraction({
  extractor,
  records,
}: {
  readonly extractor?: readonly string[] | undefined;
  readonly records?: string | undefined;
}): NewExtraction {
  return {
    ...(extractor && { extractors: extractor }),
    ...(records !== undefined && { recordsFolder: records }),
  };
}
