import { zipParts } from "../documents/zip-part.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed } from "../malformed.ts";
import type { Cell } from "./column-statistics.ts";
import { readPart } from "./part-events.ts";
import {
  booleanCell,
  MAX_CELL_CHARS,
  MAX_SHEET_COLUMNS,
  MAX_SHEETS,
  numberCell,
  textCell,
  type WorkbookSink,
} from "./workbook.ts";

/** Rows of a sheet are often followed by one that stands for all the others. */
const MAX_REPEATS = 1_048_576;

type Attributes = Readonly<Record<string, string>>;

/**
 * Reads the sheets of an OpenDocument spreadsheet (OpenDocument 1.3 part 3, 9), row by row.
 * @throws AppError content_malformed when it is none.
 */
export async function readOds(bytes: LocalBytes, sink: WorkbookSink): Promise<void> {
  const [content] = zipParts(bytes, (path) => path === "content.xml");
  if (content === undefined) throw malformed("it has no content.xml");
  const hiddenStyles = new Set<string>();
  let style = "";
  let sheets = 0;
  let add: ReturnType<WorkbookSink["sheet"]> | undefined;
  let row: (Cell | undefined)[] = [];
  let rowTimes = 1;
  let cell: Attributes = {};
  let text = "";
  let paragraphs = 0;
  /** Open elements that are not the cell's own: notes have paragraphs, too, and tables may lie within tables. */
  let foreign = 0;
  let inParagraph = 0;

  const isWhole = await readPart(bytes, content, {
    open(tag, attributes) {
      if (foreign > 0 || tag === "office:annotation" || (tag === "table:table" && add)) foreign += 1;
      else if (tag === "table:table") {
        sheets += 1;
        const isHidden = hiddenStyles.has(attributes["table:style-name"] ?? "");
        if (sheets <= MAX_SHEETS) add = sink.sheet((attributes["table:name"] ?? "").toWellFormed(), isHidden);
      } else if (tag === "style:style") {
        style = attributes["style:name"] ?? "";
      } else if (tag === "style:table-properties") {
        if (attributes["table:display"] === "false") hiddenStyles.add(style);
      } else if (tag === "table:table-row") {
        row = [];
        rowTimes = repeats(attributes["table:number-rows-repeated"]);
      } else if (tag === "table:table-cell" || tag === "table:covered-table-cell") {
        cell = attributes;
        text = "";
        paragraphs = 0;
      } else if (tag === "text:p") {
        inParagraph += 1;
        paragraphs += 1;
        if (paragraphs > 1) text += "\n";
      } else if (tag === "text:s" && inParagraph > 0) text += " ";
    },
    text(piece) {
      if (foreign === 0 && inParagraph > 0 && text.length < MAX_CELL_CHARS) text += piece;
    },
    close(tag) {
      if (foreign > 0) foreign -= 1;
      else if (tag === "text:p") inParagraph = Math.max(0, inParagraph - 1);
      else if (tag === "table:table-cell" || tag === "table:covered-table-cell") addCell();
      else if (tag === "table:table-row") add?.(row, rowTimes);
      else if (tag === "table:table") add = undefined;
    },
  });
  if (sheets > MAX_SHEETS) sink.problem(`it has ${sheets} sheets: the first ${MAX_SHEETS} are described`);
  if (!isWhole) sink.problem("it is larger than is read: its first rows are described");
  if (sheets === 0) throw malformed("it has no tables");

  function addCell(): void {
    const value = cellOf(cell, text);
    const times = Math.min(repeats(cell["table:number-columns-repeated"]), MAX_SHEET_COLUMNS - row.length);
    for (let left = times; left > 0; left--) row.push(value);
  }
}

/** 19.385: what a cell holds is in its attributes; of text, often in its paragraphs alone. */
function cellOf(attributes: Attributes, text: string): Cell | undefined {
  switch (attributes["office:value-type"]) {
    case "float":
    case "percentage":
    case "currency":
      return numberCell(Number(attributes["office:value"]));
    case "boolean":
      return booleanCell(attributes["office:boolean-value"] === "true");
    case "date":
      return dateText((attributes["office:date-value"] ?? "").replace(/T00:00:00(\.0+)?Z?$/, ""));
    case "time":
      return dateText(clock(attributes["office:time-value"] ?? ""));
    default:
      return textCell(attributes["office:string-value"] ?? text);
  }
}

function dateText(text: string): Cell | undefined {
  return text === "" ? undefined : { type: "date", text: text.slice(0, 40) };
}

/** A duration, `PT12H30M00S`, as the clock says it. */
function clock(duration: string): string {
  const [, hours, minutes, seconds] = /^PT(\d+)H(\d+)M(\d+)(?:[.,]\d+)?S$/.exec(duration) ?? [];
  return seconds === undefined ? duration : [hours, minutes, seconds].map((part) => part?.padStart(2, "0")).join(":");
}

function repeats(attribute: string | undefined): number {
  const times = Number(attribute ?? 1);
  return Number.isInteger(times) && times > 0 ? Math.min(times, MAX_REPEATS) : 1;
}
