import type { Job, Task } from "../sdk/index.ts";
import { bytesText, countText, durationText, rateMeter, transferText } from "./amounts.ts";
import { problemLines } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** Shows a job's tasks while they pass: a line for each that is over, and how far the current one is. */
export interface JobDisplay {
  show(job: Job): void;
}

export function jobDisplay(terminal: Terminal, now: () => number): JobDisplay {
  const over = new Set<string>();
  let current = "";
  let rate = rateMeter(now);
  return {
    show(job) {
      for (const task of job.tasks) {
        if (task.finishedAt === null || over.has(task.name)) continue;
        over.add(task.name);
        terminal.note(`  ${finishedText(task, job.state === "failed" && task === job.tasks.at(-1))}`);
      }
      const task = job.tasks.at(-1);
      if (!task || task.finishedAt !== null) return;
      if (task.name !== current) rate = rateMeter(now);
      current = task.name;
      const { doneBytes = 0, totalBytes } = task;
      const far =
        totalBytes === undefined
          ? `${task.percent.toFixed(0)} %`
          : transferText(doneBytes, totalBytes, rate.measure(doneBytes));
      terminal.progress(`  ${task.name.padEnd(10)}  ${far}`);
    },
  };
}

function finishedText(task: Task, failed: boolean): string {
  const amounts = [
    ...(task.doneFiles ? [countText(task.doneFiles, "file")] : []),
    ...(task.doneRows ? [countText(task.doneRows, "row")] : []),
    ...(task.doneBytes ? [bytesText(task.doneBytes)] : []),
    durationText(Date.parse(task.finishedAt ?? task.startedAt) - Date.parse(task.startedAt)),
  ];
  return `${failed ? "failed" : "done  "}  ${task.name.padEnd(10)}  ${amounts.join(", ")}`;
}

/** What a person wants to know of one job. */
export function jobLines(job: Job): string[] {
  const lines = [
    `Job ${job.id}: ${job.kind}, ${job.state}${job.cancelRequested ? " (to be cancelled)" : ""}`,
    `  owner     ${job.owner}`,
    ...(job.priority === 0 ? [] : [`  priority  ${job.priority}`]),
    `  created   ${job.createdAt}`,
    ...(job.startedAt ? [`  started   ${job.startedAt}`] : []),
    ...(job.finishedAt ? [`  finished  ${job.finishedAt}`] : []),
    ...(job.attempts > 1 ? [`  attempts  ${job.attempts}`] : []),
  ];
  for (const task of job.tasks)
    lines.push(
      task.finishedAt === null
        ? `  now       ${task.name} ${task.percent.toFixed(0)} %`
        : `  ${finishedText(task, job.state === "failed" && task === job.tasks.at(-1))}`,
    );
  if (job.state === "succeeded" && job.result) lines.push(...receiptLines(job.result).map((line) => `  ${line}`));
  if (job.error) {
    lines.push(`  error[${job.error.code}]: ${job.error.message}`);
    lines.push(...problemLines(job.error.details).map((line) => `    ${line}`));
  }
  for (const warning of job.warnings) lines.push(`  warning[${warning.code}]: ${warning.message}`);
  return lines;
}

/** What the depositor may keep: it names the transaction and, by the inventory's digest, every byte of it. */
export function receiptLines(result: Readonly<Record<string, unknown>>): string[] {
  const { transactionId, files, bytes, objectPath, inventoryDigest } = result;
  const lines: string[] = [];
  if (transactionId !== undefined) lines.push(`transaction  ${transactionId}`);
  if (typeof files === "number") lines.push(`files        ${files.toLocaleString("en")}`);
  if (typeof bytes === "number") lines.push(`bytes        ${bytes.toLocaleString("en")} (${bytesText(bytes)})`);
  if (objectPath !== undefined) lines.push(`object       ${objectPath}`);
  if (inventoryDigest !== undefined) lines.push(`inventory    ${inventoryDigest}`);
  return lines;
}
