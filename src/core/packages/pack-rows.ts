import { randomUUID } from "node:crypto";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { ckanRows } from "./ckan/ckan-rows.ts";
import { dwcaFormat } from "./dwca/dwca.ts";
import type { DwcaSettings } from "./dwca/settings.ts";
import { delimitedFormat } from "./formats/delimited.ts";
import { jsonLinesFormat } from "./formats/json-lines.ts";
import { xlsxFormat } from "./formats/xlsx.ts";
import type { PackCheckpoint, Recipe } from "./package.ts";
import type { Packing } from "./package-job.ts";
import type { PackageSink, RowFormat } from "./row-format.ts";
import type { RowSource } from "./rows.ts";

/**
 * What is lost at most when a process dies. A checkpoint flushes and syncs every member: 50 of them, one after each page of
 * 400,000 rows × 21 columns, made no difference that could be measured (7.7 to 8.7 CPU seconds with them, and with two;
 * November 2026). But that of a Darwin Core Archive holds the ids that it has seen.
 */
const CHECKPOINT_EVERY_MS = 5_000;

/** Rows of a portal into a package, from the last whole page of an earlier worker on where that is possible. */
export async function packRows(packing: Packing): Promise<{ readonly rowCount: number }> {
  const { made, key, fetch, clock, dwca, tasks, signal } = packing;
  const { recipe } = made;
  const { apiUrl } = recipe;
  if (apiUrl === undefined) throw new AppError("request_invalid", { field: "apiUrl", expected: "an address" });

  await tasks.begin("fetch");
  const source = await ckanRows({ fetch, clock, recipe: { ...recipe, apiUrl }, key, signal });
  const { declaredRows } = source;
  const format = await formatOf(recipe, declaredRows, dwca, clock);

  const { sink, earlier } = await opened(packing, source, format);
  let rowCount = earlier?.rowCount ?? 0;
  await tasks.begin("fetch", declaredRows === null ? {} : { rows: declaredRows });
  tasks.advance({ rows: rowCount });

  let savedAt = clock.now();
  for await (const page of source.pages(earlier?.next, signal)) {
    signal.throwIfAborted();
    await format.page(page, sink);
    rowCount += page.rowCount;
    tasks.advance({ rows: page.rowCount });
    if (page.next === null || clock.now() - savedAt < CHECKPOINT_EVERY_MS) continue;
    const state = format.state?.() ?? null;
    savedAt = clock.now();
    if (state !== null)
      await packing.save({ format: state, next: page.next, rowCount, declaredRows, fields: fieldTexts(source) });
  }
  await format.end(sink);
  return { rowCount };
}

/** The package as it was at the checkpoint, if the resource is what it was then; else begun anew. */
async function opened(
  packing: Packing,
  source: RowSource,
  format: RowFormat,
): Promise<{ readonly sink: PackageSink; readonly earlier: PackCheckpoint | undefined }> {
  const { earlier } = packing;
  if (earlier && format.resume && fitsStill(earlier, source)) {
    try {
      const sink = await packing.open(earlier);
      format.resume(source.fields, earlier.format);
      return { sink, earlier };
    } catch (error) {
      // What was durable on another machine's disk, or was removed by somebody, is not there.
      if (!(error instanceof AppError && error.code === "object_corrupt")) throw error;
    }
  }
  const sink = await packing.open();
  await format.begin(source.fields, sink);
  return { sink, earlier: undefined };
}

function fitsStill(earlier: PackCheckpoint, source: RowSource): boolean {
  const texts = fieldTexts(source);
  return (
    earlier.declaredRows === source.declaredRows &&
    earlier.fields.length === texts.length &&
    texts.every((text, at) => text === earlier.fields[at])
  );
}

const fieldTexts = ({ fields }: RowSource) => fields.map(({ id, type }) => `${type} ${id}`);

async function formatOf(
  recipe: Recipe,
  declaredRows: number | null,
  dwca: DwcaSettings,
  clock: Clock,
): Promise<RowFormat> {
  const { kind, format, eml, forGbif = false } = recipe;
  if (kind === "dwca")
    return dwcaFormat(dwca, {
      format: format === "tsv" ? "tsv" : "csv",
      eml,
      forGbif,
      packageId: randomUUID(),
      now: clock.now(),
    });
  switch (format) {
    case "csv":
    case "tsv":
      return delimitedFormat(format);
    case "xlsx":
      return xlsxFormat(declaredRows);
    case "jsonl":
      return jsonLinesFormat();
    case "parquet": {
      const { parquetFormat } = await import("./formats/parquet.ts"); // with its libraries: seldom wanted
      return parquetFormat();
    }
  }
}
