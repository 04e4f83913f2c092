import { type Command, InvalidArgumentError } from "commander";
import type { NewFixityRun } from "../sdk/index.ts";
import { bytesText, countText } from "./amounts.ts";
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
import { Interrupted, problemLines } from "./failure.ts";
import { jobDisplay } from "./job-display.ts";
import { table } from "./terminal.ts";

interface RunOptions extends JsonOption {
  readonly bytes?: number;
  readonly minutes?: number;
  readonly days?: number;
  readonly throttle?: number;
  readonly wait: boolean;
}

interface ListOptions extends JsonOption {
  readonly failed?: true;
  readonly never?: true;
  readonly limit?: number;
}

export function fixityCommand(context: CliContext): Command {
  const { terminal } = context;

  const status = command("status", "Show how much of the archive was checked lately, and what was wrong.").action(
    async ({ json }: JsonOption) => {
      const found = await context.server().client.fixity.status();
      if (json) return terminal.printJson(found);
      const { today, days, transactions, failedTransactions } = found;
      terminal.print(
        `covered      ${(found.share * 100).toFixed(1)} % of ${countText(transactions, "transaction")} within ${days} days`,
      );
      terminal.print(`bytes        ${bytesText(found.soundBytes)} of ${bytesText(found.bytes)}`);
      terminal.print(`never        ${countText(found.neverChecked, "transaction")}`);
      terminal.print(`failed       ${countText(failedTransactions, "transaction")}`);
      terminal.print(`oldest       ${found.oldestCheckedAt ?? "-"}`);
      terminal.print(
        `today        ${bytesText(today.bytes)}, ${today.minutes} minutes, ${countText(today.checks, "check")}, ${countText(today.failures, "failure")}`,
      );
    },
  );

  const run = command("run", "Read the archive back and compare, the longest unchecked first.")
    .option("--bytes <size>", "read about so much and end, such as 200GiB", size)
    .option("--minutes <number>", "work so long and end", count)
    .option("--days <number>", "leave alone what was checked in fewer days", count)
    .option("--throttle <size>", "read no faster than this in a second, such as 50MiB", size)
    .option("--no-wait", "end when it has begun")
    .action(async ({ bytes, minutes, days, throttle, wait, json }: RunOptions) => {
      const { client } = context.server();
      const asked: NewFixityRun = {
        ...(bytes !== undefined && { bytes }),
        ...(minutes !== undefined && { minutes }),
        ...(days !== undefined && { days }),
        ...(throttle !== undefined && { bytesPerSecond: throttle }),
      };
      const { id: number } = await client.fixity.run(asked);
      if (!wait) return json ? terminal.printJson({ job: number }) : terminal.print(`job ${number}`);
      const display = jobDisplay(terminal, () => performance.now());
      try {
        const job = await client.jobs.wait(number, {
          signal: context.interruptible(),
          onRetry: (error) => terminal.note(`  ${error.message} Trying again.`),
          onNews: (news) => news.type === "progress" && display.show(news.job),
        });
        for (const line of problemLines({ problems: job.warnings })) terminal.note(`  ${line}`);
        if (job.state !== "succeeded") throw jobFailure(job);
        const { checked, bytes: read, ended } = job.result ?? {};
        if (json) terminal.printJson(job.result);
        else
          terminal.print(`sound  ${countText(Number(checked), "transaction")}, ${bytesText(Number(read))}: ${ended}`);
      } catch (error) {
        if (error instanceof Interrupted)
          throw new Interrupted(`Interrupted: job ${number} goes on without us (longshore jobs watch ${number}).`);
        throw error;
      }
    });

  const list = command("list", "List the last check of each transaction, in the order of their ids.")
    .option("--failed", "only those that are not what was archived")
    .option("--never", "only those that were not checked yet")
    .option("--limit <number>", "how many at most; all when not given", count)
    .action(async ({ failed, never, limit, json }: ListOptions) => {
      const outcome = failed ? "failure" : never ? "never" : undefined;
      const checks = context.server().client.fixity.checks({
        limit: Math.min(limit ?? 1000, 1000),
        ...(outcome !== undefined && { outcome }),
      });
      const rows: (string | number)[][] = [];
      for await (const one of take(checks, limit)) {
        if (json) terminal.printJson(one);
        else rows.push([one.id, one.outcome ?? "never", one.checkedAt ?? "", one.problemCount || ""]);
      }
      if (!json)
        for (const line of table(["TRANSACTION", "OUTCOME", "CHECKED", "PROBLEMS"], rows)) terminal.print(line);
    });

  const show = command("show", "Show the last check of one transaction, with what was wrong.")
    .argument("<id>", "the transaction", id)
    .action(async (transaction: number, { json }: JsonOption) => {
      const found = await context.server().client.fixity.check(transaction);
      if (json) return terminal.printJson(found);
      terminal.print(`outcome      ${found.outcome ?? "never checked"}`);
      terminal.print(`checked      ${found.checkedAt ?? "-"}`);
      terminal.print(`problems     ${found.problemCount}`);
      for (const line of problemLines({ problems: found.problems })) terminal.print(`  ${line}`);
    });

  const about = "See to it that archived bytes are what they were.";
  return withExamples(commandGroup("fixity", about, [status, run, list, show]), [
    ["longshore fixity status", "how much was checked within LONGSHORE_FIXITY_DAYS"],
    [
      "longshore fixity run --bytes 200GiB --minutes 120",
      "a part of it, the longest unchecked first; exit code 5 when something is wrong",
    ],
    ["longshore fixity list --failed --json | jq .id", "what has to be mended"],
  ]);
}

const UNITS = ["B", "KIB", "MIB", "GIB", "TIB"];

/** `200GiB` in bytes. */
function size(text: string): number {
  const [, amount, unit = "B"] = /^(\d+(?:\.\d+)?)\s*([KMGT]iB|B)?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(amount) * 1024 ** UNITS.indexOf(unit.toUpperCase()));
  if (!(bytes >= 1)) throw new InvalidArgumentError("Expected an amount such as 200GiB.");
  return bytes;
}
