import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import { type BookType, utils, write } from "@e965/xlsx";
import type { RecordData } from "../../../src/core/extract/extractor.ts";
import { extractor } from "../../../src/core/extract/extractors/spreadsheet.ts";
import { dateCell, dateFormatOf } from "../../../src/core/extract/tables/workbook.ts";
import { seededRandom } from "../../support/random.ts";
import { type Deflated, zipOf } from "./documents.ts";
import { describing } from "./records.ts";

const list = (value: unknown) => value as readonly RecordData[];
const day = (i: number) => new Date(Date.UTC(2024, 0, 1 + (i % 5)));

/** Written by SheetJS, which Longshore reads XLS with, and not the other two. */
function workbook(bookType: BookType): Buffer {
  const rows = Array.from({ length: 300 }, (_, i) => [
    i,
    `n${i % 7}`,
    day(i),
    i % 10 === 0 ? null : i / 2,
    i % 2 === 0,
  ]);
  const book = utils.book_new();
  const data = utils.aoa_to_sheet([["Logger 7"], [], ["id", "name", "day", "half", "ok"], ...rows], {
    UTC: true,
    cellDates: true,
    dateNF: "yyyy\\-mm\\-dd",
  });
  utils.book_append_sheet(book, data, "Data");
  utils.book_append_sheet(
    book,
    utils.aoa_to_sheet([
      [1, 2],
      [3, 4],
    ]),
    "Äußerstes",
  );
  utils.book_append_sheet(book, utils.aoa_to_sheet([]), "Empty");
  return Buffer.from(write(book, { type: "buffer", bookType, compression: bookType !== "ods" }));
}

for (const format of ["xlsx", "ods", "xls"] as const) {
  const sample = workbook(format === "xls" ? "biff8" : format);

  test(`${format}: of each sheet, preamble, headers, and what its columns hold`, async (t) => {
    const { describe } = await describing(t, extractor);
    const { data, problems } = await describe(sample);
    assert.deepEqual([data.format, data.isWhole, problems], [format, true, []]);
    const [first, second, third] = list(data.sheets);
    assert.deepEqual([first?.name, second?.name, third?.name], ["Data", "Äußerstes", "Empty"]);
    assert.deepEqual(first?.preamble, ["Logger 7"]);
    assert.deepEqual(first?.headers, ["id", "name", "day", "half", "ok"]);
    assert.deepEqual([first?.rows, first?.unevenRows, first?.columnCount], [300, 0, 5]);
    assert.deepEqual(
      list(first?.columns).map(({ type, count, missing, min, max, mean, distinct }) => [
        type,
        count,
        missing,
        min,
        max,
        mean,
        distinct,
      ]),
      [
        ["integer", 300, 0, 0, 299, 149.5, 300],
        ["text", 300, 0, null, null, null, 7],
        ["date", 300, 0, null, null, null, 5],
        // The mean of i / 2 over those i below 300 that 10 does not divide: (44850 - 4350) / 270 / 2.
        ["number", 270, 30, 0.5, 149.5, 75, 270],
        ["boolean", 300, 0, null, null, null, 2],
      ],
    );
    assert.deepEqual(list(list(first?.columns)[2]?.modes)[0], { value: "2024-01-01", count: 60 });
    assert.deepEqual([second?.hasHeader, second?.rows], [false, 2]);
    assert.deepEqual([third?.rows, third?.columns], [0, []]);
  });

  test(`${format}: cut off, it is described or refused`, async (t) => {
    const { survives } = await describing(t, extractor);
    for (let length = 0; length < sample.length; length += 307) await survives(sample.subarray(0, length), "cut");
  });

  // What damage does to the library that reads XLS is looked at in the sandbox: see sandbox-tables.test.ts.
  if (format !== "xls")
    test(`${format}: with bytes changed at random, it is described or refused`, async (t) => {
      const { survives } = await describing(t, extractor);
      const random = seededRandom(t);
      for (let round = 0; round < 100; round++) {
        const damaged = Buffer.from(sample);
        for (let change = random(8); change >= 0; change--) damaged[random(damaged.length)] = random(256);
        await survives(damaged, "changed");
      }
    });
}

const CONTENT_TYPES = "<Types/>";
const BOOK =
  '<workbook xmlns:r="r"><workbookPr date1904="1"/><sheets><sheet name="A" r:id="r1"/><sheet name="B" state="hidden" r:id="r2"/></sheets></workbook>';
const RELATIONS =
  '<Relationships><Relationship Id="r1" Type="x/worksheet" Target="worksheets/one.xml"/><Relationship Id="r2" Type="x/worksheet" Target="/xl/worksheets/two.xml"/><Relationship Id="r3" Type="x/sharedStrings" Target="strings.xml"/><Relationship Id="r4" Type="x/styles" Target="styles.xml"/></Relationships>';
const STYLES =
  '<styleSheet><numFmts><numFmt numFmtId="164" formatCode="&quot;day&quot; 0.0"/><numFmt numFmtId="165" formatCode="[$-407]d. mmmm"/></numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="21"/></cellXfs></styleSheet>';
const STRINGS =
  "<sst><si><t>plain &amp; simple</t></si><si><r><t>rich </t></r><r><t>text</t></r><rPh><t>no</t></rPh></si></sst>";

const xlsxOf = (sheet: string, more: Readonly<Record<string, string | Deflated>> = {}) =>
  zipOf({
    "[Content_Types].xml": CONTENT_TYPES,
    "xl/workbook.xml": BOOK,
    "xl/_rels/workbook.xml.rels": RELATIONS,
    "xl/styles.xml": STYLES,
    "xl/strings.xml": STRINGS,
    "xl/worksheets/one.xml": sheet,
    "xl/worksheets/two.xml": "<worksheet><sheetData/></worksheet>",
    ...more,
  });

test("xlsx: shared, rich and inline texts, errors, gaps, dates by format and from 1904", async (t) => {
  const { describe } = await describing(t, extractor);
  const sheet = `<worksheet><sheetData>
    <row><c r="A1" t="s"><v>0</v></c><c r="C1" t="s"><v>1</v></c><c r="D1" t="inlineStr"><is><t>in line</t></is></c></row>
    <row><c r="A2" s="2"><v>0</v></c><c r="B2" s="1"><v>7</v></c><c r="C2" t="e"><v>#DIV/0!</v></c><c r="D2" s="3"><v>0.5</v></c></row>
    <row><c s="2"><v>366.25</v></c><c t="b"><v>1</v></c><c t="str"><f>A1</f><v>made</v></c><c t="d"><v>2024-05-06</v></c></row>
  </sheetData></worksheet>`;
  const { data } = await describe(xlsxOf(sheet));
  const [a, b] = list(data.sheets);
  assert.deepEqual([a?.isHidden, b?.isHidden], [false, true]);
  assert.deepEqual([a?.hasHeader, a?.rows, a?.columnCount], [false, 3, 4]);
  assert.deepEqual(
    list(a?.columns).map(({ modes, missing }) => [list(modes).map(({ value }) => value), missing]),
    [
      // 1904 began with day 0, a Friday.
      [["plain & simple", "1904-01-01", "1905-01-01T06:00:00"], 0],
      [["7", "true"], 1],
      [["rich text", "made"], 1],
      [["in line", "12:00:00", "2024-05-06"], 0],
    ],
  );
});

test("a preamble of pairs is no part of the table below", async (t) => {
  const { describe } = await describing(t, extractor);
  const book = utils.book_new();
  const rows = [
    ["Station", "7"],
    ["Place", "Kiel"],
    ["a", "b", "c", "d"],
    ...Array.from({ length: 9 }, () => [1, 2, 3, 4]),
  ];
  utils.book_append_sheet(book, utils.aoa_to_sheet(rows), "Data");
  const [sheet] = list((await describe(Buffer.from(write(book, { type: "buffer", bookType: "xlsx" })))).data.sheets);
  assert.deepEqual(sheet?.preamble, ["Station 7", "Place Kiel"]);
  assert.deepEqual([sheet?.headers, sheet?.rows], [["a", "b", "c", "d"], 9]);
});

test("days are counted as Excel counts them, with its 29 February 1900", () => {
  // ECMA-376 part 1, 18.17.4.1: 1 is 1 January 1900, 61 is 1 March; 60 is a day that never was.
  for (const [serial, day] of [
    [1, "1900-01-01"],
    [59, "1900-02-28"],
    [61, "1900-03-01"],
    [45_292.5, "2024-01-01T12:00:00"],
  ] as const)
    assert.equal(dateCell(serial, "date", false)?.text, day);
  assert.equal(dateCell(0.25, "time", false)?.text, "06:00:00");
  for (const [code, shown] of [
    ["yyyy\\-mm\\-dd", "date"],
    ["[$-409]h:mm AM/PM", "time"],
    ["[h]:mm", "time"],
    ['0.0" days"', undefined],
    ["[Red]General", undefined],
  ] as const)
    assert.equal(dateFormatOf(code), shown, code);
});

test("xlsx: a sheet that is damaged, or not there, is a problem, and the others are described", async (t) => {
  const { describe } = await describing(t, extractor);
  const book = xlsxOf("<worksheet><sheetData><row><c><v>1</v></c></row></sheetData></worksheet>", {
    "xl/workbook.xml": BOOK.replace("r2", "r9"),
    "xl/_rels/workbook.xml.rels": RELATIONS.replace("r2", "r9").replace("two.xml", "three.xml"),
  });
  const { data, problems } = await describe(book, "book.xlsx");
  assert.deepEqual(
    list(data.sheets).map(({ rows }) => rows),
    [1, 0],
  );
  assert.deepEqual(
    problems.map(({ code, path }) => [code, path]),
    [["content_malformed", "book.xlsx"]],
  );
});

test("ods: cells that stand for many, and notes that are none of their text", async (t) => {
  const { describe } = await describing(t, extractor);
  const content = `<office:document-content><office:automatic-styles><style:style style:name="h" style:family="table"><style:table-properties table:display="false"/></style:style></office:automatic-styles>
    <office:body><office:spreadsheet><table:table table:name="T" table:style-name="h">
    <table:table-row><table:table-cell office:value-type="string"><office:annotation><text:p>note</text:p></office:annotation><text:p>a</text:p><text:p>b</text:p></table:table-cell><table:table-cell office:value-type="string" office:string-value="c"/></table:table-row>
    <table:table-row table:number-rows-repeated="1000"><table:table-cell office:value-type="float" office:value="2" table:number-columns-repeated="2"/></table:table-row>
    <table:table-row><table:table-cell office:value-type="time" office:time-value="PT07H05M00S"/><table:table-cell office:value-type="date" office:date-value="2024-05-06T00:00:00"/></table:table-row>
    <table:table-row table:number-rows-repeated="1048576"><table:table-cell table:number-columns-repeated="16384"/></table:table-row>
    </table:table></office:spreadsheet></office:body></office:document-content>`;
  const bytes = zipOf({ mimetype: "application/vnd.oasis.opendocument.spreadsheet", "content.xml": content });
  const [sheet] = list((await describe(bytes)).data.sheets);
  assert.deepEqual([sheet?.isHidden, sheet?.headers, sheet?.rows, sheet?.columnCount], [true, ["a\nb", "c"], 1001, 2]);
  assert.deepEqual(
    list(sheet?.columns).map(({ types, modes }) => [types, list(modes).map(({ value }) => value)]),
    [
      [{ integer: 1000, date: 1 }, ["2", "07:05:00"]],
      [{ integer: 1000, date: 1 }, ["2", "2024-05-06"]],
    ],
  );
});

/** What begins with a text and goes on with so many MiB of blanks. */
function bombOf(start: string, blankMiB: number): Deflated {
  const flushed = { finishFlush: constants.Z_SYNC_FLUSH };
  const blanks = deflateRawSync(Buffer.alloc(1024 * 1024, " "), flushed);
  const packed = Buffer.concat([
    deflateRawSync(start, flushed),
    ...Array<Buffer>(blankMiB).fill(blanks),
    deflateRawSync(""),
  ]);
  return { packed, checksum: 0, sizeBytes: start.length + blankMiB * 1024 * 1024 };
}

test("a bomb of a sheet is read to a limit, in bounded memory, and its first rows are described", async (t) => {
  const { describe } = await describing(t, extractor);
  const bomb = bombOf("<worksheet><sheetData><row><c><v>1</v></c></row>", 520);
  const before = process.memoryUsage().rss;
  const { data, problems } = await describe(xlsxOf("", { "xl/worksheets/one.xml": bomb }), "bomb.xlsx");
  assert.ok(process.memoryUsage().rss - before < 256 * 1024 * 1024, "memory has grown with the sheet");
  assert.deepEqual([data.isWhole, list(data.sheets)[0]?.rows], [false, 1]);
  assert.match(problems[0]?.message ?? "", /larger than is read/);
});

test("texts that cells share are kept up to a limit, which is told", async (t) => {
  const { describe } = await describing(t, extractor);
  // Each text is kept up to 1,000 characters: 35,000 of them are beyond the limit of 32 Mi.
  const shared = `<sst>${`<si><t>${"x".repeat(1000)}</t></si>`.repeat(35_000)}</sst>`;
  const sheet =
    '<worksheet><sheetData><row><c t="s"><v>0</v></c></row><row><c t="s"><v>34999</v></c></row></sheetData></worksheet>';
  const { data, problems } = await describe(xlsxOf(sheet, { "xl/strings.xml": shared }));
  assert.match(problems[0]?.message ?? "", /shares more text than is read/);
  assert.deepEqual(
    list(list(list(data.sheets)[0]?.columns)[0]?.modes).map(({ value }) => String(value).slice(0, 6)),
    ["xxxxxx", "#34999"],
  );
});

test("elements within each other without end are refused", async (t) => {
  const { survives } = await describing(t, extractor);
  const deep = zipOf({
    mimetype: "application/vnd.oasis.opendocument.spreadsheet",
    "content.xml": "<table:table>".repeat(100_000),
  });
  assert.equal(await survives(deep, "deep.ods"), "refused");
});
