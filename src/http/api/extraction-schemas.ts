import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import { EXTRACTION_STATUSES, type Extraction, type ExtractionRecord } from "../../core/extract/extraction.ts";
import type { ExtractorFacts } from "../../core/extract/extractions.ts";
import { extractionId } from "../../core/ids.ts";
import { UuidId } from "./crawl-schemas.ts";
import { FileProblemSchema, timeOrNull } from "./schemas.ts";

/** What the wire says of extractions, with the functions that make it from ours. */

const Time = z.iso.datetime().describe("ISO 8601 in UTC.");

export const ExtractionParams = z.strictObject({
  id: UuidId.transform(extractionId).describe("The extraction's id."),
});
export const RecordParams = ExtractionParams.extend({
  number: z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER).describe("The record's number."),
});

/** What a crawl is to be described with. */
export const ExtractionBody = z.strictObject({
  extractors: z
    .array(z.string().min(1).max(64))
    .min(1)
    .max(1_000)
    .exactOptional()
    .describe("Names; all that are known when left out."),
  recordsFolder: z
    .string()
    .min(1)
    .max(4096)
    .exactOptional()
    .describe("Folder of the server that records are also written to, as one JSON file for each family."),
});

const ErrorSchema = z.object({ code: z.string(), message: z.string(), details: z.record(z.string(), z.unknown()) });

export const ExtractionSchema = z
  .object({
    id: z.uuid(),
    crawl: z.uuid(),
    owner: z.string().describe("Who started it."),
    status: z.enum(EXTRACTION_STATUSES),
    extractors: z.array(z.string()).nullable().describe("null: all that are known."),
    recordsFolder: z.string().nullable(),
    counts: z
      .object({
        pulled: z.int().describe("Families looked at."),
        toSchedule: z.int().describe("Groups for extractors; at any time the sum of the following four."),
        success: z.int(),
        failed: z.int().describe("Their records say why there is no description."),
        pending: z.int(),
        unknown: z.int().describe("Groups that no extractor takes."),
      })
      .describe("They rise while it runs."),
    job: z.int().describe("Its events: /api/v1/jobs/{id}/events."),
    error: ErrorSchema.nullable().describe("Why it failed; while it goes on, what it waits for: room."),
    createdAt: Time,
    finishedAt: Time.nullable(),
  })
  .meta({ id: "Extraction", description: "Describing what a crawl found, while it runs or after." });

export function extractionOnWire(extraction: Extraction): z.output<typeof ExtractionSchema> {
  const { doneSeq: _, extractors, counts, createdAt, finishedAt, ...same } = extraction;
  return {
    ...same,
    extractors: extractors && [...extractors],
    counts: { ...counts },
    createdAt: isoTime(createdAt),
    finishedAt: timeOrNull(finishedAt),
  };
}

export const RecordSchema = z
  .object({
    number: z.int().describe("Counted from 1 in each extraction."),
    extraction: z.uuid(),
    crawl: z.uuid(),
    family: z.uuid(),
    group: z.int().describe("Which group of its family, counted from 0."),
    groupKind: z.string().describe("Why its files belong together: the grouper's own word."),
    extractor: z.string(),
    version: z.string(),
    files: z.array(z.object({ endpoint: z.int(), path: z.string(), sizeBytes: z.int() })),
    data: z.record(z.string(), z.unknown()).nullable().describe("By the extractor's schema; null when it failed."),
    problems: z.array(FileProblemSchema).describe("What could not be read, though the rest could."),
    failure: z.object({ reason: z.string(), message: z.string() }).nullable().describe("Why there is no data."),
    durationMs: z.number(),
    createdAt: Time,
  })
  .meta({ id: "Record", description: "What an extractor said of a group of files, or why it said nothing." });

export function recordOnWire(record: ExtractionRecord): z.output<typeof RecordSchema> {
  return {
    ...record,
    files: record.files.map((file) => ({ ...file })),
    problems: [...record.problems],
    createdAt: isoTime(record.createdAt),
  };
}

export const ExtractorSchema = z
  .object({
    name: z.string(),
    version: z.string(),
    takes: z.object({
      mediaTypes: z.array(z.string()).describe("By content."),
      extensions: z.array(z.string()).describe("Looked at where content says no more than text or bytes."),
    }),
    schema: z.record(z.string(), z.unknown()).nullable().describe("JSON Schema of its records' data, if it says."),
    isBuiltIn: z.boolean(),
  })
  .meta({ id: "Extractor" });

export function extractorOnWire({ takes, ...facts }: ExtractorFacts): z.output<typeof ExtractorSchema> {
  return { ...facts, takes: { mediaTypes: [...takes.mediaTypes], extensions: [...takes.extensions] } };
}
