import { type Command, InvalidArgumentError } from "commander";
import { LongshoreError, type NewPackage, type Package, type TableFormat } from "../sdk/index.ts";
import { bytesText } from "./amounts.ts";
import { type CliContext, command, commandGroup, count, type JsonOption, take, withExamples } from "./command.ts";
import { receiveFile, requireUsable, type SaveOptions, targetOf } from "./get/whole-file.ts";
import { packageLines, previewLines, readyPackage, statisticsLines } from "./package-display.ts";
import {
  type DwcaOptions,
  datastoreOrder,
  dwcaOrder,
  type OrderOptions,
  type RowOptions,
  searchAddress,
  urlOrder,
  webAddress,
  withOrderOptions,
  withRowOptions,
} from "./package-order.ts";
import { table } from "./terminal.ts";

const TABLES: readonly TableFormat[] = ["csv", "tsv", "xlsx", "jsonl", "parquet"];
const DWCA_TABLES: readonly TableFormat[] = ["csv", "tsv"];

interface WaitOptions extends SaveOptions {
  readonly wait?: true;
  readonly preview?: true;
}

interface StatisticsOptions extends JsonOption {
  readonly resource?: string;
  readonly from?: string;
  readonly to?: string;
}

export function packageCommand(context: CliContext): Command {
  const { terminal } = context;

  /** One package as the result of a command. */
  function show(one: Package, { json }: JsonOption): void {
    if (json) terminal.printJson(one);
    else for (const line of packageLines(one)) terminal.print(line);
  }

  /** Waits for a package, saves its ZIP and checks it. */
  async function save(id: string, options: SaveOptions): Promise<void> {
    const { client } = context.server();
    const one = await readyPackage({ client, terminal, signal: context.interruptible() }, id);
    const { fileName, sizeBytes, sha256 } = facts(one);
    const target = targetOf(fileName, options);
    const remote = {
      name: fileName,
      sizeBytes,
      digest: { algorithm: "sha256", value: sha256 },
      stat: (signal: AbortSignal) => client.packages.stat(id, signal),
      content: (part: Parameters<typeof client.packages.download>[1]) => client.packages.download(id, part),
    };
    await receiveFile(context, remote, target);
    if (target === "-") return;
    terminal.note(`${target}: ${bytesText(sizeBytes)}, sha256 as made`);
    if (options.json) terminal.printJson({ ...one, savedAs: target });
    else terminal.print(target);
  }

  async function order(wanted: NewPackage, options: WaitOptions): Promise<void> {
    requireUsable(options); // better now than after hours
    const { client } = context.server();
    const signal = context.interruptible();
    if (options.preview) {
      const preview = await client.packages.preview(wanted, signal);
      if (options.json) terminal.printJson(preview);
      else for (const line of previewLines(preview)) terminal.print(line);
      return;
    }
    const one = await client.packages.order(wanted, signal);
    if (options.output !== undefined) return save(one.id, options);
    show(options.wait ? await readyPackage({ client, terminal, signal }, one.id) : one, options);
  }

  const waiting = (target: Command) => saving(target).option("--wait", "end when it is ready; --output does, too");
  const previewing = (target: Command) =>
    waiting(target).option("--preview", "order nothing: show the first rows, and how many there are");

  const datastore = previewing(
    withRowOptions(
      command("datastore", "Pack the rows of a resource as a table.")
        .argument("<portal>", "address of the portal, or of its datastore_search", searchAddress)
        .argument("<resource>", "id of the resource"),
      TABLES,
    ),
  ).action((api: string, resource: string, options: RowOptions & WaitOptions) =>
    order(datastoreOrder(api, resource, options), options),
  );

  const dwca = previewing(
    withRowOptions(
      command("dwca", "Pack the rows of a resource as a Darwin Core Archive.")
        .argument("<portal>", "address of the portal, or of its datastore_search", searchAddress)
        .argument("<resource>", "id of the resource")
        .option("--eml <file>", "template of eml.xml")
        .option("--for-gbif", "add gbif.json, which marks the archive that GBIF is given"),
      DWCA_TABLES,
    ),
  ).action((api: string, resource: string, options: DwcaOptions & WaitOptions) =>
    order(dwcaOrder(api, resource, options), options),
  );

  const url = waiting(
    withOrderOptions(
      command("url", "Pack a file as it is.")
        .argument("<address>", "where the file is", webAddress)
        .option("--resource <id>", "resource that it is counted for (default: the file's name)"),
    ),
  ).action((address: string, options: OrderOptions & WaitOptions & { readonly resource?: string }) =>
    order(urlOrder(address, options.resource, options), options),
  );

  const status = command("status", "Show one package: how it stands, what is in it, its link.")
    .argument("<id>", "the package")
    .action(async (id: string, options: JsonOption) => show(await context.server().client.packages.get(id), options));

  const get = saving(command("get", "Save a package's ZIP and check its digest; waits until it is made."))
    .argument("<id>", "the package")
    .action((id: string, options: SaveOptions) => save(id, options));

  const list = command("list", "List your packages, newest first.")
    .option("--limit <number>", "how many at most", count, 50)
    .action(async ({ json, limit }: JsonOption & { readonly limit: number }) => {
      const { packages } = context.server().client;
      const rows: (string | number)[][] = [];
      for await (const one of take(packages.list({ limit: Math.min(limit, 1000) }), limit)) {
        const { recipe } = one;
        if (json) terminal.printJson(one);
        else
          rows.push([
            one.id,
            one.status,
            recipe.kind,
            one.sizeBytes === null ? "" : bytesText(one.sizeBytes),
            one.rows ?? "",
            one.downloads,
            one.createdAt,
            one.linkExpiresAt ?? "",
            recipe.resourceId,
          ]);
      }
      if (json) return;
      const head = ["ID", "STATUS", "KIND", "BYTES", "ROWS", "DOWNLOADS", "ORDERED", "LINK UNTIL", "RESOURCE"];
      for (const line of table(head, rows)) terminal.print(line);
    });

  const renew = command("renew", "Let the link work for as long again.")
    .argument("<id>", "the package")
    .action(async (id: string, options: JsonOption) => show(await context.server().client.packages.renew(id), options));

  const revoke = command("revoke", "Make the link, and every earlier one, stop working.")
    .argument("<id>", "the package")
    .action(async (id: string, options: JsonOption) =>
      show(await context.server().client.packages.revoke(id), options),
    );

  const clear = command(
    "clear-cache",
    "Drop all packages, whoever ordered them; their links lead nowhere then.",
  ).action(async ({ json }: JsonOption) => {
    const outcome = await context.server().client.packages.clear();
    if (json) terminal.printJson(outcome);
    else terminal.print(`removed ${outcome.removed}`);
  });

  const statistics = command("statistics", "Show what was packed, day by day.")
    .option("--resource <id>", "only of this resource")
    .option("--from <date>", "from this day on (UTC)", day)
    .option("--to <date>", "before this day (UTC)", day)
    .action(async ({ json, resource: resourceId, ...days }: StatisticsOptions) => {
      const { packages } = context.server().client;
      const found = await packages.statistics({ ...days, ...(resourceId === undefined ? {} : { resourceId }) });
      if (json) terminal.printJson(found);
      else for (const line of statisticsLines(found)) terminal.print(line);
    });

  const all = [datastore, dwca, url, status, get, list, renew, revoke, clear, statistics];
  const group = commandGroup("package", "Have resources of data portals packed, and the links mailed.", all);
  return withExamples(group, [
    ["longshore package datastore https://data.example.org 05ff2255 --email me@example.org", "a mail with a link"],
    [
      "longshore package datastore https://data.example.org 05ff2255 --format xlsx -o beetles.zip",
      "saved here, no mail",
    ],
    [
      "longshore package datastore https://data.example.org 05ff2255 --preview",
      "the first rows, and how many there are",
    ],
    [
      "longshore package dwca https://data.example.org 05ff2255 --filter family=Carabidae --wait",
      "a Darwin Core Archive",
    ],
    ["longshore package url https://data.example.org/scan.tif --email me@example.org", "a file, packed as it is"],
    ["longshore package statistics --from 2030-01-01", "how much was packed since then"],
  ]);
}

function saving(target: Command): Command {
  return target
    .option("-o, --output <path>", "save it, to this file or folder; - for standard output")
    .option("--force", "replace a file that exists");
}

/** What a ready package has. */
function facts({ id, fileName, sizeBytes, sha256 }: Package) {
  if (fileName === null || sizeBytes === null || sha256 === null)
    throw new LongshoreError("remote_refused", `The server says that package ${id} is ready, but not what it is.`);
  return { fileName, sizeBytes, sha256 };
}

function day(text: string): string {
  if (/^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new InvalidArgumentError("Expected a day such as 2030-01-31.");
}
