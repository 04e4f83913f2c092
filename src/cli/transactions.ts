import type { Command } from "commander";
import { bytesText } from "./amounts.ts";
import { type CliContext, command, commandGroup, count, id, type JsonOption, take, withExamples } from "./command.ts";
import { receiptLines } from "./job-display.ts";
import { table } from "./terminal.ts";

interface LimitOption extends JsonOption {
  readonly limit?: number;
}

export function transactionsCommand(context: CliContext): Command {
  const { terminal } = context;

  const list = command("list", "List transactions, newest first.")
    .option("--limit <number>", "how many at most", count, 50)
    .action(async ({ json, limit = 50 }: LimitOption) => {
      const rows: (string | number)[][] = [];
      const { transactions } = context.server().client;
      for await (const one of take(transactions.list({ limit: Math.min(limit, 1000) }), limit)) {
        if (json) terminal.printJson(one);
        else
          rows.push([
            one.id,
            one.files,
            bytesText(one.bytes),
            one.submitter ?? "",
            one.project ?? "",
            one.instrument ?? "",
            one.owner,
            one.createdAt,
          ]);
      }
      if (json) return;
      const head = ["ID", "FILES", "BYTES", "SUBMITTER", "PROJECT", "INSTRUMENT", "OWNER", "CREATED"];
      for (const line of table(head, rows)) terminal.print(line);
    });

  const show = command("show", "Show one transaction with its key-values.")
    .argument("<id>", "the transaction", id)
    .action(async (number: number, { json }: JsonOption) => {
      const found = await context.server().client.transactions.get(number);
      if (json) return terminal.printJson(found);
      for (const line of receiptLines({ ...found, transactionId: found.id })) terminal.print(line);
      terminal.print(`submitter    ${found.submitter ?? "-"}`);
      terminal.print(`project      ${found.project ?? "-"}`);
      terminal.print(`instrument   ${found.instrument ?? "-"}`);
      terminal.print(`owner        ${found.owner}`);
      terminal.print(`created      ${found.createdAt}`);
      for (const { key, value, fileId } of found.keyValues)
        terminal.print(`key-value    ${key} = ${value}${fileId === null ? "" : ` (file ${fileId})`}`);
    });

  const files = command("files", "List a transaction's files in the order of their ids.")
    .argument("<id>", "the transaction", id)
    .option("--limit <number>", "how many at most; all when not given", count)
    .action(async (number: number, { json, limit }: LimitOption) => {
      const { transactions } = context.server().client;
      // Printed as they come: there may be hundreds of thousands.
      for await (const file of take(transactions.files(number, { limit: Math.min(limit ?? 1000, 1000) }), limit)) {
        if (json) terminal.printJson(file);
        else terminal.print(`${String(file.id).padStart(8)}  ${bytesText(file.sizeBytes).padStart(9)}  ${file.path}`);
      }
    });

  const all = [list, show, files];
  const transactions = commandGroup("transactions", "Look at what the archive holds, bundle by bundle.", all);
  return withExamples(transactions, [
    ["longshore transactions list --limit 5", "the five newest"],
    ["longshore transactions files 12", "file ids, sizes and paths of transaction 12"],
    ["longshore transactions files 12 --json | jq -r .digests.sha512", "their digests, one a line"],
  ]);
}
