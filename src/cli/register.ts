import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { extname } from "node:path";
import { text } from "node:stream/consumers";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type ExchangeFormat, LongshoreError, type RegisterEntry } from "../sdk/index.ts";
import { type CliContext, command, commandGroup, count, id, type JsonOption, take, withExamples } from "./command.ts";
import { table } from "./terminal.ts";

interface EntriesOptions extends JsonOption {
  readonly status?: string;
  readonly limit?: number;
}

interface SetStatusOptions extends JsonOption {
  readonly from?: string;
  readonly entryVersion?: number;
  readonly reason?: string;
}

interface ExchangeOptions extends JsonOption {
  readonly format?: ExchangeFormat;
  readonly output?: string;
}

/** `name=value`. */
function pair(given: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const at = given.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Expected name=value.");
  return { ...before, [given.slice(0, at)]: given.slice(at + 1) };
}

export function registerCommand(context: CliContext): Command {
  const { terminal } = context;
  const api = () => context.server().client.registers;

  function show(entry: RegisterEntry, { json }: JsonOption): void {
    if (json) {
      terminal.printJson(entry);
      return;
    }
    terminal.print(`Entry ${entry.id} of ${entry.register}: ${entry.status}`);
    for (const [name, value] of Object.entries(entry.fields)) terminal.print(`  ${name.padEnd(18)} ${cell(value)}`);
    if (entry.reason !== null) terminal.print(`  reason             ${entry.reason}`);
    if (entry.attempts > 0) terminal.print(`  attempts           ${entry.attempts}`);
    if (entry.job !== null) terminal.print(`  job                ${entry.job}`);
    if (entry.dueAt !== null) terminal.print(`  until              ${entry.dueAt}`);
  }

  const list = command("list", "List the registers.").action(async ({ json }: JsonOption) => {
    const rows: string[][] = [];
    for await (const one of api().list())
      if (json) terminal.printJson(one);
      else rows.push([one.name, one.title, one.source, String(one.revision)]);
    if (!json) for (const line of table(["NAME", "TITLE", "DECLARED IN", "REVISION"], rows)) terminal.print(line);
  });

  const showOne = command("show", "Show a register's declaration, or one of its entries.")
    .argument("<register>", "its name")
    .argument("[entry]", "the entry", id)
    .action(async (name: string, entry: number | undefined, options: JsonOption) => {
      if (entry !== undefined) return show(await api().entry(name, entry), options);
      const found = await api().get(name);
      if (options.json) terminal.printJson(found);
      else for (const line of JSON.stringify(found.declaration, null, 2).split("\n")) terminal.print(line);
    });

  const check = command("check", "Say what is wrong with a declaration, also against the entries that are there.")
    .argument("<file>", "JSON; see docs/formats/register.md")
    .action(async (path: string, { json }: JsonOption) => {
      const found = await api().check(await fileText(path));
      if (json) terminal.printJson(found);
      else terminal.print(`${found.name} is well declared; ${found.entries} entries agree with it.`);
    });

  const declare = command("declare", "Declare a register, or change its declaration.")
    .argument("<file>", "JSON; see docs/formats/register.md")
    .action(async (path: string, { json }: JsonOption) => {
      const declaration = await fileText(path);
      const { name } = await api().check(declaration);
      const declared = await api().declare(name, declaration);
      if (json) terminal.printJson(declared);
      else terminal.print(`${declared.name}: revision ${declared.revision}`);
    });

  const entries = command("entries", "List entries, oldest first.")
    .argument("<register>", "its name")
    .argument("[name=value...]", "only entries with these values", pair)
    .option("--status <status>", "only entries that have it")
    .option("--limit <number>", "how many at most; all when not given", count)
    .action(async (name: string, fields: Readonly<Record<string, string>> | undefined, options: EntriesOptions) => {
      const { json, status, limit } = options;
      const rows: string[][] = [];
      const found = api().entries(name, {
        limit: Math.min(limit ?? 1000, 1000),
        ...(status !== undefined && { status }),
        fields: { ...fields },
      });
      for await (const one of take(found, limit))
        if (json) terminal.printJson(one);
        else rows.push([String(one.id), one.status, one.owner, one.updatedAt, summary(one)]);
      if (json) return;
      for (const line of table(["ID", "STATUS", "OWNER", "CHANGED", "FIELDS"], rows)) terminal.print(line);
    });

  const add = command("add", "Make an entry.")
    .argument("<register>", "its name")
    .argument("<name=value...>", "its fields", pair)
    .option("--key <text>", "repeated with the same key, the entry that was made")
    .action(
      async (name: string, fields: Readonly<Record<string, string>>, options: JsonOption & { readonly key?: string }) =>
        show(await api().add(name, fields, options.key), options),
    );

  const setStatus = command("set-status", "Give an entry its next status.")
    .argument("<register>", "its name")
    .argument("<entry>", "the entry", id)
    .argument("<status>", "the next one")
    .option("--from <status>", "only when it has this one")
    .option("--entry-version <number>", "only when the entry has this version", count)
    .option("--reason <text>", "for people")
    .action(async (name: string, entry: number, to: string, options: SetStatusOptions) => {
      const { from, entryVersion: version, reason } = options;
      const change = {
        to,
        ...(from !== undefined && { from }),
        ...(version !== undefined && { version }),
        ...(reason !== undefined && { reason }),
      };
      show(await api().setStatus(name, entry, change), options);
    });

  const history = command("history", "Show what has become of an entry.")
    .argument("<register>", "its name")
    .argument("<entry>", "the entry", id)
    .action(async (name: string, entry: number, { json }: JsonOption) => {
      for await (const one of api().history(name, entry)) {
        const { at, actor, from, to, reason, changed } = one;
        if (json) terminal.printJson(one);
        else if (from === to) terminal.print(`${at}  ${actor}  changed ${changed.join(", ") || "its job"}`);
        else
          terminal.print(`${at}  ${actor}  ${from ?? "(new)"} -> ${to ?? "(removed)"}${reason ? `: ${reason}` : ""}`);
      }
    });

  const remove = command("remove", "Remove an entry; its history stays.")
    .argument("<register>", "its name")
    .argument("<entry>", "the entry", id)
    .action(async (name: string, entry: number) => api().remove(name, entry));

  const format = new Option("--format <format>", "csv or json; by the file's name when not given").choices([
    "csv",
    "json",
  ]);

  const exporting = command("export", "Write all entries as CSV or JSON.")
    .argument("<register>", "its name")
    .addOption(format)
    .option("--output <file>", "standard output when not given")
    .action(async (name: string, { format: asked, output }: ExchangeOptions) => {
      const found = api().export(name, formatOf(asked, output ?? ""), context.interruptible());
      if (output !== undefined) return writeFile(output, found);
      for await (const chunk of found) if (!process.stdout.write(chunk)) await once(process.stdout, "drain");
    });

  const importing = command("import", "Make entries from CSV or JSON: all of them, or none.")
    .argument("<register>", "its name")
    .argument("<file>", "- for standard input")
    .addOption(format)
    .action(async (name: string, path: string, { json, format: asked }: ExchangeOptions) => {
      const made = await api().import(name, await fileText(path), formatOf(asked, path));
      if (json) terminal.printJson(made);
      else terminal.print(`${made.created} entries${made.firstId === null ? "" : `, from ${made.firstId} on`}`);
    });

  const all = [list, showOne, check, declare, entries, add, setStatus, history, remove, exporting, importing];
  const group = commandGroup("register", "Tables of requests, each with a status.", all);
  return withExamples(group, [
    ["longshore register add downloads name=Ada email=ada@example.org fname=a.mkv download_path=ada", "a request"],
    ["longshore register entries downloads --status Requested", "what waits"],
    ["longshore register set-status downloads 7 Cancelled --reason 'not needed'", "taken back"],
    ["longshore register export downloads --output downloads.csv", "all of it, for a spreadsheet"],
  ]);
}

const cell = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

function summary({ fields }: RegisterEntry): string {
  const shown = Object.entries(fields).map(([name, value]) => `${name}=${cell(value)}`);
  return shown.join(" ").slice(0, 120);
}

function formatOf(asked: ExchangeFormat | undefined, path: string): ExchangeFormat {
  return asked ?? (extname(path).toLowerCase() === ".json" ? "json" : "csv");
}

/** @throws LongshoreError local_file_unusable. */
async function fileText(path: string): Promise<string> {
  try {
    return path === "-" ? await text(process.stdin) : await readFile(path, "utf8");
  } catch (cause) {
    throw new LongshoreError("local_file_unusable", `${path} cannot be read: ${(cause as Error).message}`, {
      details: { path },
      cause,
    });
  }
}
