import { join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { systemClock } from "../adapters/system-clock.ts";
import { bytesText, countText, durationText, rateMeter, transferText } from "../cli/amounts.ts";
import { type CliContext, command, count, id, type JsonOption, withExamples } from "../cli/command.ts";
import { Interrupted } from "../cli/failure.ts";
import type { Terminal } from "../cli/terminal.ts";
import { NOTHING_VERIFIED, type VerifyTotals, verifyArchive, withChecked } from "../core/archive/verify.ts";
import { AppError, type Problem } from "../core/errors.ts";
import { type TransactionId, transactionId } from "../core/ids.ts";
import { loadConfig } from "../settings/config.ts";
import { verifyJournal } from "./verify-journal.ts";

interface VerifyCommandOptions extends JsonOption {
  readonly quick?: true;
  readonly throttle?: number;
  readonly parallel?: number;
  readonly resume?: true;
}

/** `longshore verify`: works on the archive and the database themselves, beside a running server or without one. */
export function verifyCommand(context: CliContext): Command {
  const verify = command("verify", "Check the archive: every structure, every digest, and the database against it.")
    .argument("[transaction...]", "only these, by their ids", (text, before: readonly TransactionId[] = []) => [
      ...before,
      transactionId(id(text)),
    ])
    .option("--quick", "structure, inventories, sizes and database; content is not read")
    .option("--throttle <rate>", "read no faster than this, such as 50MB/s", bytesPerSecond)
    .option("--parallel <n>", "files read at a time", count)
    .option("--resume", "continue the verification that was interrupted")
    .action((transactions: readonly TransactionId[] | undefined, options: VerifyCommandOptions) =>
      runVerify(context, transactions ?? [], options),
    );
  return withExamples(verify, [
    ["longshore verify", "everything; exit code 5 when something is wrong"],
    ["longshore verify 17 18", "two transactions"],
    ["longshore verify --throttle 50MB/s", "gently; interrupted, --resume continues it"],
    ["longshore verify --json | jq 'select(.type == \"problem\")'", "what is wrong, for machines"],
  ]);
}

async function runVerify(
  context: CliContext,
  transactions: readonly TransactionId[],
  options: VerifyCommandOptions,
): Promise<void> {
  const { terminal } = context;
  const quick = options.quick === true;
  if (options.resume && transactions.length > 0)
    throw new AppError("usage", { expected: "--resume or transactions", found: "both" });
  const config = loadConfig(process.env);
  const { openFoundation } = await import("../compose/foundation.ts"); // the other commands start without it
  const foundation = await openFoundation(config, systemClock);
  try {
    const { archive, stores } = foundation;
    const journal = transactions.length > 0 ? undefined : verifyJournal(join(config.dataDir, "verify.json"), quick);
    const earlier = options.resume ? await journal?.resume() : undefined;
    if (options.resume && !earlier) terminal.note("Nothing was interrupted: beginning from the start.");
    const show = output(terminal, options.json === true);
    for (const one of earlier?.problems ?? []) show.problem(one);

    const startedAt = systemClock.now();
    const display = progress(terminal, await stores.catalogue.totals(), quick || transactions.length > 0);
    let totals = earlier?.totals ?? NOTHING_VERIFIED;
    try {
      for await (const checked of verifyArchive(
        { archive, catalogue: stores.catalogue, jobs: stores.jobs, clock: systemClock },
        {
          transactions: transactions.length > 0 ? transactions : undefined,
          quick,
          after: earlier?.after,
          parallel: options.parallel,
          bytesPerSecond: options.throttle,
          signal: context.interruptible(),
          onRead: display.read,
        },
      )) {
        for (const one of checked.problems) show.problem(one);
        for (const one of checked.notes) show.note(one);
        totals = withChecked(totals, checked);
        await journal?.add(checked);
        display.checked(totals);
      }
    } catch (error) {
      await journal?.save();
      if (!(error instanceof Interrupted)) throw error;
      throw new Interrupted(journal ? "Interrupted. To continue: longshore verify --resume" : "Interrupted.");
    }
    await journal?.remove();
    show.summary(totals, systemClock.now() - startedAt);
    if (totals.problems > 0) throw new AppError("verify_failed", { discrepancies: totals.problems });
  } finally {
    await foundation.close();
  }
}

function output(terminal: Terminal, json: boolean) {
  const line = (type: "problem" | "note") => (found: Problem) => {
    if (json) terminal.printJson({ type, ...found });
    else terminal.print(`${type.padEnd(8)}  ${found.message}`);
  };
  return {
    problem: line("problem"),
    note: line("note"),
    summary(totals: VerifyTotals, tookMs: number): void {
      if (json) {
        terminal.printJson({ type: "summary", ...totals, tookMs });
        return;
      }
      const what = `${countText(totals.objects, "object")}, ${countText(totals.files, "file")}, ${bytesText(totals.bytes)}`;
      const outcome = totals.problems === 0 ? "no discrepancy" : countText(totals.problems, "problem");
      terminal.print(`verified  ${what} in ${durationText(tookMs)}: ${outcome}`);
    },
  };
}

/** Reads are many, and measuring each would cost more than reading. */
const DRAW_EVERY_MS = 100;

/** @param unmeasured when the catalogue's totals say nothing about how much there is to read. */
function progress(terminal: Terminal, all: { readonly bytes: number }, unmeasured: boolean) {
  const meter = rateMeter(() => performance.now());
  let bytes = 0;
  let totals = NOTHING_VERIFIED;
  let drawnAt = Number.NEGATIVE_INFINITY;
  const draw = () => {
    if (performance.now() - drawnAt < DRAW_EVERY_MS) return;
    drawnAt = performance.now();
    const rate = meter.measure(bytes);
    const total = Math.max(all.bytes, bytes);
    const amount = unmeasured ? bytesText(bytes) : transferText(bytes, total, rate);
    terminal.progress(`${countText(totals.objects, "object")}, ${countText(totals.files, "file")}, ${amount}`);
  };
  return {
    read(count: number): void {
      bytes += count;
      draw();
    },
    checked(now: VerifyTotals): void {
      totals = now;
      bytes = Math.max(bytes, now.bytes);
      draw();
    },
  };
}

const UNITS = ["", "K", "M", "G"];

/** `50MB/s`, `10MiB/s`, `500kB`: bytes a second. */
function bytesPerSecond(text: string): number {
  const [, amount, unit = "", binary] = /^(\d+(?:\.\d+)?)\s*([kKMG]?)(i?)B?(?:\/s)?$/.exec(text) ?? [];
  const rate = Number(amount) * (binary ? 1024 : 1000) ** UNITS.indexOf(unit.toUpperCase());
  if (!(rate >= 1)) throw new InvalidArgumentError("Expected a rate such as 50MB/s.");
  return rate;
}
