import { readFileSync } from "node:fs";
import { Argument, type Command, InvalidArgumentError } from "commander";
import { LongshoreError } from "../sdk/index.ts";
import { type CliContext, commandGroup, count, type JsonOption, withExamples } from "./command.ts";
import { Ended, Interrupted } from "./failure.ts";

const DEFAULT_HOST = "http://127.0.0.1:8765";
const DEFAULTS_FILE = "/etc/ckanpackager/ckanpackager-cli.json";

type Parameters = Readonly<Record<string, string>>;
type Reply = Readonly<Record<string, unknown>>;

/** Spelled as in ckanpackager's own command line; they may stand before and after the verb. */
interface CkanpackagerOptions extends JsonOption {
  readonly p: string;
  readonly d?: string;
  /** False for `-D`. */
  readonly defaults: boolean;
  readonly s?: string;
  readonly q?: true;
  readonly x?: true;
  readonly o: number;
  readonly l: number;
  readonly r?: string;
  readonly e?: string;
}

interface Call {
  readonly path: string;
  /** What is said before. */
  readonly operation: string;
  readonly parameters?: Parameters;
  /** Whether everything in the defaults file is sent, not only the secret. */
  readonly withDefaults?: boolean;
}

/**
 * ckanpackager's command line, for scripts that have it: the same verbs, options and output, against whatever speaks its
 * protocol. Where its exit code is always 1, ours is that of the failure; not so with `-q` and `-x`.
 */
export function ckanpackagerCommand(context: CliContext): Command {
  const { terminal } = context;
  const group = commandGroup("ckanpackager", "Speak to a ckanpackager, or to the door that stands in for one.", [])
    .option("-p <host>", "its address", DEFAULT_HOST)
    .option("-d <file>", `JSON file with parameters to send, such as secret and api_url (default: ${DEFAULTS_FILE})`)
    .option("-D, --no-defaults", "no such file")
    .option("-s <secret>", "the secret, instead of the file's")
    .option("-q", "print nothing")
    .option("-x", "of statistics: exit code 1 when there are errors")
    .option("-o <offset>", "of statistics requests and errors: how many to pass over", offset, 0)
    .option("-l <limit>", "of statistics requests and errors: how many", count, 100)
    .option("-r <resource>", "of statistics requests and errors: only of this resource")
    .option("-e <email>", "of statistics requests and errors: only of this address")
    .option("--json", "print the reply only, as one line");
  const options = () => group.opts<CkanpackagerOptions>();

  async function call(wanted: Call): Promise<void> {
    const given = options();
    const { json, p: host, q: quiet } = given;
    try {
      const speaks = !json && !quiet;
      const parameters = { ...defaultsOf(given, wanted.withDefaults === true), ...wanted.parameters };
      if (speaks) terminal.print(wanted.operation);
      const reply = await post(host, wanted.path, parameters, context.interruptible());
      if (json && !quiet) terminal.printJson(reply);
      if (speaks) for (const line of ["Response:", ...JSON.stringify(reply, null, 2).split("\n")]) terminal.print(line);
      if (given.x && hasErrors(reply)) throw new Ended(1);
    } catch (error) {
      if (quiet && error instanceof LongshoreError) throw new Ended(1, error);
      throw error;
    }
  }

  group
    .command("status")
    .description("Show how many workers there are.")
    .action(() => call({ path: "status", operation: "Fetching status." }));

  group
    .command("clear-cache")
    .alias("cc")
    .description("Drop all packages.")
    .action(() => call({ path: "clear_caches", operation: "Clearing caches." }));

  group
    .command("statistics")
    .alias("stats")
    .description("Show what was packed: totals, or the single requests or errors.")
    .addArgument(new Argument("[what]").choices(["totals", "requests", "errors"]).default("totals"))
    .action((what: string) => {
      const { o, l, r, e } = options();
      const page = { offset: String(o), limit: String(l), ...(r && { resource_id: r }), ...(e && { email: e }) };
      const operation = "Fetching statistics.";
      return what === "totals"
        ? call({ path: "statistics", operation })
        : call({ path: `statistics/${what}`, operation, parameters: page });
    });

  group
    .command("queue")
    .description("Ask for a package.")
    .argument("<task>", "package_datastore, package_url or package_dwc_archive")
    .argument("[param:value...]", "its parameters; the first colon divides")
    .action((task: string, pairs: readonly string[]) =>
      call({
        path: task,
        operation: `Adding ${task} task to queue.`,
        parameters: Object.fromEntries(pairs.map(parameter)),
        withDefaults: true,
      }),
    );

  return withExamples(group, [
    ["longshore ckanpackager -s SECRET status", "a server with LONGSHORE_DOORS=ckanpackager:8765"],
    [
      "longshore ckanpackager queue package_datastore resource_id:05ff email:me@example.org",
      "secret and api_url from the file",
    ],
    [
      "longshore ckanpackager -p http://127.0.0.1:7700/doors/ckanpackager -s SECRET cc",
      "a server without a port for it",
    ],
  ]);
}

function offset(text: string): number {
  return text === "0" ? 0 : count(text);
}

/** @throws LongshoreError usage. */
function parameter(pair: string): [string, string] {
  const colon = pair.indexOf(":");
  if (colon < 0) throw new LongshoreError("usage", `Parameters are written as PARAM:VALUE; this one is not: ${pair}`);
  return [pair.slice(0, colon), pair.slice(colon + 1)];
}

/** What the defaults file and `-s` say. @throws LongshoreError local_file_unusable, only when a file was named. */
function defaultsOf({ d, defaults, s }: CkanpackagerOptions, all: boolean): Parameters {
  const read = defaults ? readDefaults(d) : {};
  const secret = s ?? read.secret;
  return { ...(all ? read : {}), ...(secret !== undefined && { secret }) };
}

function readDefaults(named: string | undefined): Parameters {
  const path = named ?? DEFAULTS_FILE;
  const unusable = (reason: string, cause?: unknown) =>
    new LongshoreError("local_file_unusable", `${path} ${reason}`, { details: { path }, cause });
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (named === undefined && cause instanceof Error && "code" in cause && cause.code === "ENOENT") return {};
    throw unusable(`cannot be read: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw unusable("is not JSON.", cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw unusable("is not a JSON object.");
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, typeof one === "string" ? one : JSON.stringify(one)]),
  );
}

/** @throws LongshoreError remote_unavailable, remote_refused. */
async function post(host: string, path: string, parameters: Parameters, signal: AbortSignal): Promise<Reply> {
  const url = [host, path].map((part) => part.replace(/^\/+|\/+$/g, "")).join("/");
  if (!URL.canParse(url)) throw new InvalidArgumentError(`No address can be made of ${url}.`);
  const lost = (cause: unknown): never => {
    if (signal.aborted) throw signal.reason instanceof Error ? signal.reason : new Interrupted("Interrupted.");
    const { message, cause: reason } = cause instanceof Error ? cause : { message: String(cause), cause: undefined };
    const why = reason instanceof Error && "code" in reason ? reason.code : message;
    throw new LongshoreError("remote_unavailable", `${host} does not answer (${why}).`, { details: { host }, cause });
  };
  // Redirects are not followed: the secret is for this host.
  const body = new URLSearchParams(parameters);
  const response = await fetch(url, { method: "POST", body, signal, redirect: "manual" }).catch(lost);
  const text = await response.text().catch(lost);
  const reply = objectOf(text);
  const status = `${response.status} ${response.statusText}`.trimEnd();
  if (response.ok && reply) return reply;
  const said = typeof reply?.message === "string" ? `: ${reply.message}` : "";
  const found = response.ok ? "something that is not a JSON object" : `${status}${said}`;
  throw new LongshoreError("remote_refused", `Request failed: ${host} answered ${found}`, {
    details: { host, path, status: response.status },
  });
}

function objectOf(text: string): Reply | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Reply) : undefined;
  } catch {
    return undefined; // a page of something in between
  }
}

/** Of the statistics: a list of errors that is not empty, or a total of them that is not nought. */
function hasErrors({ errors, totals }: Reply): boolean {
  if (Array.isArray(errors)) return errors.length > 0;
  const all = (totals as Readonly<Record<string, { readonly errors?: number }>> | undefined)?.["*"];
  return (all?.errors ?? 0) !== 0;
}
