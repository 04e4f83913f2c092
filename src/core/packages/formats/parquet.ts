import type { SchemaElement } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { AppError } from "../../errors.ts";
import { cellText, jsonText } from "../cell-text.ts";
import { valuesOf } from "../page-rows.ts";
import type { PackageSink, RowFormat } from "../row-format.ts";
import { type Cell, ExactNumber, type Field } from "../rows.ts";

const NAME = "resource.parquet";
/** Rows that are held, as values, before they are written as one row group: of 21 columns, 50,000 took 130 MiB more. */
const GROUP_ROWS = 10_000;

interface Column {
  readonly element: SchemaElement;
  /** What the type cannot hold becomes null never: it is an error of the portal's. */
  value(cell: Cell): unknown;
  values: unknown[];
}

/**
 * Parquet with snappy pages, a row group for {@link GROUP_ROWS} rows. PostgreSQL's types are kept where Parquet has
 * the same: whole numbers, floating point, booleans. Decimals without a declared precision, times and everything else are
 * text as the portal spelled them; JSON is JSON.
 */
export function parquetFormat(): RowFormat {
  let fields: readonly Field[] = [];
  let columns: Column[] = [];
  let rows = 0;
  const bytes = new ByteWriter(1024 * 1024);
  let writer: ParquetWriter | undefined;

  async function flush(sink: PackageSink): Promise<void> {
    if (!writer) throw new AppError("internal", { expected: "begin before page" });
    if (rows > 0) {
      const columnData = columns.map(({ element, values }) => ({ name: element.name, data: values }));
      await writer.write({ columnData, rowGroupSize: rows });
      for (const column of columns) column.values = [];
      rows = 0;
    }
    await handOver(sink);
  }

  /** The writer's buffer begins anew; its offsets go on. */
  async function handOver(sink: PackageSink): Promise<void> {
    const written = bytes.getBytes().slice();
    bytes.index = 0;
    await sink.member(NAME, { stored: true }).write(written);
  }

  return {
    async begin(all, sink) {
      fields = all;
      columns = columnsOf(all);
      const schema: SchemaElement[] = [
        { name: "root", num_children: columns.length },
        ...columns.map(({ element }) => element),
      ];
      writer = new ParquetWriter({ writer: bytes, schema });
      await handOver(sink);
    },
    async page({ content }, sink) {
      for (const row of valuesOf(content, fields)) {
        for (const [at, column] of columns.entries()) column.values.push(column.value(row[at] ?? null));
        rows++;
        if (rows === GROUP_ROWS) await flush(sink);
      }
    },
    async end(sink) {
      await flush(sink);
      await writer?.finish();
      await handOver(sink);
    },
  };
}

const INT32 = { least: -(2 ** 31), most: 2 ** 31 - 1 };

function columnsOf(fields: readonly Field[]): Column[] {
  const names = new Set<string>();
  return fields.map((field) => {
    // Two columns of one name cannot be told apart by readers.
    let name = field.id;
    for (let n = 2; names.has(name); n++) name = `${field.id} (${n})`;
    names.add(name);
    return { ...columnOf(name, field.type), values: [] };
  });
}

function columnOf(name: string, type: string): Omit<Column, "values"> {
  const common = { name, repetition_type: "OPTIONAL" } as const;
  const unfit = (cell: Cell) =>
    new AppError("portal_refused", {
      column: name,
      expected: `a value of ${type}`,
      found: cellText(cell).slice(0, 100),
    });
  if (/^(?:int[24]?|integer|smallint|serial)$/.test(type))
    return {
      element: { ...common, type: "INT32" },
      value(cell) {
        if (cell === null) return undefined;
        if (typeof cell === "number" && Number.isInteger(cell) && cell >= INT32.least && cell <= INT32.most)
          return cell;
        throw unfit(cell);
      },
    };
  if (/^(?:int8|bigint|bigserial)$/.test(type))
    return {
      element: { ...common, type: "INT64" },
      value(cell) {
        if (cell === null) return undefined;
        const text = cellText(cell);
        if (!/^-?\d{1,19}$/.test(text)) throw unfit(cell);
        return BigInt(text);
      },
    };
  if (/^(?:float[48]?|real|double precision)$/.test(type))
    return {
      element: { ...common, type: "DOUBLE" },
      value(cell) {
        if (cell === null) return undefined;
        const number = Number(cellText(cell));
        if (Number.isNaN(number) && cell !== "NaN") throw unfit(cell);
        return number;
      },
    };
  if (type === "bool" || type === "boolean")
    return {
      element: { ...common, type: "BOOLEAN" },
      value(cell) {
        if (cell === null) return undefined;
        if (typeof cell !== "boolean") throw unfit(cell);
        return cell;
      },
    };
  const isJson = /^(?:jsonb?|nested|_.+|.+\[\])$/.test(type);
  return {
    element: { ...common, type: "BYTE_ARRAY", converted_type: "UTF8" },
    value(cell) {
      if (cell === null) return undefined;
      if (typeof cell === "string") return isJson ? JSON.stringify(cell) : cell;
      return cell instanceof ExactNumber ? cell.text : jsonText(cell);
    },
  };
}
