import {
  type Longshore,
  LongshoreError,
  type Package,
  type PackagePreview,
  type PackageStatistics,
} from "../sdk/index.ts";
import { bytesText, durationText } from "./amounts.ts";
import { Interrupted } from "./failure.ts";
import { type Terminal, table } from "./terminal.ts";

export interface PackageWaiting {
  readonly client: Longshore;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** Waits until a package is made. @throws LongshoreError why it was not; package_gone. */
export async function readyPackage({ client, terminal, signal }: PackageWaiting, id: string): Promise<Package> {
  let told = false;
  try {
    const one = await client.packages.wait(id, {
      signal,
      onProgress({ status, job }) {
        if (status !== "building" || told) return;
        told = true;
        terminal.note(`  Package ${id} is being made${job === null ? "" : ` by job ${job}`}.`);
      },
      onRetry: (error, pauseMs) => terminal.note(`  ${error.message} Trying again in ${durationText(pauseMs)}.`),
    });
    if (one.status === "ready") return one;
    throw notReady(one);
  } catch (error) {
    if (error instanceof Interrupted)
      throw new Interrupted(`Interrupted: package ${id} is made without us (longshore package status ${id}).`);
    throw error;
  }
}

function notReady({ id, status, error }: Package): LongshoreError {
  if (status === "failed" && error) return new LongshoreError(error.code, error.message, { details: error.details });
  return new LongshoreError("package_gone", `Package ${id} is ${status}; order it again.`, { details: { id, status } });
}

/** What a person wants to know of one package. */
export function packageLines(one: Package): string[] {
  const { recipe } = one;
  const from = recipe.apiUrl ?? recipe.resourceUrl;
  const format = recipe.kind === "url" ? "file" : `${recipe.kind}, ${recipe.format ?? "csv"}`;
  const lines = [`Package ${one.id}: ${recipe.resourceId} (${format}), ${one.status}`];
  const line = (name: string, value: string | number | null | undefined) => {
    if (value !== null && value !== undefined) lines.push(`  ${name.padEnd(10)}  ${value}`);
  };
  line("from", from);
  line("job", one.job);
  line("ordered", one.createdAt);
  line("finished", one.finishedAt);
  line("file", one.fileName);
  line("bytes", one.sizeBytes === null ? null : `${one.sizeBytes.toLocaleString("en")} (${bytesText(one.sizeBytes)})`);
  line("rows", one.rows?.toLocaleString("en"));
  line("sha256", one.sha256);
  for (const member of one.members) line("member", `${member.name}, ${bytesText(member.sizeBytes)}`);
  line("link", one.link);
  line("until", one.linkExpiresAt);
  if (one.status === "ready") line("downloads", one.downloads.toLocaleString("en"));
  line("mail", one.email);
  line("webhook", one.webhook);
  line("told", one.toldAt);
  if (one.refused) lines.push(`  error[${one.refused.code}]: ${one.refused.message}`);
  if (one.error) lines.push(`  error[${one.error.code}]: ${one.error.message}`);
  return lines;
}

/** A table of the first rows, and how many there are. */
export function previewLines({ columns, rows, rowCount }: PackagePreview): string[] {
  return [...table(columns, rows), rowCount === null ? "the portal does not say how many rows" : `${rowCount} rows`];
}

/** A line for each day, and one for all of them together. */
export function statisticsLines({ totals, days }: PackageStatistics): string[] {
  const cells = (name: string, { requests, errors, emails, rows, bytes }: PackageStatistics["totals"]) => [
    name,
    requests,
    errors,
    emails,
    rows,
    bytesText(bytes),
  ];
  return table(
    ["DAY", "REQUESTS", "ERRORS", "NEW ADDRESSES", "ROWS", "BYTES"],
    [...days.map((day) => cells(day.day, day)), cells("ever", totals)],
  );
}
