import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Command, Option } from "commander";
import { LongshoreError, type NewPreservationEvent, type PreservationEvent } from "../sdk/index.ts";
import { type CliContext, command, id, type JsonOption, withExamples } from "./command.ts";
import { Ended } from "./failure.ts";
import { table } from "./terminal.ts";

const NOTED = ["replication", "migration", "deletion", "fixity check"] as const;

interface EventsOptions extends JsonOption {
  readonly premis?: true;
  readonly note?: string;
  readonly type?: NewPreservationEvent["type"];
  readonly software?: string;
  readonly failed?: true;
}

export function eventsCommand(context: CliContext): Command {
  const { terminal } = context;

  async function add(transaction: number, { note, type, software, failed, json }: EventsOptions): Promise<void> {
    if (note === undefined || type === undefined || software === undefined)
      throw new LongshoreError("usage", "--note, --type and --software go together.");
    const event = await context.server().client.events.record(transaction, {
      type,
      software,
      note,
      ...(failed && { outcome: "failure" }),
    });
    if (json) terminal.printJson(event);
    else terminal.print(`noted  ${event.id}`);
  }

  /** As it comes: the document of a transaction with a million files is long. */
  async function premis(transaction: number): Promise<void> {
    const document = await context.server().client.events.premis(transaction, context.interruptible());
    try {
      await pipeline(Readable.fromWeb(document as Parameters<typeof Readable.fromWeb>[0]), process.stdout, {
        end: false,
      });
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EPIPE") throw new Ended(0, error);
      throw error;
    }
  }

  const events = command(
    "events",
    "Show what has happened to a transaction: ingestion, fixity checks, and whatever else.",
  )
    .argument("<id>", "the transaction", id)
    .option("--premis", "as PREMIS 3 XML, with the transaction's files and the agents")
    .option("--note <text>", "note what something else than Longshore has done, in words")
    .addOption(new Option("--type <type>", "what it was").choices(NOTED))
    .option("--software <name/version>", "what did it")
    .option("--failed", "that it has failed")
    .action(async (transaction: number, options: EventsOptions) => {
      const { premis: asXml, note, type, software } = options;
      if (note !== undefined || type !== undefined || software !== undefined) return add(transaction, options);
      if (asXml) return premis(transaction);
      const rows: string[][] = [];
      for await (const event of context.server().client.events.list(transaction, { limit: 1000 })) {
        if (options.json) terminal.printJson(event);
        else rows.push(rowOf(event));
      }
      const head = ["AT", "TYPE", "OUTCOME", "BY", "WITH", "DETAILS"];
      if (!options.json) for (const line of table(head, rows)) terminal.print(line);
    });
  return withExamples(events, [
    ["longshore events 12", "everything that has happened to transaction 12, oldest first"],
    ["longshore events 12 --premis > 12.premis.xml", "for another archive's software"],
    [
      'longshore events 12 --type replication --software ltfs/2.4 --note "copied to tape A00123L8"',
      "a copy that Longshore knows nothing of",
    ],
  ]);
}

function rowOf({ at, type, outcome, actor, software, details }: PreservationEvent): string[] {
  const facts = Object.entries(details).map(([name, value]) => `${name}: ${shown(value)}`);
  return [at, type, outcome, actor, software ?? "", facts.join("; ")];
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
