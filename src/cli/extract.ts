import type { Command } from "commander";
import type { Extraction, Extractor } from "../sdk/index.ts";
import { type CliContext, command, commandGroup, count, type JsonOption, take, withExamples } from "./command.ts";
import { extraction } from "./crawl.ts";
import { endedExtraction, extractionLines, requireDescribed } from "./crawl-display.ts";
import { table } from "./terminal.ts";

interface StartOptions extends JsonOption {
  readonly extractor?: readonly string[];
  readonly records?: string;
  readonly wait?: true;
}

export function extractCommand(context: CliContext): Command {
  const { terminal } = context;

  function show(one: Extraction, { json }: JsonOption): void {
    if (json) terminal.printJson(one);
    else for (const line of extractionLines(one)) terminal.print(line);
  }

  async function wait(id: string, options: JsonOption): Promise<void> {
    const waiting = { client: context.server().client, terminal, signal: context.interruptible() };
    const ended = await endedExtraction(waiting, id);
    show(ended, options);
    requireDescribed(ended);
  }

  function showExtractors(extractors: readonly Extractor[], { json }: JsonOption): void {
    if (json) for (const one of extractors) terminal.printJson(one);
    else {
      const rows = extractors.map(({ name, version, takes, isBuiltIn }) => [
        name,
        version,
        isBuiltIn ? "built in" : "registered",
        [...takes.mediaTypes, ...takes.extensions.map((extension) => `.${extension}`)].join(" "),
      ]);
      for (const line of table(["NAME", "VERSION", "ORIGIN", "TAKES"], rows)) terminal.print(line);
    }
  }

  const start = command("start", "Describe what a crawl found, while it still runs or after; start may be left out.")
    .argument("<crawl>", "the crawl")
    .option("--extractor <name...>", "with these only")
    .option("--records <folder>", "folder of the server that records are also written to, a file for each family")
    .option("--wait", "end when it has ended")
    .action(async (crawl: string, options: StartOptions) => {
      const started = await context.server().client.extractions.start(crawl, extraction(options));
      if (options.wait) return wait(started.id, options);
      show(started, options);
    });

  const status = command("status", "Show one extraction: how far it is.")
    .argument("<id>", "the extraction")
    .action(async (id: string, options: JsonOption) =>
      show(await context.server().client.extractions.get(id), options),
    );

  const waiting = command("wait", "Follow an extraction to its end; the exit code says how it ended.")
    .argument("<id>", "the extraction")
    .action((id: string, options: JsonOption) => wait(id, options));

  const records = command("records", "List the records of an extraction.")
    .argument("<id>", "the extraction")
    .option("--limit <number>", "how many at most; all when not given", count)
    .action(async (id: string, { json, limit }: JsonOption & { readonly limit?: number }) => {
      const { extractions } = context.server().client;
      for await (const one of take(extractions.records(id, { limit: Math.min(limit ?? 1000, 1000) }), limit)) {
        const { number, extractor, files, failure } = one;
        if (json) terminal.printJson(one);
        else
          terminal.print(
            `${String(number).padStart(8)}  ${extractor.padEnd(16)}  ${files.map(({ path }) => path).join(", ")}${failure ? `  ${failure.reason}: ${failure.message}` : ""}`,
          );
      }
    });

  const cancel = command("cancel", "End an extraction; its records stay.")
    .argument("<id>", "the extraction")
    .action(async (id: string, options: JsonOption) =>
      show(await context.server().client.extractions.cancel(id), options),
    );

  const list = command("list", "List the extractors that there are.").action(async (options: JsonOption) =>
    showExtractors(await context.server().client.extractions.extractors(), options),
  );

  const register = command("register", "Register extractors that lie on the server, if they pass their checks.")
    .argument("[folder]", "of one, below LONGSHORE_EXTRACTORS; all that lie there when not given")
    .action(async (folder: string | undefined, options: JsonOption) =>
      showExtractors(await context.server().client.extractions.register(folder), options),
    );

  const others = [status, waiting, records, cancel, list, register];
  const group = commandGroup("extract", "Describe what crawls found: tables, texts, images, code and more.", []);
  group.addCommand(start, { isDefault: true });
  for (const one of others) group.addCommand(one);
  return withExamples(group, [
    ["longshore extract CRAWL --wait", "with all extractors"],
    ["longshore extract CRAWL --extractor image-headers --records run-17", "images only, also as files"],
    ["longshore extract records ID --json | jq .data", "what was found"],
    ["longshore extract list", "extractors, and what they take"],
  ]);
}
