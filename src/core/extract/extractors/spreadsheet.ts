import { type Problem, problem } from "../../errors.ts";
import type { RecordData } from "../extractor.ts";
import { fileByFile } from "../file-by-file.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed } from "../malformed.ts";
import { mediaTypeOfFile } from "../media-type.ts";
import { FLAG, listSchema, objectSchema, TEXT } from "../record-schema.ts";
import { columnBudget } from "../tables/column-statistics.ts";
import { readOds } from "../tables/ods.ts";
import { type SheetTable, sheetTable } from "../tables/sheet-table.ts";
import { TABLE_FIELDS } from "../tables/table-record.ts";
import type { WorkbookSink } from "../tables/workbook.ts";
import { readXls } from "../tables/xls.ts";
import { readXlsx } from "../tables/xlsx.ts";

interface SheetFormat {
  readonly name: "xls" | "xlsx" | "ods";
  read(bytes: LocalBytes, sink: WorkbookSink): void | Promise<void>;
}

/** By media type. */
const FORMATS: Readonly<Record<string, SheetFormat>> = {
  "application/vnd.ms-excel": { name: "xls", read: readXls },
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": { name: "xlsx", read: readXlsx },
  "application/vnd.oasis.opendocument.spreadsheet": { name: "ods", read: readOds },
};

/**
 * Spreadsheets: of each sheet, what `tabular-text` tells of a table. Cells say themselves whether they are numbers or
 * dates: a number that is written as text is text.
 */
export const extractor = fileByFile({
  name: "spreadsheet",
  version: "1",
  takes: { mediaTypes: Object.keys(FORMATS), extensions: [] },
  schema: objectSchema({
    format: { enum: ["xls", "xlsx", "ods"] },
    isWhole: { ...FLAG, description: "false when damage or a limit left something out" },
    sheets: listSchema(objectSchema({ name: TEXT, isHidden: FLAG, ...TABLE_FIELDS })),
  }),
  async describe(bytes, { name: path }) {
    const format = FORMATS[mediaTypeOfFile(bytes)];
    if (format === undefined) throw malformed("it is no spreadsheet of a known format");
    const problems: Problem[] = [];
    const budget = columnBudget();
    const sheets: { readonly about: RecordData; readonly table: SheetTable }[] = [];
    await format.read(bytes, {
      sheet(name, isHidden) {
        const table = sheetTable(budget);
        sheets.push({ about: { name, isHidden }, table });
        return table.add;
      },
      problem(hint) {
        problems.push(problem("content_malformed", { path, hint }));
      },
    });
    const data = {
      format: format.name,
      isWhole: problems.length === 0,
      sheets: sheets.map(({ about, table }) => ({ ...about, ...table.record() })),
    };
    return { data, problems };
  },
});
