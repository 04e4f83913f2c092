import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Json, LongshoreError, type NewPackage, type TableFormat } from "../sdk/index.ts";
import { count } from "./command.ts";

/** Where CKAN answers searches, below the portal's own address. */
const SEARCH_PATH = "/api/action/datastore_search";

/** What all orders have in common. */
export interface OrderOptions {
  readonly email?: string;
  readonly webhook?: string;
  readonly keyFile?: string;
  readonly manifest: boolean;
}

/** Which rows, and as what. */
export interface RowOptions extends OrderOptions {
  readonly filter?: Readonly<Record<string, readonly string[]>>;
  readonly q?: string;
  readonly plain?: string;
  readonly language?: string;
  readonly fields?: string;
  readonly sort?: string;
  readonly limit?: number;
  readonly offset?: number;
  readonly format?: TableFormat;
  readonly doi?: string;
}

export interface DwcaOptions extends RowOptions {
  readonly eml?: string;
  readonly forGbif?: true;
}

export function withOrderOptions(target: Command): Command {
  return target
    .option("--email <address>", "mail the link there when it is ready, or the reason why it will not be")
    .option("--webhook <url>", "send a signed notice there instead, or as well")
    .option("--key-file <file>", "file that holds your key at the portal; - for standard input")
    .option("--no-manifest", "nothing but the data in the ZIP");
}

export function withRowOptions(target: Command, formats: readonly TableFormat[]): Command {
  return withOrderOptions(
    target
      .option("--filter <field=value>", "rows with this value; of one field, any of its values", collectFilter)
      .option("--q <text>", "rows that have these words")
      .option("--plain <true|false>", "whether the words are plain ones, not PostgreSQL's query syntax")
      .option("--language <name>", "language of the words, as PostgreSQL names it")
      .option("--fields <names>", "only these columns, separated by commas")
      .option("--sort <fields>", 'such as "year desc, name"')
      .option("--limit <number>", "how many rows at most", count)
      .option("--offset <number>", "how many rows to pass over first", rowsToSkip)
      .addOption(new Option("--format <format>", "form of the tables (default: csv)").choices(formats))
      .option("--doi <doi>", "named in the mail, to be cited"),
  );
}

/** Parses `--filter field=value`; the first `=` divides. */
function collectFilter(
  text: string,
  earlier: Readonly<Record<string, readonly string[]>> = {},
): Readonly<Record<string, readonly string[]>> {
  const cut = text.indexOf("=");
  if (cut < 1) throw new InvalidArgumentError("Expected field=value.");
  const field = text.slice(0, cut);
  return { ...earlier, [field]: [...(earlier[field] ?? []), text.slice(cut + 1)] };
}

function rowsToSkip(text: string): number {
  return text === "0" ? 0 : count(text);
}

/** Parses the address of a portal, or of its search itself. @returns the latter. */
export function searchAddress(text: string): string {
  const url = webAddress(text);
  return url.endsWith("/datastore_search") ? url : url.replace(/\/+$/, "") + SEARCH_PATH;
}

/** Parses an address that can be fetched from. */
export function webAddress(text: string): string {
  if (/^https?:\/\//i.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError("Expected an address that begins with http:// or https://.");
}

/** @throws LongshoreError local_file_unusable. */
export function datastoreOrder(apiUrl: string, resourceId: string, options: RowOptions): NewPackage {
  return { kind: "datastore", resourceId, apiUrl, ...rowsOf(options), ...commonOf(options) };
}

/** @throws LongshoreError local_file_unusable. */
export function dwcaOrder(apiUrl: string, resourceId: string, options: DwcaOptions): NewPackage {
  return {
    kind: "dwca",
    resourceId,
    apiUrl,
    ...rowsOf(options),
    ...(options.eml === undefined ? {} : { eml: textOf(options.eml) }),
    ...(options.forGbif ? { forGbif: true } : {}),
    ...commonOf(options),
  };
}

/** @param resourceId under which it is counted; the file's name when left out. */
export function urlOrder(resourceUrl: string, resourceId: string | undefined, options: OrderOptions): NewPackage {
  const { pathname, host } = new URL(resourceUrl);
  const name = pathname.split("/").findLast((part) => part !== "") ?? host;
  return { kind: "url", resourceId: resourceId ?? name, resourceUrl, ...commonOf(options) };
}

function rowsOf({ filter, q, plain, language, fields, sort, limit, offset, format, doi }: RowOptions) {
  const filters: Readonly<Record<string, Json>> | undefined = filter;
  return defined({ filters, q, plain, language, fields, sort, limit, offset, format, doi });
}

function commonOf({ email, webhook, keyFile, manifest }: OrderOptions) {
  return { ...defined({ email, webhook, key: keyFile === undefined ? undefined : keyOf(keyFile) }), manifest };
}

/** Without what is undefined. */
function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** Not taken from the command line itself, where everyone on the machine could read it. */
function keyOf(path: string): string {
  const key = textOf(path).trim();
  if (key === "") throw new LongshoreError("local_file_unusable", `${path} holds no key.`, { details: { path } });
  return key;
}

function textOf(path: string): string {
  try {
    return readFileSync(path === "-" ? 0 : path, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new LongshoreError("local_file_unusable", `${path} cannot be read: ${reason}`, { details: { path }, cause });
  }
}
