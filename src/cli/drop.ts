import { readFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import {
  type Delivery,
  type DeliveryState,
  type DropFolder,
  LongshoreError,
  type NewDropFolder,
} from "../sdk/index.ts";
import {
  type CliContext,
  command,
  commandGroup,
  count,
  id,
  type JsonOption,
  jobFailure,
  take,
  withExamples,
} from "./command.ts";
import { table } from "./terminal.ts";

const STATES = [
  "arriving",
  "taking",
  "failed",
  "archived",
  "removing",
  "removed",
  "rejected",
  "quarantined",
  "gone",
] as const satisfies readonly DeliveryState[];

interface DeliveriesOptions extends JsonOption {
  readonly state?: DeliveryState;
  readonly limit: number;
}

export function dropCommand({ terminal, server, interruptible }: CliContext): Command {
  function show(drop: DropFolder, { json }: JsonOption): void {
    if (json) {
      terminal.printJson(drop);
      return;
    }
    const { metadata, ...plain } = drop;
    for (const [name, value] of Object.entries({
      ...plain,
      ...metadata,
      keyValues: JSON.stringify(metadata.keyValues),
    }))
      if (value !== null) terminal.print(`${name.padEnd(13)} ${value}`);
  }

  const list = command("list", "List drop folders: what is watched, since when, and what is wrong.").action(
    async ({ json }: JsonOption) => {
      const drops = await server().client.drops.list();
      if (json) for (const drop of drops) terminal.printJson(drop);
      if (json) return;
      const rows = drops.map(({ id: name, folder, removal, lookedAt, trouble }) => [
        name,
        folder,
        removal,
        lookedAt ?? "not yet",
        trouble ?? "",
      ]);
      for (const line of table(["DROP", "FOLDER", "REMOVAL", "LOOKED AT", "TROUBLE"], rows)) terminal.print(line);
    },
  );

  const one = command("show", "Show how a drop folder is declared.")
    .argument("<name>", "the drop folder")
    .action(async (name: string, options: JsonOption) => show(await server().client.drops.get(name), options));

  const add = command("add", "Declare a drop folder, or declare it differently.")
    .argument("<file>", "JSON file with its declaration; docs/drop-folders.md says what is in it")
    .action(async (file: string, options: JsonOption) =>
      show(await server().client.drops.declare(await declarationIn(file)), options),
    );

  const remove = command("rm", "Watch a folder no longer. What lies in it stays.")
    .argument("<name>", "the drop folder")
    .action(async (name: string) => server().client.drops.remove(name));

  const look = command("look", "Look at a drop folder now, and wait for that.")
    .argument("<name>", "the drop folder")
    .action(async (name: string, { json }: JsonOption) => {
      const { client } = server();
      const { id: number } = await client.drops.look(name);
      const job = await client.jobs.wait(number, { signal: interruptible() });
      if (job.state !== "succeeded") throw jobFailure(job);
      const { found, taken, rejected, paused } = job.result ?? {};
      if (json) terminal.printJson(job.result);
      else terminal.print(`${found} found, ${taken} taken, ${rejected} rejected, ${paused} paused`);
    });

  const deliveries = command("deliveries", "List what lay in a drop folder and what became of it, newest first.")
    .argument("<name>", "the drop folder")
    .addOption(new Option("--state <state>", "only deliveries in this state").choices(STATES))
    .option("--limit <number>", "how many at most", count, 50)
    .action(async (name: string, { json, limit, state }: DeliveriesOptions) => {
      const found: Delivery[] = [];
      const all = server().client.drops.deliveries(name, { limit: Math.min(limit, 1000), ...(state && { state }) });
      for await (const delivery of take(all, limit)) {
        if (json) terminal.printJson(delivery);
        else found.push(delivery);
      }
      if (json) return;
      const rows = found.map(({ id: number, name: what, state: now, transactionId, updatedAt, note }) => [
        number,
        what,
        now,
        transactionId ?? "",
        updatedAt,
        note?.split("\n")[0] ?? "",
      ]);
      for (const line of table(["ID", "DELIVERY", "STATE", "TRANSACTION", "SINCE", "NOTE"], rows)) terminal.print(line);
    });

  const approve = command("approve", "Permit that the files of archived deliveries be removed from the folder.")
    .argument("<name>", "the drop folder")
    .argument("<delivery...>", "ids of deliveries")
    .action(async (name: string, numbers: readonly string[], { json }: JsonOption) => {
      for (const number of numbers.map((text) => id(text))) {
        const delivery = await server().client.drops.permitRemoval(name, number);
        if (json) terminal.printJson(delivery);
        else terminal.print(`${delivery.name} will be removed when all of it is found in the archive`);
      }
    });

  const all = [list, one, add, remove, look, deliveries, approve];
  const drop = commandGroup("drop", "Watch folders for complete deliveries, which become bundles.", all);
  return withExamples(drop, [
    ["longshore drop add scanner.json", "watch the folder that the file declares"],
    ["longshore drop deliveries scanner --state quarantined", "what was rejected, and why"],
    ["longshore drop approve scanner 17 18", "two deliveries may leave the folder; they are compared once more first"],
  ]);
}

async function declarationIn(file: string): Promise<NewDropFolder> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : "";
    throw new LongshoreError("local_file_unusable", `${file} is no JSON file that can be read (${reason}).`, {
      details: { path: file },
      cause,
    });
  }
}
