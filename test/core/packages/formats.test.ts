import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { parquetReadObjects } from "hyparquet";
import { delimitedFormat } from "../../../src/core/packages/formats/delimited.ts";
import { jsonLinesFormat } from "../../../src/core/packages/formats/json-lines.ts";
import { parquetFormat } from "../../../src/core/packages/formats/parquet.ts";
import { xlsxFormat } from "../../../src/core/packages/formats/xlsx.ts";
import type { PackageSink, RowFormat } from "../../../src/core/packages/row-format.ts";
import { type Cell, ExactNumber, type Field } from "../../../src/core/packages/rows.ts";
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
    const content = typeof page === "string" ? { csv: page } : { rows: page };
    await format.page({ rowCount: page.length, next: null, content }, sink);
  }
  await format.end(sink);
  return Object.fromEntries([...members].map(([name, parts]) => [name, Buffer.concat(parts)]));
}

const noPython = without("Python 3", ["python3", "--version"], "Debian: python3");
const noOpenpyxl = without("openpyxl", ["python3", "-c", "import openpyxl"], "PyPI: openpyxl");
const noPyarrow = without("pyarrow", ["python3", "-c", "import pyarrow"], "PyPI: pyarrow");
const python = (script: string, ...args: readonly string[]) =>
  JSON.parse(execFileSync("python3", ["-c", script, ...args], { encoding: "utf8", maxBuffer: 2 ** 28 }));

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

  test("pass pages of CSV on, and say the same in both forms", async () => {
    const fields = FIELDS.slice(0, 3);
    const rows: Cell[][] = [
      [1, "x,y", new ExactNumber("1.10")],
      [2, "", null],
      [3, null, 5],
      [4, "l1\nl2", 5],
    ];
    const passed = await made(delimitedFormat("csv"), ['1,"x,y",1.10\n2,"",\n3,,5\n', '4,"l1\nl2",5\n'], fields);
    const written = await made(delimitedFormat("csv"), [rows], fields);
    assert.equal(String(passed["resource.csv"]), String(written["resource.csv"]));
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
