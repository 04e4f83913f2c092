import type { Kysely, NotNull, Selectable } from "kysely";
import { AppError } from "../../core/errors.ts";
import type { Extraction, ExtractionRecord, ExtractionStatus } from "../../core/extract/extraction.ts";
import type { Described, ExtractionStore } from "../../core/extract/extraction-store.ts";
import type { ExtractionId } from "../../core/ids.ts";
import { NO } from "./crawl-rows.ts";
import { insertRows } from "./insert-rows.ts";
import { createJob, type Enqueue } from "./job-writes.ts";
import type { DialectName } from "./migrate.ts";
import { noteChanges } from "./search-changes.ts";
import { type ExtractionRecordRow, type ExtractionRow, fromJson, type Tables, toJson } from "./tables.ts";

const ROWS_PER_STATEMENT = 500;

/**
 * Extractions in SQLite or PostgreSQL. Records are kept behind the lock of their extraction's row: they are numbered without
 * gaps, and become visible in the order of their numbers.
 */
export function sqlExtractionStore(db: Kysely<Tables>, dialect: DialectName, enqueue: Enqueue): ExtractionStore {
  const seen = () => db.selectFrom("extractions").selectAll().where("removed", "=", NO);

  const recordsOf = (id: ExtractionId) =>
    db
      .selectFrom("extractionRecords")
      .innerJoin("extractions", "extractions.number", "extractionRecords.extraction")
      .selectAll("extractionRecords")
      .select("extractions.crawl")
      .where("extractions.id", "=", id)
      .where("extractions.removed", "=", NO);

  return {
    create: ({ job: { input: more, ...job }, now, extractors, ...given }) =>
      db.transaction().execute(async (tx) => {
        const crawl = await tx
          .selectFrom("crawls")
          .select("number")
          .where("id", "=", given.crawl)
          .where("removed", "=", NO)
          // It is not removed before this has committed.
          .$if(dialect === "postgres", (select) => select.forShare())
          .executeTakeFirst();
        if (!crawl) throw new AppError("crawl_unknown", { id: given.crawl });
        const row = await tx
          .insertInto("extractions")
          .values({
            ...given,
            extractors: extractors && toJson(extractors),
            status: "waiting",
            pulled: 0,
            success: 0,
            failed: 0,
            pending: 0,
            unknown: 0,
            doneSeq: 0,
            lastNumber: 0,
            job: job.id,
            error: null,
            createdAt: now,
            finishedAt: null,
            removed: 0,
          })
          .returningAll()
          .executeTakeFirstOrThrow();
        const input = { ...more, extraction: given.id };
        await createJob(tx, enqueue, { ...job, owner: given.owner, input, idempotencyKey: null, fedUntil: null, now });
        return extractionOf(row);
      }),

    async get(id) {
      const row = await seen().where("id", "=", id).executeTakeFirst();
      return row && extractionOf(row);
    },

    async ofCrawl(crawl) {
      return (await seen().where("crawl", "=", crawl).orderBy("number", "desc").execute()).map(extractionOf);
    },

    async update(id, from, { error, ...plain }) {
      const row = await db
        .updateTable("extractions")
        // Kysely leaves out columns whose value is `undefined`; `removed` is there for those who change nothing.
        .set({ removed: 0, ...plain, error: error && toJson(error), pending: isFinal(plain.status) ? 0 : undefined })
        .where("id", "=", id)
        .where("status", "in", from)
        .where("removed", "=", NO)
        .returningAll()
        .executeTakeFirst();
      return row && extractionOf(row);
    },

    async pending(id, tasks) {
      await db
        .updateTable("extractions")
        .set({ pending: tasks })
        .where("id", "=", id)
        .where("status", "in", ["waiting", "extracting"])
        .execute();
    },

    keep: (id, afterSeq, { seq, records, counts, pending }, now) =>
      db.transaction().execute(async (tx) => {
        const row = await tx
          .updateTable("extractions")
          .set((extraction) => ({
            pulled: extraction("pulled", "+", counts.pulled),
            success: extraction("success", "+", counts.success),
            failed: extraction("failed", "+", counts.failed),
            unknown: extraction("unknown", "+", counts.unknown),
            pending,
            doneSeq: seq,
            lastNumber: extraction("lastNumber", "+", records.length),
          }))
          .where("id", "=", id)
          .where("status", "=", "extracting")
          .where("doneSeq", "=", afterSeq)
          .where("removed", "=", NO)
          .returning(["number", "lastNumber"])
          .executeTakeFirst();
        if (!row) return false;
        const first = row.lastNumber - records.length + 1;
        for (let at = 0; at < records.length; at += ROWS_PER_STATEMENT) {
          const rows = records
            .slice(at, at + ROWS_PER_STATEMENT)
            .map((record, index) => recordRow(row.number, first + at + index, record, now));
          await insertRows(tx, "extractionRecords", rows).execute();
        }
        if (records.length > 0) await noteChanges(tx, [{ extraction: id, from: first, until: row.lastNumber }]);
        return true;
      }),

    async records(id, afterNumber, limit) {
      const rows = await recordsOf(id)
        .where("extractionRecords.number", ">", afterNumber)
        .orderBy("extractionRecords.number")
        .limit(limit)
        .execute();
      return rows.map((row) => recordOf(row, id));
    },

    async record(id, number) {
      const row = await recordsOf(id).where("extractionRecords.number", "=", number).executeTakeFirst();
      return row && recordOf(row, id);
    },

    recordsFolders: () =>
      db
        .selectFrom("extractions")
        .select(["owner", "recordsFolder as folder"])
        .distinct()
        .where("recordsFolder", "is not", null)
        .where("removed", "=", NO)
        .$narrowType<{ folder: NotNull }>()
        .execute(),
  };
}

const isFinal = (status: ExtractionStatus | undefined) =>
  status !== undefined && status !== "waiting" && status !== "extracting";

function extractionOf(row: Selectable<ExtractionRow>): Extraction {
  const { pulled, success, failed, pending, unknown } = row;
  return {
    id: row.id,
    crawl: row.crawl,
    owner: row.owner,
    status: row.status,
    extractors: row.extractors && fromJson(row.extractors),
    recordsFolder: row.recordsFolder,
    counts: { pulled, toSchedule: success + failed + pending + unknown, success, failed, pending, unknown },
    doneSeq: row.doneSeq,
    job: row.job,
    error: row.error && fromJson(row.error),
    createdAt: row.createdAt,
    finishedAt: row.finishedAt,
  };
}

function recordRow(
  extraction: number,
  number: number,
  { group, files, data, problems, failure, ...plain }: Described["records"][number],
  now: number,
): Omit<ExtractionRecordRow, "id"> {
  return {
    ...plain,
    extraction,
    number,
    groupIndex: group,
    files: toJson(files),
    data: data && toJson(data),
    problems: toJson(problems),
    failure: failure && toJson(failure),
    createdAt: now,
  };
}

function recordOf(
  row: Selectable<ExtractionRecordRow> & Pick<ExtractionRecord, "crawl">,
  extraction: ExtractionId,
): ExtractionRecord {
  return {
    number: row.number,
    extraction,
    crawl: row.crawl,
    family: row.family,
    group: row.groupIndex,
    groupKind: row.groupKind,
    extractor: row.extractor,
    version: row.version,
    files: fromJson(row.files),
    data: row.data && fromJson(row.data),
    problems: fromJson(row.problems),
    failure: row.failure && fromJson(row.failure),
    durationMs: row.durationMs,
    createdAt: row.createdAt,
  };
}
