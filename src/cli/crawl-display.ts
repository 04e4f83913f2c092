import {
  type Crawl,
  type CrawlDetail,
  type CrawledFile,
  type Extraction,
  type Longshore,
  LongshoreError,
} from "../sdk/index.ts";
import { bytesText, countText, durationText, type RateMeter, rateMeter } from "./amounts.ts";
import { Interrupted } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

export interface CrawlWaiting {
  readonly client: Longshore;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** Waits until a crawl has ended, and its extractions when asked, showing how far they are. */
export async function endedCrawl(
  waiting: CrawlWaiting,
  id: string,
  { withExtractions }: { readonly withExtractions: boolean },
): Promise<CrawlDetail> {
  const { client, terminal, signal } = waiting;
  const rate = rateMeter(() => performance.now());
  try {
    const crawl = await client.crawls.wait(id, {
      signal,
      onProgress: (seen) => terminal.progress(`  ${crawlProgress(seen, rate)}`),
      onRetry: (error, pauseMs) => terminal.note(`  ${error.message} Trying again in ${durationText(pauseMs)}.`),
    });
    if (!withExtractions) return crawl;
    for (const extraction of crawl.extractions) await endedExtraction(waiting, extraction.id);
    return await client.crawls.get(id, signal);
  } catch (error) {
    if (error instanceof Interrupted)
      throw new Interrupted(`Interrupted: crawl ${id} goes on without us (longshore crawl wait ${id}).`);
    throw error;
  }
}

/** Waits until an extraction has ended, showing how far it is. */
export async function endedExtraction({ client, terminal, signal }: CrawlWaiting, id: string): Promise<Extraction> {
  const rate = rateMeter(() => performance.now());
  try {
    return await client.extractions.wait(id, {
      signal,
      onProgress: (seen) => terminal.progress(`  ${extractionProgress(seen, rate)}`),
      onRetry: (error, pauseMs) => terminal.note(`  ${error.message} Trying again in ${durationText(pauseMs)}.`),
    });
  } catch (error) {
    if (error instanceof Interrupted)
      throw new Interrupted(`Interrupted: extraction ${id} goes on without us (longshore extract wait ${id}).`);
    throw error;
  }
}

/** `1,234 directories, 56,789 files, 1.2 GiB, 3 problems, 45,000 files/s; described 1,000 of 1,200`. */
function crawlProgress({ counts, extractions }: CrawlDetail, rate: RateMeter): string {
  const perSecond = rate.measure(counts.files);
  const parts = [
    countText(counts.directories, "director")
      .replace(/directors$/, "directories")
      .replace(/director$/, "directory"),
    countText(counts.files, "file"),
    bytesText(counts.bytes),
    ...(counts.errors > 0 ? [countText(counts.errors, "problem")] : []),
    ...(perSecond === undefined ? [] : [`${Math.round(perSecond).toLocaleString("en")} files/s`]),
  ];
  const described = extractions.map(({ counts: { success, failed, toSchedule } }) => {
    return `described ${(success + failed).toLocaleString("en")} of ${toSchedule.toLocaleString("en")}`;
  });
  return [parts.join(", "), ...described].join("; ");
}

function extractionProgress({ counts }: Extraction, rate: RateMeter): string {
  const done = counts.success + counts.failed + counts.unknown;
  const perSecond = rate.measure(done);
  const speed = perSecond === undefined ? "" : `, ${Math.round(perSecond).toLocaleString("en")}/s`;
  return `${countsText(counts)}${speed}`;
}

function countsText({ toSchedule, success, failed, pending, unknown }: Extraction["counts"]): string {
  const of = (count: number, what: string) => `${count.toLocaleString("en")} ${what}`;
  const parts = [of(success, "described"), of(failed, "failed"), of(pending, "pending"), of(unknown, "not taken")];
  return `${countText(toSchedule, "task")}: ${parts.join(", ")}`;
}

/** What a person wants to know of one crawl. */
export function crawlLines(crawl: CrawlDetail): string[] {
  const { counts, changes } = crawl;
  const number = (count: number) => count.toLocaleString("en");
  return [
    `Crawl ${crawl.id}: ${crawl.status}`,
    ...crawl.endpoints.map((endpoint) => `  endpoint     ${endpointText(endpoint)}`),
    `  directories  ${number(counts.directories)}`,
    `  files        ${number(counts.files)}`,
    `  bytes        ${number(counts.bytes)} (${bytesText(counts.bytes)})`,
    `  groups       ${number(counts.groups)} in ${counts.families === 1 ? "1 family" : `${number(counts.families)} families`}`,
    ...(counts.others > 0 ? [`  not files    ${number(counts.others)} (links, sockets, devices, pipes)`] : []),
    ...(counts.errors > 0 ? [`  problems     ${number(counts.errors)} (longshore crawl problems ${crawl.id})`] : []),
    ...(crawl.previous === null ? [] : [`  since        ${crawl.previous}`]),
    ...(changes === null
      ? []
      : [
          `  changes      ${number(changes.new)} new, ${number(changes.changed)} changed, ${number(changes.same)} same, ${number(changes.gone)} gone`,
        ]),
    `  job          ${crawl.job}`,
    `  created      ${crawl.createdAt}`,
    ...(crawl.finishedAt === null ? [] : [`  finished     ${crawl.finishedAt}`]),
    ...(crawl.error ? [`  error[${crawl.error.code}]: ${crawl.error.message}`] : []),
    ...crawl.extractions.flatMap((extraction) => extractionLines(extraction).map((line) => `  ${line}`)),
  ];
}

function endpointText({ url, folders, grouper, pattern, hidden }: Crawl["endpoints"][number]): string {
  const details = [
    grouper,
    ...(pattern === null ? [] : [pattern]),
    ...(hidden ? [] : ["without hidden names"]),
    ...(folders.length === 1 && folders[0] === "" ? [] : [`only ${folders.join(", ")}`]),
  ];
  return `${url} (${details.join("; ")})`;
}

/** What a person wants to know of one extraction. */
export function extractionLines(extraction: Extraction): string[] {
  return [
    `Extraction ${extraction.id}: ${extraction.status}`,
    `  ${countsText(extraction.counts)}`,
    ...(extraction.extractors === null ? [] : [`  by       ${extraction.extractors.join(", ")}`]),
    ...(extraction.recordsFolder === null ? [] : [`  records  ${extraction.recordsFolder}`]),
    ...(extraction.error ? [`  error[${extraction.error.code}]: ${extraction.error.message}`] : []),
  ];
}

/** A file of a crawl on one line. */
export function fileLine({ change, path, sizeBytes }: CrawledFile): string {
  const size = sizeBytes === null ? "" : bytesText(sizeBytes);
  return `${change === null ? "" : `${change.padEnd(7)}  `}${size.padStart(9)}  ${path}`;
}

/** @throws LongshoreError when a crawl did not find everything, so that a script is told. */
export function requireWhole({ id, status, error, counts }: Crawl): void {
  if (status === "complete") return;
  if (status === "failed" && error) throw new LongshoreError(error.code, error.message, { details: error.details });
  if (status === "partial")
    throw new LongshoreError(
      "entry_unreadable",
      `Crawl ${id} is partial: ${countText(counts.errors, "thing")} could not be listed or read (longshore crawl problems ${id}).`,
      { details: { id, errors: counts.errors } },
    );
  throw new LongshoreError("job_cancelled", `Crawl ${id} is ${status}.`, { details: { id, status } });
}

/** @throws LongshoreError when an extraction came to no end of its own, or described nothing of what it should have. */
export function requireDescribed({ id, status, error, counts }: Extraction): void {
  if (status === "complete" && counts.failed > 0 && counts.success === 0)
    throw new LongshoreError(
      "extraction_failed",
      `Extraction ${id} described nothing: all ${countText(counts.failed, "task")} failed (longshore extract records ${id}).`,
      { details: { id, failed: counts.failed } },
    );
  if (status === "complete") return;
  if (error) throw new LongshoreError(error.code, error.message, { details: error.details });
  throw new LongshoreError("job_cancelled", `Extraction ${id} is ${status}.`, { details: { id, status } });
}
