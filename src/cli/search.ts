import { type Command, InvalidArgumentError, Option } from "commander";
import {
  type FoundType,
  LongshoreError,
  type SavedQuery,
  type SearchHit,
  type SearchListing,
  type SearchPage,
} from "../sdk/index.ts";
import { bytesText, countText, durationText } from "./amounts.ts";
import { readyCart } from "./cart-display.ts";
import { type CliContext, command, commandGroup, count, type JsonOption, withExamples } from "./command.ts";
import { table } from "./terminal.ts";

const TYPES: readonly FoundType[] = ["file", "transaction", "record"];
const MAX_PAGE = 1000;

interface SearchCommandOptions extends JsonOption {
  readonly type?: readonly FoundType[];
  readonly facet?: readonly string[];
  readonly order?: "relevance" | "newest";
  readonly limit: number;
  readonly cart?: string;
  readonly save?: string;
  readonly saved?: string;
}

/** What is looked for: typed now, or saved earlier. */
interface Question {
  readonly query: string;
  readonly types: readonly FoundType[];
}

export function searchCommand(context: CliContext): Command {
  const { terminal } = context;

  async function question(words: readonly string[], { type = [], saved }: SearchCommandOptions): Promise<Question> {
    if (saved === undefined) return { query: words.join(" "), types: type };
    if (words.length > 0 || type.length > 0)
      throw new LongshoreError("usage", "--saved has a query and types of its own: give nothing beside it.");
    return savedNamed(context, saved);
  }

  const search = command("search", "Find files, transactions and records.")
    .argument("[query...]", "words and fields, such as: raw project:1234a width:>1000; everything when left out")
    .option("--type <type>", `only these: ${TYPES.join(", ")}; may be given several times`, collectType)
    .addOption(new Option("--order <order>", "what comes first").choices(["relevance", "newest"]))
    .option("--limit <number>", "how many hits at most", count, 20)
    .option("--facet <field>", "count the field's most frequent values; may be given several times", collect)
    .option("--cart <name>", "put every file that is found into a cart of this name, however many there are")
    .option("--save <name>", "keep the query under this name")
    .option("--saved <name>", "ask a query again that was kept")
    .action(async (words: readonly string[], options: SearchCommandOptions) => {
      const { json, limit, order, facet, save, cart: cartName } = options;
      const { client } = context.server();
      const signal = context.interruptible();
      const asked = await question(words, options);
      if (save !== undefined) {
        const { id } = await client.search.saved.create({ ...asked, name: save });
        terminal.note(`saved as ${save} (${id})`);
      }
      if (cartName !== undefined) {
        const made = await client.carts.create({ name: cartName, search: searchOf(asked) }, signal);
        const cart = made.status === "error" ? await readyCart({ client, terminal, signal }, made.id) : made;
        if (json) return terminal.printJson(cart);
        terminal.print(`${cart.id}  ${cart.status}  ${countText(cart.files, "file")}, ${bytesText(cart.bytes)}`);
        return terminal.note(`longshore get ${cart.id}`);
      }
      const listing = client.search.find(asked.query, {
        ...(asked.types.length > 0 ? { types: asked.types } : {}),
        ...(order === undefined ? {} : { order }),
        ...(facet === undefined ? {} : { facets: facet }),
        limit: Math.min(limit, MAX_PAGE),
        signal,
      });
      await showHits(listing, limit, json === true);
    });

  /** Printed as they come: there may be a million. */
  async function showHits(listing: SearchListing, limit: number, json: boolean): Promise<void> {
    const first = await listing.page();
    let shown = 0;
    for (let page: SearchPage | undefined = first; page; ) {
      for (const hit of page.items.slice(0, limit - shown)) {
        if (json) terminal.printJson(hit);
        else for (const line of hitLines(hit)) terminal.print(line);
        shown += 1;
      }
      page = page.next === null || shown >= limit ? undefined : await listing.page(page.next);
    }
    const { total, isLowerBound, facets } = first;
    const hasFacets = Object.keys(facets).length > 0;
    if (json) {
      if (hasFacets) terminal.printJson({ total, isLowerBound, facets });
      return;
    }
    for (const [field, values] of Object.entries(facets)) {
      const rows = values.map(({ value, count: hits }) => [value, hits]);
      terminal.print("");
      for (const line of table([field.toUpperCase(), "HITS"], rows)) terminal.print(line);
    }
    const known = `${isLowerBound ? "more than " : ""}${countText(total, "hit")}`;
    terminal.note(shown < total || isLowerBound ? `${shown.toLocaleString("en")} of ${known}` : known);
  }

  return withExamples(search, [
    ["longshore search spectrum project:1234a", "files, transactions and records with the word, of the project"],
    ["longshore search 'type:image width:>1000' --facet instrument", "large images, and which instruments made them"],
    ["longshore search --type file 'path:run-7/*' --cart run-7", "a cart of whatever is found"],
    ["longshore search 'created:>=2026-01' --save new && longshore search --saved new", "a query to ask again"],
  ]).addHelpText("after", "\nMore on queries: docs/formats/queries.md.");
}

export function queriesCommand(context: CliContext): Command {
  const { terminal } = context;

  const list = command("list", "List one's own saved queries, by name.").action(async ({ json }: JsonOption) => {
    const rows: string[][] = [];
    for await (const saved of context.server().client.search.saved.list()) {
      if (json) terminal.printJson(saved);
      else rows.push([saved.name, saved.types.join(", "), saved.query]);
    }
    if (json) return;
    for (const line of table(["NAME", "TYPES", "QUERY"], rows)) terminal.print(line);
  });

  const remove = command("rm", "Forget saved queries.")
    .argument("<name...>", "the queries")
    .action(async (names: readonly string[], { json }: JsonOption) => {
      for (const name of names) {
        const { id } = await savedNamed(context, name);
        await context.server().client.search.saved.remove(id);
        if (json) terminal.printJson({ id, name, removed: true });
        else terminal.print(`removed ${name}`);
      }
    });

  const queries = commandGroup("queries", "Look at saved queries; longshore search saves and asks them.", [
    list,
    remove,
  ]);
  return withExamples(queries, [["longshore queries list", "names, and what they stand for"]]);
}

export function reindexCommand(context: CliContext): Command {
  const { terminal } = context;

  const reindex = command("reindex", "Make the search index anew from the database; searches go on meanwhile.").action(
    async ({ json }: JsonOption) => {
      const { client } = context.server();
      const { rebuild, ...index } = await client.search.reindex({
        signal: context.interruptible(),
        onProgress({ rebuild: so }) {
          if (so) terminal.progress(`  ${so.done.toLocaleString("en")} of about ${countText(so.total, "document")}`);
        },
        onRetry: (error, pauseMs) => terminal.note(`  ${error.message} Trying again in ${durationText(pauseMs)}.`),
      });
      if (rebuild === null)
        throw new LongshoreError("search_unavailable", "The server was started anew meanwhile: ask it again.");
      if (rebuild.error) throw new LongshoreError(rebuild.error.code, rebuild.error.message);
      if (json) return terminal.printJson({ ...index, rebuild });
      const tookMs = Date.parse(rebuild.finishedAt ?? rebuild.startedAt) - Date.parse(rebuild.startedAt);
      terminal.print(
        `indexed  ${countText(index.documents, "document")}, ${bytesText(index.sizeBytes)}, in ${durationText(tookMs)}`,
      );
    },
  );
  return withExamples(reindex, [["longshore reindex", "after the database was restored from a copy, say"]]).addHelpText(
    "after",
    "\nA server does it, so one has to run; it goes on when this is interrupted. A server that finds no index makes one by\n" +
      "itself.",
  );
}

async function savedNamed(context: CliContext, name: string): Promise<SavedQuery> {
  for await (const saved of context.server().client.search.saved.list()) if (saved.name === name) return saved;
  throw new LongshoreError("saved_query_unknown", `No saved query is called ${name}; see longshore queries list.`);
}

/** The types as a part of the query. */
function searchOf({ query, types }: Question): string {
  const any = types.map((type) => `type:${type}`).join(" OR ");
  return [query.trim() === "" ? "" : `(${query})`, any && `(${any})`].filter((part) => part !== "").join(" ");
}

function hitLines({ id, title, highlight, fields }: SearchHit): string[] {
  const size = fields.size?.find((value) => typeof value === "number");
  const text = highlight?.map((part) => (part.isMatch ? `[${part.text}]` : part.text)).join("") ?? "";
  return [
    `${id}  ${title}${size === undefined ? "" : `  ${bytesText(size)}`}`,
    ...(text === "" || text === title ? [] : [`    ${text.replace(/\s+/gu, " ")}`]),
  ];
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

function collectType(text: string, earlier: readonly FoundType[] = []): readonly FoundType[] {
  const type = TYPES.find((known) => known === text);
  if (!type) throw new InvalidArgumentError(`Expected one of ${TYPES.join(", ")}.`);
  return [...earlier, type];
}
