import type { ZipEntry } from "../archive-members.ts";
import { zipParts } from "../documents/zip-part.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed, malformedProblem } from "../malformed.ts";
import type { Cell } from "./column-statistics.ts";
import { readPart } from "./part-events.ts";
import {
  booleanCell,
  type DateFormat,
  dateCell,
  dateFormatOf,
  MAX_CELL_CHARS,
  MAX_SHEET_COLUMNS,
  MAX_SHEETS,
  numberCell,
  textCell,
  type WorkbookSink,
} from "./workbook.ts";

/** Of all texts that cells share, what is kept. */
const MAX_SHARED_CHARS = 32 * 1024 * 1024;
/** Formats of numbers that show dates without saying so (ECMA-376 part 1, 18.8.30). */
const DATE_FORMATS: ReadonlyMap<number, DateFormat> = new Map([
  ...[14, 15, 16, 17, 22, 27, 28, 29, 30, 31, 36].map((id) => [id, "date"] as const),
  ...[50, 51, 52, 53, 54, 57, 58].map((id) => [id, "date"] as const),
  ...[18, 19, 20, 21, 32, 33, 34, 35, 45, 46, 47, 55, 56].map((id) => [id, "time"] as const),
]);

interface Book {
  readonly sheets: readonly { readonly name: string; readonly isHidden: boolean; readonly relation: string }[];
  readonly is1904: boolean;
}

/**
 * Reads the sheets of a workbook in Office Open XML (ECMA-376 part 1, 18), row by row.
 * @throws AppError content_malformed when it is none.
 */
export async function readXlsx(bytes: LocalBytes, sink: WorkbookSink): Promise<void> {
  const parts = new Map(zipParts(bytes, () => true).map((entry) => [entry.member.path.toLowerCase(), entry]));
  const part = (path: string) => parts.get(path.toLowerCase());
  const [main] = (await relationsOf(bytes, part("_rels/.rels"), "")).filter(({ type }) => type === "officeDocument");
  const bookPath = main?.target ?? "xl/workbook.xml";
  const bookEntry = part(bookPath);
  if (bookEntry === undefined) throw malformed("it has no workbook");
  if (bookPath.endsWith(".bin")) throw malformed("binary workbooks (XLSB) are not read");

  const book = await readBook(bytes, bookEntry);
  const slash = bookPath.lastIndexOf("/") + 1;
  const [folder, file] = [bookPath.slice(0, slash), bookPath.slice(slash)];
  const relations = await relationsOf(bytes, part(`${folder}_rels/${file}.rels`), folder);
  const related = (type: string) => part(relations.find((one) => one.type === type)?.target ?? "");
  const dates = await dateStyles(bytes, related("styles"));
  const shared = await sharedTexts(bytes, related("sharedStrings"));
  if (shared.isCut) sink.problem("it shares more text than is read: what lies behind counts as text, by its number");

  if (book.sheets.length > MAX_SHEETS)
    sink.problem(`it has ${book.sheets.length} sheets: the first ${MAX_SHEETS} are described`);
  for (const { name, isHidden, relation } of book.sheets.slice(0, MAX_SHEETS)) {
    const { type, target = "" } = relations.find(({ id }) => id === relation) ?? {};
    // Charts have sheets of their own.
    if (type !== "worksheet") continue;
    const entry = part(target);
    const add = sink.sheet(name, isHidden);
    if (entry === undefined) sink.problem(`the sheet ${name} is not there`);
    else
      try {
        const isWhole = await readSheet(bytes, entry, { dates, texts: shared.texts, is1904: book.is1904 }, add);
        if (!isWhole) sink.problem(`the sheet ${name} is larger than is read: its first rows are described`);
      } catch (error) {
        sink.problem(malformedProblem(error, name).message);
      }
  }
}

interface Relation {
  readonly id: string;
  /** The last word of its type's URL. */
  readonly type: string;
  readonly target: string;
}

/** ECMA-376 part 2, 9.3: targets are relative to the part's folder. */
async function relationsOf(
  bytes: LocalBytes,
  entry: ZipEntry | undefined,
  folder: string,
): Promise<readonly Relation[]> {
  const relations: Relation[] = [];
  if (entry)
    await readPart(bytes, entry, {
      open(tag, { Id = "", Type = "", Target = "" }) {
        if (local(tag) !== "Relationship") return;
        const target = new URL(Target, `file:///${folder}`).pathname.slice(1);
        relations.push({ id: Id, type: Type.slice(Type.lastIndexOf("/") + 1), target: decodeURIComponent(target) });
      },
    });
  return relations;
}

async function readBook(bytes: LocalBytes, entry: ZipEntry): Promise<Book> {
  const sheets: Book["sheets"][number][] = [];
  let is1904 = false;
  await readPart(bytes, entry, {
    open(tag, attributes) {
      if (local(tag) === "workbookPr") is1904 = isTrue(attributes.date1904);
      if (local(tag) !== "sheet") return;
      const relation = Object.entries(attributes).find(([name]) => name.endsWith(":id"))?.[1] ?? "";
      const isHidden = attributes.state === "hidden" || attributes.state === "veryHidden";
      sheets.push({ name: (attributes.name ?? "").toWellFormed(), isHidden, relation });
    },
  });
  return { sheets, is1904 };
}

/** Those of the cell formats that show a date, by their numbers. */
async function dateStyles(bytes: LocalBytes, entry: ZipEntry | undefined): Promise<ReadonlyMap<number, DateFormat>> {
  const formats = new Map(DATE_FORMATS);
  const dates = new Map<number, DateFormat>();
  let inCellFormats = false;
  let styles = 0;
  if (entry)
    await readPart(bytes, entry, {
      open(tag, { numFmtId, formatCode = "" }) {
        const name = local(tag);
        const own = name === "numFmt" ? dateFormatOf(formatCode) : undefined;
        if (own) formats.set(Number(numFmtId), own);
        if (name === "cellXfs") inCellFormats = true;
        if (name !== "xf" || !inCellFormats) return;
        const shown = formats.get(Number(numFmtId));
        if (shown) dates.set(styles, shown);
        styles += 1;
      },
      close(tag) {
        if (local(tag) === "cellXfs") inCellFormats = false;
      },
    });
  return dates;
}

/** Texts that cells refer to by number (18.4): of a formatted one, all runs; how it is to be pronounced is no part of it. */
async function sharedTexts(bytes: LocalBytes, entry: ZipEntry | undefined) {
  const texts: string[] = [];
  const capture = textCapture();
  let left = MAX_SHARED_CHARS;
  const isWhole =
    entry === undefined ||
    (await readPart(bytes, entry, {
      open(tag) {
        if (local(tag) === "si") capture.start();
        else capture.open(local(tag));
      },
      text: capture.text,
      close(tag) {
        capture.close(local(tag));
        if (local(tag) !== "si") return;
        const text = capture.taken();
        left -= text.length + 16;
        texts.push(text);
      },
      isDone: () => left < 0,
    }));
  return { texts, isCut: !isWhole || left < 0 };
}

interface SheetContext {
  readonly dates: ReadonlyMap<number, DateFormat>;
  readonly texts: readonly string[];
  readonly is1904: boolean;
}

/** A worksheet (18.3). Rows and cells that hold nothing may be left out. @returns whether all of it was read. */
function readSheet(
  bytes: LocalBytes,
  entry: ZipEntry,
  context: SheetContext,
  add: (row: readonly (Cell | undefined)[]) => void,
): Promise<boolean> {
  const capture = textCapture();
  let row: (Cell | undefined)[] = [];
  let column = 0;
  let cell: Readonly<Record<string, string>> = {};
  let isDone = false;
  return readPart(bytes, entry, {
    open(tag, attributes) {
      const name = local(tag);
      if (name === "c") {
        cell = attributes;
        column = attributes.r === undefined ? row.length : columnOf(attributes.r);
        capture.start();
      } else if (name === "row") row = [];
      else capture.open(name);
    },
    text: capture.text,
    close(tag) {
      const name = local(tag);
      capture.close(name);
      if (name === "c" && column < MAX_SHEET_COLUMNS) {
        while (row.length < column) row.push(undefined);
        row[column] = cellOf(cell, capture.taken(), context);
      } else if (name === "row") add(row);
      else if (name === "sheetData") isDone = true;
    },
    isDone: () => isDone,
  });
}

/** 18.18.11 */
function cellOf({ t, s }: Readonly<Record<string, string>>, value: string, context: SheetContext): Cell | undefined {
  if (value === "") return undefined;
  switch (t) {
    case "s": {
      const number = Number(value);
      return textCell(context.texts[number] ?? `#${number}`);
    }
    case "b":
      return booleanCell(isTrue(value));
    case "d":
      return { type: "date", text: value.slice(0, 40) };
    case "str":
    case "inlineStr":
      return textCell(value);
    // A formula that has failed has no value.
    case "e":
      return undefined;
    default: {
      const shown = s === undefined ? undefined : context.dates.get(Number(s));
      return shown ? dateCell(Number(value), shown, context.is1904) : numberCell(Number(value));
    }
  }
}

/** Text within `v` and `t`, and not within `rPh`, up to what of a cell is kept. */
function textCapture() {
  let text = "";
  let isWanted = false;
  let isPronunciation = false;
  return {
    start() {
      text = "";
      isWanted = false;
      isPronunciation = false;
    },
    open(name: string) {
      if (name === "v" || name === "t") isWanted = true;
      else if (name === "rPh") isPronunciation = true;
    },
    close(name: string) {
      if (name === "v" || name === "t") isWanted = false;
      else if (name === "rPh") isPronunciation = false;
    },
    text(piece: string) {
      if (isWanted && !isPronunciation && text.length < MAX_CELL_CHARS) text += piece;
    },
    taken: () => text.slice(0, MAX_CELL_CHARS),
  };
}

/** `C7` is in column 2. */
function columnOf(reference: string): number {
  let column = 0;
  for (let i = 0; i < reference.length; i++) {
    const letter = reference.charCodeAt(i) - 0x40;
    if (letter < 1 || letter > 26) break;
    column = column * 26 + letter;
  }
  return column - 1;
}

function isTrue(value: string | undefined): boolean {
  return value === "1" || value === "true";
}

/** Without the prefix of its namespace. */
function local(tag: string): string {
  return tag.slice(tag.indexOf(":") + 1);
}
