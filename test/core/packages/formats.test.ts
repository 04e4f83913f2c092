import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { parquetReadObjects } from "hyparquet";
import { cellText, jsonText } from "../../../src/core/packages/cell-text.ts";
import { exactNumber } from "../../../src/core/packages/csv/exact-json.ts";
import { dwcaFormat } from "../../../src/core/packages/dwca/dwca.ts";
import { BUILT_IN } from "../../../src/core/packages/dwca/extensions.ts";
import { readMedia } from "../../../src/core/packages/dwca/settings.ts";
import { delimitedFormat } from "../../../src/core/packages/formats/delimited.ts";
import { jsonLinesFormat } from "../../../src/core/packages/formats/json-lines.ts";
import { parquetFormat } from "../../../src/core/packages/formats/parquet.ts";
import { xlsxFormat } from "../../../src/core/packages/formats/xlsx.ts";
import type { PackageSink, RowFormat } from "../../../src/core/packages/row-format.ts";
import { type Cell, ExactNumber, type Field } from "../../../src/core/packages/rows.ts";
import { seededRandom } from "../../support/random.ts";
import { without } from "../../support/tools.ts";

const folder = await mkdtemp(join(tmpdir(), "formats-"));
after(() => rm(folder, { recursive: true }));

const FIELDS: Field[] = [
  { id: "_id", type: "int" },
  { id: "a text", type: "text" },
  { id: "n", type: "numeric" },
  { id: "big", type: "int8" },
  { id: "f", type: "float8" },
  { id: "b", type: "bool" },
  { id: "js", type: "json" },
];
const ROWS: Cell[][] = [
  [1, "plain", new ExactNumber("1.10"), 7, 0.5, true, { a: [1, "x"] }],
  [
    2,
    'say "hi", you\r\nthere',
    new ExactNumber("12345678901234567890.123"),
    new ExactNumber("9007199254740993"),
    -1e300,
    false,
    [],
  ],
  [3, "", null, null, null, null, null],
  [4, "  Größe\t標本 🦕\u0001\ud800 _x0041_ <&> ", 0, -1, 3, true, "text"],
];

/** Runs a format over pages and gives its members. */
async function made(format: RowFormat, pages: readonly (Cell[][] | string)[], fields = FIELDS) {
  const members = new Map<string, Buffer[]>();
  const sink: PackageSink = {
    member: (name) => {
      if (!members.has(name)) members.set(name, []);
      return { write: (part) => void members.get(name)?.push(Buffer.from(part)) };
    },
    drop: async (name) => void members.delete(name),
  };
  await format.begin(fields, sink);
  for (const page of pages) {
    const content = typeof page === "string" ? { csv: Buffer.from(page) } : { rows: page };
    await format.page({ rowCount: page.length, next: null, content }, sink);
  }
  await format.end(sink);
  return Object.fromEntries([...members].map(([name, parts]) => [name, Buffer.concat(parts)]));
}

const noPython = without("Python 3", ["python3", "--version"], "Debian: python3");
const noOpenpyxl = without("openpyxl", ["python3", "-c", "import openpyxl"], "PyPI: openpyxl");
const noDuckdb = without("DuckDB", ["python3", "-c", "import duckdb"], "PyPI: duckdb");
const noLibreOffice = without("LibreOffice Calc", ["soffice", "--version"], "Debian: libreoffice-calc-nogui");
const noPyarrow = without("pyarrow", ["python3", "-c", "import pyarrow"], "PyPI: pyarrow");
const python = (script: string, ...args: readonly string[]) =>
  JSON.parse(execFileSync("python3", ["-c", script, ...args], { encoding: "utf8", maxBuffer: 2 ** 28 }));

/** As PostgreSQL's COPY writes rows as CSV (its manual, "COPY", "CSV Format"), JSON's null as the text null. */
function copied(rows: readonly (readonly Cell[])[], fields: readonly Field[]): string {
  const quoted = (text: string) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const cell = (value: Cell, type: string) => {
    if (type === "json") return quoted(jsonText(value));
    if (value === null) return "";
    if (typeof value === "boolean") return value ? "t" : "f";
    return value === "" ? '""' : quoted(cellText(value));
  };
  return rows.map((row) => `${row.map((value, at) => cell(value, fields[at]?.type ?? "text")).join(",")}\n`).join("");
}

test("every format says the same of rows, whether they come as lists or as CSV", async (t) => {
  const random = seededRandom(t);
  const one = <T>(of: readonly T[]) => of[random(of.length)] as T;
  const LETTERS = [...'ab ,\t\n\r"\\<&>_x0041_{[-7é標', "🦕", "true", "null", "\u0001"];
  const text = () => Array.from({ length: random(12) }, () => one(LETTERS)).join("");
  const NUMBERS = "0 -0 7 -12 1.5 1.50 0.5 100 1e5 007 123456789012345 1234567890123456 12345678901234567890.10".split(
    " ",
  );
  const values: Readonly<Record<string, () => Cell>> = {
    text,
    numeric: () => one([exactNumber(one(NUMBERS)), "NaN"]),
    bool: () => one([true, false]),
    json: () => one<Cell>([{ a: [1, "x,y"] }, [], "t", 5, [{ identifier: text(), title: "T" }]]),
  };
  const fields: Field[] = [
    { id: "_id", type: "int" },
    ...["genus", "eventDate", "Drawer", "Donor"].map((id) => ({ id, type: "text" })),
    ...["decimalLatitude", "Sex count"].map((id) => ({ id, type: "numeric" })),
    ...["isBold", "group"].map((id) => ({ id, type: "bool" })),
    ...["associatedMedia", "Label"].map((id) => ({ id, type: "json" })),
  ];
  const rows = Array.from({ length: 400 }, (_, n) =>
    fields.map(({ type }, at) => (at === 0 ? n + 1 : random(8) === 0 ? null : (values[type]?.() ?? null))),
  );
  const pages = [rows.slice(0, 300), rows.slice(300)];
  const dwca = (format: "csv" | "tsv") => {
    const { Occurrence, Multimedia } = BUILT_IN as Required<typeof BUILT_IN>;
    assert.ok(Occurrence && Multimedia);
    const media = '{"associatedMedia":{"extension":"Multimedia","fields":{"identifier":"","title":""}}}';
    const settings = { core: Occurrence, extensions: [Multimedia], media: readMedia(media, "m", [Multimedia]) };
    const request = { format, forGbif: false, packageId: "p", now: 0 };
    return dwcaFormat({ ...settings, idField: "_id", dynamicTerm: "dynamicProperties" }, request);
  };
  const formats: Readonly<Record<string, () => RowFormat>> = {
    csv: () => delimitedFormat("csv"),
    tsv: () => delimitedFormat("tsv"),
    "csv of an archive": () => dwca("csv"),
    "tsv of an archive": () => dwca("tsv"),
    jsonl: jsonLinesFormat,
    xlsx: () => xlsxFormat(rows.length),
    parquet: parquetFormat,
  };
  for (const [name, format] of Object.entries(formats))
    assert.deepEqual(
      await made(
        format(),
        pages.map((page) => copied(page, fields)),
        fields,
      ),
      await made(format(), pages, fields),
      name,
    );
});

describe("CSV and TSV", () => {
  test("have the ids of the fields, every digit, and quotes where they must be", async () => {
    const { "resource.csv": csv } = await made(delimitedFormat("csv"), [ROWS.slice(0, 3)]);
    assert.equal(
      String(csv),
      `_id,a text,n,big,f,b,js
1,plain,1.10,7,0.5,True,"{""a"":[1,""x""]}"
2,"say ""hi"", you\r\nthere",12345678901234567890.123,9007199254740993,-1e+300,False,[]
3,"",,,,,
`,
    );
    const { "resource.tsv": tsv } = await made(
      delimitedFormat("tsv"),
      [
        [
          [1, "a\tb,c"],
          [2, "d,e"],
        ],
      ],
      FIELDS.slice(0, 2),
    );
    assert.equal(String(tsv), '_id\ta text\n1\t"a\tb,c"\n2\td,e\n');
  });

  test("are read back by Python", { skip: noPython }, async () => {
    const { "resource.csv": csv = Buffer.alloc(0) } = await made(delimitedFormat("csv"), [ROWS.slice(0, 3)]);
    await writeFile(join(folder, "r.csv"), csv);
    const script =
      "import csv,json,sys;print(json.dumps(list(csv.reader(open(sys.argv[1],newline='',encoding='utf8')))))";
    const rows = python(script, join(folder, "r.csv"));
    assert.deepEqual(rows[2], [
      "2",
      'say "hi", you\r\nthere',
      "12345678901234567890.123",
      "9007199254740993",
      "-1e+300",
      "False",
      "[]",
    ]);
  });
});

test("JSON Lines hold every value as the portal had it", async () => {
  const { "resource.jsonl": lines } = await made(jsonLinesFormat(), [ROWS.slice(0, 2), ROWS.slice(2)]);
  assert.deepEqual(String(lines).split("\n").slice(0, 3), [
    '{"_id":1,"a text":"plain","n":1.10,"big":7,"f":0.5,"b":true,"js":{"a":[1,"x"]}}',
    '{"_id":2,"a text":"say \\"hi\\", you\\r\\nthere","n":12345678901234567890.123,"big":9007199254740993,"f":-1e+300,"b":false,"js":[]}',
    '{"_id":3,"a text":"","n":null,"big":null,"f":null,"b":null,"js":null}',
  ]);
});

describe("XLSX", () => {
  test("is read back by openpyxl: numbers, booleans and texts of any kind", { skip: noOpenpyxl }, async () => {
    const { "resource.xlsx": xlsx = Buffer.alloc(0) } = await made(xlsxFormat(4), [ROWS.slice(0, 2), ROWS.slice(2)]);
    await writeFile(join(folder, "r.xlsx"), xlsx);
    const script =
      "import openpyxl,json,sys\nw=openpyxl.load_workbook(sys.argv[1])\nprint(json.dumps([w.sheetnames,[[c.value for c in r] for r in w['Data'].iter_rows()]]))";
    const [sheets, rows] = python(script, join(folder, "r.xlsx"));
    assert.deepEqual(sheets, ["Data"]);
    assert.deepEqual(
      rows[0],
      FIELDS.map(({ id }) => id),
    );
    assert.deepEqual(rows[1], [1, "plain", "1.10", 7, 0.5, true, '{"a":[1,"x"]}']);
    assert.deepEqual(rows[2].slice(2), ["12345678901234567890.123", "9007199254740993", -1e300, false, "[]"]);
    // ECMA-376 §22.9.2.19: openpyxl leaves the escapes for the reader in inline strings, or takes them.
    const unescaped = (text: string) =>
      text.replace(/_x([0-9A-F]{4})_/g, (_whole, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
    assert.equal(unescaped(rows[2][1]), 'say "hi", you\r\nthere');
    assert.equal(unescaped(rows[4][1]), "  Größe\t標本 🦕\u0001\ud800 _x0041_ <&> ");
    assert.deepEqual(rows[3], [3, "", null, null, null, null, null]);
  });

  test("is converted by LibreOffice to the CSV that was to be expected", { skip: noLibreOffice }, async () => {
    const fields = FIELDS.slice(0, 3);
    const rows = ROWS.slice(0, 3).map((row) => row.slice(0, 3));
    const { "resource.xlsx": xlsx = Buffer.alloc(0) } = await made(xlsxFormat(3), [copied(rows, fields)], fields);
    await writeFile(join(folder, "calc.xlsx"), xlsx);
    const profile = `-env:UserInstallation=file://${join(folder, "soffice")}`;
    const words = ["--headless", "--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76", "--outdir", folder];
    execFileSync("soffice", [profile, ...words, join(folder, "calc.xlsx")], { stdio: "ignore" });
    assert.equal(
      await readFile(join(folder, "calc.csv"), "utf8"),
      '_id,a text,n\n1,plain,1.10\n2,"say ""hi"", you\nthere",12345678901234567890.123\n3,,\n',
    );
  });

  test("is a ZIP of well-formed parts", { skip: noPython }, async () => {
    const { "resource.xlsx": xlsx = Buffer.alloc(0) } = await made(xlsxFormat(null), [ROWS]);
    await writeFile(join(folder, "z.xlsx"), xlsx);
    const script =
      "import zipfile,json,sys,xml.dom.minidom as m\nz=zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nfor n in z.namelist(): m.parseString(z.read(n))\nprint(json.dumps(z.namelist()))";
    assert.deepEqual(python(script, join(folder, "z.xlsx")), [
      "[Content_Types].xml",
      "_rels/.rels",
      "xl/workbook.xml",
      "xl/_rels/workbook.xml.rels",
      "xl/worksheets/sheet1.xml",
    ]);
  });

  test("is not begun when it cannot hold the rows, and broken off at a cell that does not fit", async () => {
    await assert.rejects(made(xlsxFormat(1_048_576), []), { code: "format_limit" });
    await made(xlsxFormat(1_048_575), []);
    await assert.rejects(made(xlsxFormat(1), [[[1, "x".repeat(32_768)]]], FIELDS.slice(0, 2)), {
      code: "format_limit",
    });
    const wide = Array.from({ length: 16_385 }, (_, n) => ({ id: `c${n}`, type: "text" }));
    await assert.rejects(made(xlsxFormat(1), [], wide), { code: "format_limit" });
  });
});

describe("Parquet", () => {
  const expected = [
    { _id: 1, "a text": "plain", n: "1.10", big: 7n, f: 0.5, b: true, js: '{"a":[1,"x"]}' },
    {
      _id: 2,
      "a text": 'say "hi", you\r\nthere',
      n: "12345678901234567890.123",
      big: 9007199254740993n,
      f: -1e300,
      b: false,
      js: "[]",
    },
  ];

  test("keeps the portal's types, and is read back", async () => {
    const rows = Array.from({ length: 120_000 }, (_, n): Cell[] => [n + 1, ...(ROWS[n % 3]?.slice(1) ?? [])]);
    const pages = [rows.slice(0, 30_000), rows.slice(30_000, 62_000), rows.slice(62_000)];
    const { "resource.parquet": bytes = Buffer.alloc(0) } = await made(parquetFormat(), pages);
    await writeFile(join(folder, "r.parquet"), bytes);
    const own = new Uint8Array(bytes).buffer;
    const read = await parquetReadObjects({ file: own });
    assert.equal(read.length, 120_000);
    assert.deepEqual(read.slice(0, 2), expected);
    assert.equal(read[2]?.n ?? null, null);
    assert.equal(read[119_999]?._id, 120_000);
  });

  test("is read back by Arrow", { skip: noPyarrow }, async () => {
    await readFile(join(folder, "r.parquet"));
    const script =
      "import pyarrow.parquet as q,json,sys\nt=q.read_table(sys.argv[1])\nprint(json.dumps([t.num_rows,[str(f.type) for f in t.schema],t.slice(0,3).to_pylist()]))";
    const [count, types, rows] = python(script, join(folder, "r.parquet"));
    assert.equal(count, 120_000);
    assert.deepEqual(types, ["int32", "string", "string", "int64", "double", "bool", "string"]);
    assert.deepEqual(rows[0], { ...expected[0], big: 7 });
    assert.equal(rows[2]["a text"], "");
  });

  test("is queried by DuckDB", { skip: noDuckdb }, async () => {
    const script = `import duckdb,json,sys
query = "select count(*), sum(_id)::bigint, max(big), count(n), count(distinct \\"a text\\"), bool_or(b) from read_parquet(?)"
print(json.dumps(duckdb.execute(query, [sys.argv[1]]).fetchone()))`;
    const [count, sum, ...rest] = python(script, join(folder, "r.parquet"));
    assert.equal(count, 120_000);
    assert.equal(sum, (120_000 * 120_001) / 2);
    // Of the three rows that repeat: the larger of 7 and 2^53 + 1, which Python keeps and JSON.parse rounds.
    assert.deepEqual(rest, [2 ** 53, 80_000, 3, true]);
  });

  test("refuses a value that its type cannot hold", async () => {
    for (const bad of [["x"], [2 ** 31], [1.5]])
      await assert.rejects(made(parquetFormat(), [[bad]], [{ id: "i", type: "int4" }]), { code: "portal_refused" });
    await assert.rejects(
      made(
        parquetFormat(),
        [["x"]].map((row) => [row]),
        [{ id: "b", type: "bool" }],
      ),
      {
        code: "portal_refused",
      },
    );
  });
});
