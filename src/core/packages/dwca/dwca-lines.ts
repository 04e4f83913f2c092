import { cellText, jsonText } from "../cell-text.ts";
import { CsvRows, DOUBLED } from "../csv/csv-rows.ts";
import type { DelimitedText } from "../csv/delimited-text.ts";
import { characters, isOnly, isShortNumber } from "../csv/plain-text.ts";
import type { RowCursor } from "../page-rows.ts";
import { type Cell, ExactNumber } from "../rows.ts";
import type { Column, DwcaFile } from "./mapping.ts";
import type { MediaField } from "./settings.ts";

/** What stands in a file of an archive, and how its lines are put together. */
export interface DwcaLines {
  /** Terms of the columns after the id's. */
  readonly terms: readonly string[];
  /** Adds the lines of one record, each beginning with its id. @returns how many. */
  add(rows: RowCursor, id: string): number;
}

export function dwcaLines({ content }: DwcaFile, text: DelimitedText): DwcaLines {
  if (content.kind === "record") {
    const columns = content.columns.map(({ uri, sources }) => ({
      uri,
      sources: sources.map(({ index, key }) => ({ index, key: `${JSON.stringify(key)}: `.replaceAll('"', '""') })),
    }));
    return {
      terms: columns.map(({ uri }) => uri),
      add(rows, id) {
        text.field(id);
        for (const column of columns) {
          text.add(text.delimiter);
          addColumn(text, column, rows);
        }
        text.add("\n");
        return 1;
      },
    };
  }
  // Several fields of one extension share its columns: those of the first, then what the others add.
  const terms = [...new Map(content.sources.flatMap(({ media }) => media.terms.map((one) => [one.uri, one]))).keys()];
  return {
    terms,
    add(rows, id) {
      let lines = 0;
      for (const { index, media } of content.sources)
        for (const item of itemsOf(rows.cell(index))) {
          const values = new Map(media.terms.map((term) => [term.uri, mediaText(item, term)]));
          text.line([id, ...terms.map((uri) => values.get(uri) ?? "")]);
          lines++;
        }
      return lines;
    },
  };
}

/** One field's value as it is; of several, an object of those that are not null. */
function addColumn(text: DelimitedText, { sources }: Pick<Column, "sources">, rows: RowCursor): void {
  const only = sources.length === 1 ? sources[0] : undefined;
  if (only) {
    text.cell(rows, only.index);
    return;
  }
  let isEmpty = true;
  const begin = (key: string) => {
    text.add(isEmpty ? '"{' : ", ");
    text.add(key);
    isEmpty = false;
  };
  for (const { index, key } of sources) {
    if (rows instanceof CsvRows && isCopied(rows, index)) {
      begin(key);
      copyEmbedded(text, rows, index);
      continue;
    }
    const cell = rows.cell(index);
    if (cell === null) continue;
    begin(key);
    text.inQuotes(embedded(cell));
  }
  text.add(isEmpty ? "{}" : '}"');
}

/** Most texts, and most numbers: JSON has no other spelling for them, and no text is JSON that begins so. */
const PLAIN = characters(/[ !#-[\]-~]/);
const PLAIN_FIRST = characters(/[A-Za-eg-mo-su-z]/);

function isCopied({ csv, starts, ends, spelling, isVerbatim, isNumber }: CsvRows, column: number): boolean {
  const start = starts[column] ?? 0;
  const end = ends[column] ?? start;
  if (start === end || !isVerbatim[column] || spelling[column] === DOUBLED) return false;
  if (isNumber[column]) return isShortNumber(csv, start, end);
  return isOnly(PLAIN_FIRST, csv, start, start + 1) && isOnly(PLAIN, csv, start, end);
}

function copyEmbedded(text: DelimitedText, { csv, starts, ends, isNumber }: CsvRows, column: number): void {
  const quote = isNumber[column] ? "" : '""';
  text.add(quote);
  text.copy(csv, starts[column] ?? 0, ends[column] ?? 0);
  text.add(quote);
}

/** Text that is JSON becomes part of the JSON around it, as it is: `"10"` is the number 10, `"007"` stays text. */
function embedded(cell: Cell): string {
  if (typeof cell !== "string") return jsonText(cell);
  return parsedOrNothing(cell) === undefined ? JSON.stringify(cell) : cell;
}

/** The objects of a media field: a list, a single one, or either as JSON text. What else stands there is no media. */
function itemsOf(cell: Cell): readonly { readonly [key: string]: Cell }[] {
  const value = typeof cell === "string" ? ((parsedOrNothing(cell) as Cell | undefined) ?? null) : cell;
  const list = Array.isArray(value) ? value : [value];
  return list.filter(
    (item): item is { readonly [key: string]: Cell } =>
      typeof item === "object" && item !== null && !Array.isArray(item) && !(item instanceof ExactNumber),
  );
}

function mediaText(item: { readonly [key: string]: Cell }, term: MediaField["terms"][number]): string {
  const mapped = term.key === undefined ? "" : cellText(own(item, term.key));
  if (mapped !== "") return term.template.replaceAll("{}", () => mapped);
  const named = own(item, term.term);
  return named === null ? term.otherwise : cellText(named);
}

function own(item: { readonly [key: string]: Cell }, key: string): Cell {
  return Object.hasOwn(item, key) ? (item[key] ?? null) : null;
}

function parsedOrNothing(text: string): unknown {
  if (!/^\s*(?:[[{"\d-]|true|false|null)/.test(text)) return undefined; // most text is none: not worth an exception
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
