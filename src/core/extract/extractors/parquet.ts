import type { ColumnMetaData, SchemaElement } from "hyparquet";
import type { Problem } from "../../errors.ts";
import type { RecordData } from "../extractor.ts";
import { fileByFile } from "../file-by-file.ts";
import { malformedProblem } from "../malformed.ts";
import { COUNT, FLAG, listSchema, NUMBER, objectSchema, orNull, TEXT } from "../record-schema.ts";
import { COLUMN_FIELDS, columnBudget, MAX_COLUMNS } from "../tables/column-statistics.ts";
import { openParquet, type ParquetColumn, typeBySchema } from "../tables/parquet.ts";

const MAX_KEYS = 200;

/** Parquet files: schema, row groups, and what their columns hold, as `tabular-text` tells it of a table. */
export const extractor = fileByFile({
  name: "parquet",
  version: "1",
  takes: { mediaTypes: ["application/vnd.apache.parquet"], extensions: [] },
  schema: objectSchema({
    version: COUNT,
    createdBy: orNull(TEXT),
    rows: COUNT,
    rowGroups: COUNT,
    compressedBytes: { ...NUMBER, description: "of all columns" },
    uncompressedBytes: NUMBER,
    keys: { ...listSchema(TEXT), description: "of what its writer has noted besides" },
    columnCount: COUNT,
    columns: listSchema(
      objectSchema({
        path: { ...listSchema(TEXT), description: "names from the outermost group to the column" },
        physicalType: orNull(TEXT),
        logicalType: orNull(TEXT),
        isRequired: FLAG,
        codecs: listSchema(TEXT),
        encodings: listSchema(TEXT),
        compressedBytes: NUMBER,
        uncompressedBytes: NUMBER,
        from: {
          enum: ["data", "metadata"],
          description:
            "where the following is from: of large columns, and of those in lists, from what the file says of itself",
        },
        ...COLUMN_FIELDS,
        missing: orNull(COUNT),
      }),
    ),
  }),
  async describe(bytes, { name }) {
    const file = await openParquet(bytes);
    const { metadata } = file;
    const problems: Problem[] = [];
    const budget = columnBudget();

    async function described(column: ParquetColumn): Promise<RecordData> {
      const label = column.path.join(".");
      try {
        const statistics = await file.values(column, budget);
        if (statistics) return { from: "data", ...statistics.record(label) };
      } catch (error) {
        problems.push(malformedProblem(error, `${name}:${label}`));
      }
      return { from: "metadata", name: label.toWellFormed(), ...bySchema(column) };
    }

    const columns: RecordData[] = [];
    for (const column of file.columns.slice(0, MAX_COLUMNS)) {
      const { path, element, chunks } = column;
      columns.push({
        path: path.map((part) => part.toWellFormed()),
        physicalType: element.type ?? null,
        logicalType: logicalType(element),
        isRequired: element.repetition_type === "REQUIRED",
        codecs: [...new Set(chunks.map(({ codec }) => String(codec)))],
        encodings: [...new Set(chunks.flatMap(({ encodings }) => encodings.map(String)))],
        compressedBytes: total(chunks, "total_compressed_size"),
        uncompressedBytes: total(chunks, "total_uncompressed_size"),
        ...(await described(column)),
      });
    }
    const all = file.columns.flatMap(({ chunks }) => chunks);
    const data = {
      version: metadata.version,
      createdBy: metadata.created_by?.slice(0, 500).toWellFormed() ?? null,
      rows: Number(metadata.num_rows),
      rowGroups: metadata.row_groups.length,
      compressedBytes: total(all, "total_compressed_size"),
      uncompressedBytes: total(all, "total_uncompressed_size"),
      keys: (metadata.key_value_metadata ?? []).slice(0, MAX_KEYS).map(({ key }) => key.slice(0, 500).toWellFormed()),
      columnCount: file.columns.length,
      columns,
    };
    return { data, problems };
  },
});

function total(chunks: readonly ColumnMetaData[], size: "total_compressed_size" | "total_uncompressed_size"): number {
  return chunks.reduce((sum, chunk) => sum + Number(chunk[size]), 0);
}

function logicalType({ logical_type, converted_type, precision, scale }: SchemaElement): string | null {
  if (logical_type?.type === "DECIMAL" || (!logical_type && converted_type === "DECIMAL"))
    return `DECIMAL(${precision ?? "?"},${scale ?? 0})`;
  return logical_type?.type ?? converted_type ?? null;
}

/** What a file says of a column itself: each of its chunks may, or may not. */
function bySchema({ element, chunks }: ParquetColumn): RecordData {
  const type = typeBySchema(element);
  const values = chunks.reduce((sum, { num_values }) => sum + Number(num_values), 0);
  const missing = sumOf(chunks.map(({ statistics }) => statistics?.null_count));
  const count = values - (missing ?? 0);
  const numbers = (of: (chunk: ColumnMetaData) => unknown) => chunks.map(of).map(numberOf);
  const minima = numbers(({ statistics }) => statistics?.min_value ?? statistics?.min);
  const maxima = numbers(({ statistics }) => statistics?.max_value ?? statistics?.max);
  return {
    type: count > 0 ? type : "empty",
    types: count > 0 ? { [type]: count } : {},
    count,
    missing: missing ?? null,
    min: minima.every((one) => one !== undefined) && minima.length > 0 ? Math.min(...minima) : null,
    max: maxima.every((one) => one !== undefined) && maxima.length > 0 ? Math.max(...maxima) : null,
    mean: null,
    distinct: null,
    modes: null,
  };
}

function sumOf(counts: readonly (bigint | undefined)[]): number | undefined {
  return counts.reduce<number | undefined>(
    (sum, count) => (sum === undefined || count === undefined ? undefined : sum + Number(count)),
    0,
  );
}

function numberOf(value: unknown): number | undefined {
  if (typeof value !== "number" && typeof value !== "bigint") return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number + 0 : undefined;
}
