import { type Command, Option } from "commander";
import type { Cart, CartStatus } from "../sdk/index.ts";
import { bytesText } from "./amounts.ts";
import {
  type CartChoice,
  CONDITION_NAMES,
  chosen,
  collectCondition,
  collectFile,
  collectTransaction,
  expiry,
} from "./cart-choice.ts";
import { cartLines, readyCart } from "./cart-display.ts";
import { type CliContext, command, commandGroup, count, type JsonOption, take, withExamples } from "./command.ts";
import { collectKeyValue } from "./put-metadata.ts";
import { table } from "./terminal.ts";

const STATUSES = ["waiting", "staging", "ready", "error", "expired"];

interface CreateOptions extends JsonOption, CartChoice {
  readonly name?: string;
  readonly expires?: number | string;
  readonly wait?: true;
}

interface ListOptions extends JsonOption {
  readonly status?: CartStatus;
  readonly limit: number;
}

export function cartCommand(context: CliContext): Command {
  const { terminal } = context;

  /** One cart as the result of a command. */
  function show(cart: Cart, { json }: JsonOption): void {
    const { url, withToken } = context.server();
    if (json) terminal.printJson(cart);
    else for (const line of cartLines(cart, downloadLines(cart, url, withToken))) terminal.print(line);
  }

  const create = command("create", "Choose archived files for one download; all options together make the choice.")
    .option("--name <name>", "what the download and its top folder are called")
    .option("--file <id>", "a file; may be given several times", collectFile)
    .option(
      "--transaction <id[:prefix]>",
      "its files, or those below a path such as 12:data/images/",
      collectTransaction,
    )
    .option("--query <key=value>", `every file that fits all that is given: ${CONDITION_NAMES}`, collectCondition)
    .option(
      "--kv <key=value>",
      "every file of the bundles that were deposited with it; goes with --query",
      collectKeyValue,
    )
    .option("--search <query>", "every file that longshore search finds, and the files of whatever else it finds")
    .option(
      "--from <file>",
      "file ids, one a line, a tab and a path in the download behind them if wanted; - for standard input",
    )
    .option("--expires <when>", "after hours (12h), days (7d), weeks (2w) or on a date (2030-12-31)", expiry)
    .option("--wait", "end when everything is online")
    .action(async (options: CreateOptions) => {
      const { name, expires, wait } = options;
      const named = { ...(name === undefined ? {} : { name }), ...(expires === undefined ? {} : { expires }) };
      const choice = await chosen(options);
      const { client } = context.server();
      const signal = context.interruptible();
      const cart = await client.carts.create({ ...choice, ...named }, signal);
      const mustBeReady = wait || cart.status === "error";
      show(mustBeReady ? await readyCart({ client, terminal, signal }, cart.id) : cart, options);
    });

  const list = command("list", "List carts, newest first.")
    .addOption(new Option("--status <status>", "only carts in this status").choices(STATUSES))
    .option("--limit <number>", "how many at most", count, 50)
    .action(async ({ json, limit, ...filter }: ListOptions) => {
      const { client } = context.server();
      const rows: (string | number)[][] = [];
      for await (const cart of take(client.carts.list({ ...filter, limit: Math.min(limit, 1000) }), limit)) {
        if (json) terminal.printJson(cart);
        else
          rows.push([
            cart.id,
            cart.status,
            cart.files,
            bytesText(cart.bytes),
            cart.downloads,
            cart.createdAt,
            cart.expiresAt ?? "",
            cart.name,
          ]);
      }
      if (json) return;
      const head = ["ID", "STATUS", "FILES", "BYTES", "DOWNLOADS", "CREATED", "EXPIRES", "NAME"];
      for (const line of table(head, rows)) terminal.print(line);
    });

  const one = command("show", "Show one cart: how it stands, what is wrong with it, how to download it.")
    .argument("<id>", "the cart")
    .action(async (cart: string, options: JsonOption) => show(await context.server().client.carts.get(cart), options));

  const files = command("files", "List a cart's files in the order of its download.")
    .argument("<id>", "the cart")
    .option("--limit <number>", "how many at most; all when not given", count)
    .action(async (cart: string, { json, limit }: JsonOption & Partial<ListOptions>) => {
      const { carts } = context.server().client;
      // Printed as they come: there may be a million.
      for await (const file of take(carts.files(cart, { limit: Math.min(limit ?? 1000, 1000) }), limit)) {
        const { path, sizeBytes, fileId, state } = file;
        if (json) terminal.printJson(file);
        else
          terminal.print(
            `${String(fileId ?? "-").padStart(8)}  ${bytesText(sizeBytes).padStart(9)}  ${state.padEnd(7)}  ${path}`,
          );
      }
    });

  const remove = command("rm", "Forget carts; the files stay in the archive.")
    .argument("<id...>", "the carts")
    .action(async (carts: readonly string[], { json }: JsonOption) => {
      for (const cart of carts) {
        await context.server().client.carts.remove(cart);
        if (json) terminal.printJson({ id: cart, removed: true });
        else terminal.print(`removed ${cart}`);
      }
    });

  const all = [create, list, one, files, remove];
  const cart = commandGroup("cart", "Choose archived files, to download them as one tar or ZIP.", all);
  return withExamples(cart, [
    ["longshore cart create --transaction 12 --name run-17", "everything that was deposited as transaction 12"],
    ["longshore cart create --query project=1234a --query media-type=image/* --kv site=north", "what fits all of it"],
    ["longshore transactions files 12 --json | longshore cart create --from -", "files from a list"],
    ["longshore cart show Zm9yIGV4YW1wbGUgb25seQ", "how it stands, and the lines that download it"],
  ]);
}

/** Lines for a shell: for whoever has nothing but curl, and for this program. */
function downloadLines({ id, name, links }: Cart, server: string, withToken: boolean): string[] {
  const authorization = withToken ? '-H "Authorization: Bearer $LONGSHORE_TOKEN" ' : "";
  const address = new URL(links.tar, server).href;
  return [`longshore get ${id}`, `curl -f -C - ${authorization}-o ${quoted(`${name}.tar`)} ${quoted(address)}`];
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
