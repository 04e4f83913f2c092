import { type Command, InvalidArgumentError, Option } from "commander";
import { LongshoreError } from "../../sdk/index.ts";
import { type CliContext, command, count, id, withExamples } from "../command.ts";
import { getFile } from "./archived-file.ts";
import { type CartGetOptions, getCart } from "./cart.ts";
import type { SaveOptions } from "./whole-file.ts";

const DEFAULT_CONNECTIONS = 4;
/** More than this take turns on the server rather than go side by side. */
const MAX_CONNECTIONS = 16;

export function getCommand(context: CliContext): Command {
  const get = command("get", "Fetch an archived file or a cart, and check every file's digest.")
    .argument("<file-or-cart>", "a file's number (longshore transactions files), or a cart's id", fileOrCart)
    .option("-o, --output <path>", "file or folder; - for standard output (default: its own name)")
    .option("--force", "replace files that exist")
    .addOption(new Option("--format <format>", "of a cart: one archive (default: tar)").choices(["tar", "zip"]))
    .option("--unpack", "of a cart: its files, as they arrive; also when --output is a folder")
    .option("--bag", "of a cart: an archive with everything that makes it a bag (RFC 8493)")
    .option(
      "--connections <number>",
      `of a cart: requests at a time for an archive (default: ${DEFAULT_CONNECTIONS})`,
      connections,
    )
    .action((what: number | string, options: SaveOptions & Partial<CartGetOptions>) => {
      if (typeof what === "string") return getCart(context, what, { connections: DEFAULT_CONNECTIONS, ...options });
      for (const name of ["format", "unpack", "bag", "connections"] as const)
        if (options[name] !== undefined)
          throw new LongshoreError("usage", `--${name} is for carts; ${what} is a file.`);
      return getFile(context, what, options);
    });
  return withExamples(get, [
    ["longshore get 42", "file 42, into the current folder under its own name"],
    ["longshore get 42 -o result.csv", "an interrupted run leaves result.csv.part and is continued by the next"],
    ["longshore get 42 -o - | tar -t", "into a pipe; exit code 5 if the bytes were not right"],
    ["longshore get Zm9yIGV4YW1wbGUgb25seQ", "a cart, as one tar; waits while its files are brought online"],
    ["longshore get Zm9yIGV4YW1wbGUgb25seQ -o data/", "the cart's files themselves; run again, it keeps what is right"],
  ]).addHelpText("after", "\nInterrupted by whatever: run the same command again, and it continues.");
}

/** Cart ids are 22 characters of base64url; no file has a number of so many digits. */
function fileOrCart(text: string): number | string {
  if (/^[A-Za-z0-9_-]{22}$/.test(text)) return text;
  if (/^\d+$/.test(text)) return id(text);
  throw new InvalidArgumentError("Expected a positive whole number, or a cart's id of 22 characters.");
}

function connections(text: string): number {
  const number = count(text);
  if (number > MAX_CONNECTIONS) throw new InvalidArgumentError(`Expected at most ${MAX_CONNECTIONS}.`);
  return number;
}
