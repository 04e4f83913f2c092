import {
  type AsyncBuffer,
  type ColumnMetaData,
  type FileMetaData,
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
  type SchemaElement,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed } from "../malformed.ts";
import { encodingOf } from "../text-encoding.ts";
import { type Cell, type CellType, type ColumnBudget, ColumnStatistics } from "./column-statistics.ts";
import { booleanCell, textCell } from "./workbook.ts";

/** Of one column in one row group, and of all that is read of a file: expanded. */
const MAX_CHUNK_BYTES = 32 * 1024 * 1024;
const MAX_READ_BYTES = 512 * 1024 * 1024;
/** Of a page, as it says itself: what is larger was made to fill memory. */
const MAX_PAGE_BYTES = 64 * 1024 * 1024;
const MAX_METADATA_BYTES = 64 * 1024 * 1024;

export interface ParquetFile {
  readonly metadata: FileMetaData;
  readonly columns: readonly ParquetColumn[];
  /** A column's values, or `undefined` where there are too many to be read, or they lie in lists. */
  values(column: ParquetColumn, budget: ColumnBudget): Promise<ColumnStatistics | undefined>;
}

/** A leaf of the schema. */
export interface ParquetColumn {
  readonly path: readonly string[];
  readonly element: SchemaElement;
  /** Whether there is one value for each row, or none. */
  readonly isFlat: boolean;
  /** Its parts, one in each row group. */
  readonly chunks: readonly ColumnMetaData[];
}

/** @throws AppError content_malformed when it is no Parquet file. */
export async function openParquet(bytes: LocalBytes): Promise<ParquetFile> {
  const footer = bytes.read(Math.max(0, bytes.sizeBytes - 8), 8);
  if (footer.length < 8 || footer.toString("latin1", 4) !== "PAR1") throw malformed("it does not end as Parquet does");
  if (footer.readUInt32LE() > Math.min(bytes.sizeBytes, MAX_METADATA_BYTES))
    throw malformed("its metadata is too large");
  const file: AsyncBuffer = {
    byteLength: bytes.sizeBytes,
    slice(start, end = bytes.sizeBytes) {
      const read = bytes.read(start, end - start);
      return new Uint8Array(read).buffer;
    },
  };
  const metadata = await ofTheFile(() => parquetMetadataAsync(file, { geoparquet: false }));
  if (!isWhole(metadata)) throw malformed("its metadata lacks what it must have");
  const columns = await ofTheFile(async () => columnsOf(metadata));
  let left = MAX_READ_BYTES;

  return {
    metadata,
    columns,
    async values(column, budget) {
      const sizes = column.chunks.map((chunk) => Number(chunk.total_uncompressed_size));
      const total = sizes.reduce((sum, size) => sum + size, 0);
      if (!column.isFlat || total > left || sizes.some((size) => size > MAX_CHUNK_BYTES)) return undefined;
      left -= total;
      return ofTheFile(async () => {
        const statistics = new ColumnStatistics(budget);
        const cellOf = cellsOf(column.element);
        const name = column.path[0] ?? "";
        const scan = await parquetScan({
          file,
          metadata,
          columns: [name],
          compressors: bounded,
          utf8: false,
          geoparquet: false,
        });
        for (const { rowStart, rowEnd } of scan.ranges)
          for (const value of await scan.readColumn({ column: name, rowStart, rowEnd })) add(statistics, value, cellOf);
        return statistics;
      });
    },
  };
}

/** Decompressors that do not believe every size a page says. */
const bounded = Object.fromEntries(
  Object.entries(compressors).map(([codec, decompress]) => [
    codec,
    (input: Uint8Array, outputLength: number) => {
      if (outputLength > MAX_PAGE_BYTES) throw malformed(`a page of ${outputLength} bytes`);
      return decompress(input, outputLength);
    },
  ]),
);

/** The library has no errors of its own: whatever it throws, it is of the file. */
async function ofTheFile<T>(use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    throw malformed(`it cannot be read: ${error instanceof Error ? error.message.slice(0, 200) : String(error)}`);
  }
}

/** The library takes fields as they come, whatever its types promise. */
function isWhole({ version, num_rows, schema, row_groups }: FileMetaData): boolean {
  const isCount = (value: unknown) => typeof value === "bigint" && value >= 0n && value < 2n ** 53n;
  return (
    Number.isInteger(version) &&
    version >= 0 &&
    isCount(num_rows) &&
    schema.every(({ name }) => typeof name === "string") &&
    row_groups.every(({ columns }) =>
      columns.every(
        ({ meta_data: chunk }) =>
          chunk === undefined ||
          ([chunk.num_values, chunk.total_compressed_size, chunk.total_uncompressed_size].every(isCount) &&
            Array.isArray(chunk.encodings)),
      ),
    )
  );
}

function columnsOf(metadata: FileMetaData): readonly ParquetColumn[] {
  const leaves: ParquetColumn[] = [];
  const chunks = Map.groupBy(
    metadata.row_groups.flatMap(({ columns }) => columns.flatMap(({ meta_data }) => meta_data ?? [])),
    ({ path_in_schema }) => JSON.stringify(path_in_schema),
  );
  function walk({ children, element, path }: ReturnType<typeof parquetSchema>): void {
    for (const child of children) walk(child);
    if (children.length > 0 || path.length === 0) return;
    const isFlat = path.length === 1 && element.repetition_type !== "REPEATED";
    leaves.push({ path, element, isFlat, chunks: chunks.get(JSON.stringify(path)) ?? [] });
  }
  walk(parquetSchema(metadata));
  return leaves;
}

function add(statistics: ColumnStatistics, value: unknown, cellOf: (value: unknown) => Cell | undefined): void {
  if (value === null || value === undefined) statistics.addMissing(1);
  else if (value instanceof Uint8Array) addBytes(statistics, value);
  else statistics.addCell(cellOf(value));
}

/** Bytes of which nothing is said; older writers mean text by them. */
function addBytes(statistics: ColumnStatistics, bytes: Uint8Array): void {
  if (encodingOf(bytes) === "utf-8") statistics.addCell(textCell(Buffer.from(bytes).toString("utf8")));
  else statistics.addOpaque();
}

/** Cells of one column: `undefined` for what is no value, as NaN and text of blanks. */
function cellsOf(element: SchemaElement): (value: unknown) => Cell | undefined {
  const type = typeBySchema(element);
  const logical = element.logical_type?.type ?? element.converted_type ?? "";
  const isDay = logical === "DATE";
  const perSecond = secondsOf(element);
  return (value) => {
    switch (typeof value) {
      case "number":
      case "bigint": {
        const number = Number(value);
        if (Number.isNaN(number)) return undefined;
        if (perSecond !== undefined) return { type: "date", text: clock(number / perSecond) };
        return { type: type === "number" ? "number" : "integer", text: String(value), number };
      }
      case "boolean":
        return booleanCell(value);
      case "string":
        return textCell(value);
      default:
        return value instanceof Date ? dateCell(value, isDay) : textCell(JSON.stringify(value));
    }
  };
}

/** Units in a second, of a column of times of day. */
function secondsOf({ logical_type, converted_type }: SchemaElement): number | undefined {
  const unit = logical_type?.type === "TIME" ? logical_type.unit : undefined;
  if (unit === "MILLIS" || converted_type === "TIME_MILLIS") return 1e3;
  if (unit === "MICROS" || converted_type === "TIME_MICROS") return 1e6;
  return unit === "NANOS" ? 1e9 : undefined;
}

function clock(seconds: number): string {
  const inDay = seconds >= 0 && seconds < 86_400;
  return inDay ? new Date(Math.floor(seconds * 1000)).toISOString().slice(11, -1).replace(".000", "") : `${seconds} s`;
}

function dateCell(value: Date, isDay: boolean): Cell | undefined {
  if (Number.isNaN(value.getTime())) return undefined;
  const text = value.toISOString();
  return { type: "date", text: isDay ? text.slice(0, 10) : text.replace(".000Z", "Z") };
}

/** What a column's values are, by its schema alone. */
export function typeBySchema({ type, logical_type, converted_type }: SchemaElement): CellType {
  const logical = logical_type?.type ?? converted_type ?? "";
  if (/^(DATE|TIMESTAMP|TIME)/.test(logical) || type === "INT96") return "date";
  if (logical === "DECIMAL" || logical === "FLOAT16") return "number";
  if (type === "BOOLEAN") return "boolean";
  if (type === "INT32" || type === "INT64") return "integer";
  return type === "FLOAT" || type === "DOUBLE" ? "number" : "text";
}
