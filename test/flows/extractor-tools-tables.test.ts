import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, describe, type TestContext, test } from "node:test";
import type { Extractor, RecordData } from "../../src/core/extract/extractor.ts";
import { extractor as hdf5 } from "../../src/core/extract/extractors/hdf5.ts";
import { extractor as netcdf } from "../../src/core/extract/extractors/netcdf.ts";
import { extractor as parquet } from "../../src/core/extract/extractors/parquet.ts";
import { extractor as spreadsheet } from "../../src/core/extract/extractors/spreadsheet.ts";
import { seededRandom } from "../support/random.ts";
import { without } from "../support/tools.ts";

const withoutModule = (module: string, origin: string) =>
  without(`Python's ${module}`, ["python3", "-c", `import ${module}`], origin);

const noNetcdf = without("ncgen and ncdump", ["sh", "-c", "command -v ncgen && command -v ncdump"], "apt: netcdf-bin");
const noH5dump = without("h5dump and h5repack", ["sh", "-c", "h5dump -V && h5repack -V"], "apt: hdf5-tools");
const noH5py = withoutModule("h5py", "apt: python3-h5py");
const noOpenpyxl = withoutModule("openpyxl", "apt: python3-openpyxl");
const noXlwt = withoutModule("xlwt, xlrd", "apt: python3-xlwt, python3-xlrd");
const noOdf = withoutModule("odf", "apt: python3-odf");
const noPyarrow = withoutModule("pyarrow", "PyPI: pyarrow");

const folder = mkdtempSync(join(tmpdir(), "longshore-tools-tables-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const list = (value: unknown) => value as readonly RecordData[];

async function dataOf(extractor: Extractor, localPath: string): Promise<RecordData> {
  const file = { localPath, name: basename(localPath), sizeBytes: statSync(localPath).size };
  const { data, problems } = await extractor.extract([file]);
  assert.deepEqual(problems, []);
  return data;
}

function said(program: string, words: readonly string[]): string {
  return execFileSync(program, words, { encoding: "utf8", cwd: folder, maxBuffer: 64 * 1024 * 1024 });
}

/** What a Python program prints, as JSON. */
function python(program: string, ...words: readonly string[]): unknown {
  return JSON.parse(said("python3", ["-c", program, ...words]));
}

describe("netCDF, as ncdump tells it", { skip: noNetcdf }, () => {
  const TYPES = ["byte", "char", "short", "int", "float", "double"];
  const TYPES_5 = [...TYPES, "ubyte", "ushort", "uint", "int64", "uint64"];

  for (const [kind, format, types] of [
    ["1", "classic", TYPES],
    ["2", "64-bit offset", TYPES],
    ["5", "cdf5", TYPES_5],
    ["4", "netCDF-4 classic model", TYPES],
    ["3", "netCDF-4", [...TYPES_5, "string"]],
  ] as const)
    test(`${format}: dimensions, variables and attributes of files made at random`, async (t) => {
      const random = seededRandom(t);
      for (let round = 0; round < 5; round++) {
        const cdl = join(folder, "random.cdl");
        const path = join(folder, "random.nc");
        writeFileSync(cdl, randomCdl(random, types, kind === "3"));
        said("ncgen", ["-k", kind, "-o", path, cdl]);
        const data = await dataOf(netcdf, path);
        assert.equal(data.format, format);
        assert.deepEqual(cdlLines(data), linesOf(said("ncdump", ["-h", path])));
      }
    });

  /** A file of up to three dimensions, ten variables and ten attributes of each; nothing is in its variables. */
  function randomCdl(random: (below: number) => number, types: readonly string[], hasGroups: boolean): string {
    const of = <T>(all: readonly T[]) => all[random(all.length)] as T;
    const attribute = (i: number) => {
      const type = of(types);
      if (type === "char") return `a${i} = "${of(["", "text", "Grüße", 'a \\"quoted\\" word'])}" ;`;
      if (type === "string") return `string a${i} = "one", "two" ;`;
      const values = Array.from({ length: 1 + random(4) }, () => `${random(100)}${SUFFIXES[type]}`);
      return `${hasGroups ? `${type} ` : ""}:a${i} = ${values.join(", ")} ;`.replace(/^(\w+ ):/, "$1");
    };
    const attributes = (owner: string) =>
      Array.from({ length: random(12) }, (_, i) => {
        const text = attribute(i).replace(/^:/, "");
        const [, type = "", rest = text] =
          /^((?:string|byte|ubyte|short|ushort|int|uint|int64|uint64|float|double) )?(a\d+ = .*)$/s.exec(text) ?? [];
        return `${type}${owner}:${rest}`;
      });
    const body = (prefix: string) => {
      const dims = Array.from({ length: 1 + random(3) }, (_, i) => `${prefix}d${i}`);
      const variables = Array.from({ length: 1 + random(10) }, (_, i) => {
        // Only the first dimension may be without limit in the old formats.
        const own = dims.filter(() => random(2) === 0);
        const name = random(4) === 0 && i < dims.length ? `${prefix}d${i}` : `${prefix}v${i}`;
        return [`${of(types)} ${name}${own.length > 0 ? `(${own.join(", ")})` : ""} ;`, ...attributes(name)];
      });
      const sizes = dims.map((dim, i) => `${dim} = ${i === 0 ? "UNLIMITED" : 1 + random(50)} ;`);
      return `dimensions:\n${sizes.join("\n")}\nvariables:\n${variables.flat().join("\n")}\n${attributes("").join("\n")}\n`;
    };
    return `netcdf random {\n${body("")}${hasGroups ? `group: g {\n${body("g_")}}\n` : ""}}\n`;
  }
  const SUFFIXES: Readonly<Record<string, string>> = {
    byte: "b",
    short: "s",
    int: "",
    float: ".5f",
    double: ".25",
    ubyte: "UB",
    ushort: "US",
    uint: "U",
    int64: "LL",
    uint64: "ULL",
  };

  /** What `ncdump -h` says, a line for each thing, without its layout. */
  function linesOf(text: string): readonly string[] {
    let group = "/";
    const lines: string[] = [];
    for (const raw of text.split("\n")) {
      const line = raw.trim();
      const entered = /^group: (\S+) \{$/.exec(line)?.[1];
      if (entered !== undefined) group = `/${entered}`;
      if (/^\} \/\/ group/.test(line)) group = "/";
      if (!/ ;( \/\/.*)?$/.test(line)) continue;
      const current = /\/\/ \((\d+) currently\)/.exec(line)?.[1];
      const said = line.replace(/ ;( \/\/.*)?$/, "").replace(/UNLIMITED$/, `UNLIMITED ${current}`);
      lines.push(`${group} ${normal(said)}`);
    }
    return lines.toSorted();
  }

  /** Numbers without what tells their types: those are in our record, and compared beside. */
  function normal(line: string): string {
    const [, owner, values] = /^(?:string )?(\w*:\w+) = ([^"].*)$/s.exec(line) ?? [];
    if (values === undefined) return line.replace(/^string (\w*:)/, "$1");
    const numbers = values.split(", ").map((one) => Number(one.replace(/(UB|US|ULL|LL|U|b|s|f)$/, "")));
    return `${owner} = ${typeOf(values)} ${numbers.join(", ")}`;
  }
  function typeOf(values: string): string {
    const suffix = /(UB|US|ULL|LL|U|b|s|f)?$/.exec(values.split(", ")[0] ?? "")?.[1] ?? "";
    const byRest = /[.e]/.test(values) ? "double" : "int";
    return (
      { UB: "ubyte", US: "ushort", ULL: "uint64", LL: "int64", U: "uint", b: "byte", s: "short", f: "float" }[suffix] ??
      byRest
    );
  }

  /** Our record in the same lines. */
  function cdlLines(data: RecordData): readonly string[] {
    const attributes = (group: string, owner: string, all: unknown) =>
      list(all).map(({ name, type, value }) => {
        const values = Array.isArray(value) ? value : [value];
        const isText = type === "char" || type === "string";
        const shown = isText ? values.map((one) => JSON.stringify(one)).join(", ") : `${type} ${values.join(", ")}`;
        return `${group} ${owner}:${name} = ${shown}`;
      });
    return [
      ...list(data.dimensions).map(
        ({ group, name, size, isUnlimited }) => `${group} ${name} = ${isUnlimited ? `UNLIMITED ${size}` : size}`,
      ),
      ...list(data.variables).flatMap(({ group, name, type, dimensions, attributes: own }) => {
        const along = dimensions as readonly string[];
        return [
          `${group} ${type} ${name}${along.length > 0 ? `(${along.join(", ")})` : ""}`,
          ...attributes(String(group), String(name), own),
        ];
      }),
      ...list(data.groups).flatMap(({ path, attributes: own }) => attributes(String(path), "", own)),
    ].toSorted();
  }
});

describe("HDF5, as h5py tells it", { skip: noH5py }, () => {
  /** Everything that is easily made, by the library's old and new forms. */
  const MAKE = `
import sys, h5py, numpy as np
path, form = sys.argv[1:]
with h5py.File(path, "w", libver=form if form == "latest" else ("earliest", "latest"), track_order=form == "latest") as f:
    f.attrs["text"] = "Grüße"; f.attrs["fixed"] = np.bytes_("abc"); f.attrs["texts"] = ["a", "bb", "ccc"]
    f.attrs["f16"] = np.float16(1.5); f.attrs["nan"] = np.nan; f.attrs["inf"] = -np.inf
    f.attrs["big"] = np.int64(2**62 + 1); f.attrs["u64"] = np.uint64(2**64 - 1); f.attrs["be"] = np.array([1, 2, 3], ">i2")
    f.attrs["matrix"] = np.arange(6).reshape(2, 3); f.attrs["bool"] = True; f.attrs["empty"] = h5py.Empty("f"); f.attrs["long"] = np.arange(5000)
    f.attrs.create("array", np.zeros((), dtype=(np.int32, (2, 2))), dtype=np.dtype((np.int32, (2, 2))))
    g = f.create_group("g")
    for i in range(30): g.attrs[f"attr{i:02}"] = i
    g.attrs["huge"] = "x" * 30000
    many = f.create_group("many")
    for i in range(1500):
        if i % 2: many.create_group(f"member{i:04}")
        else: many.create_dataset(f"member{i:04}", data=i)
    g["again"] = f["g"]; g["root"] = f["/"]
    g["soft"] = h5py.SoftLink("/many/member0000"); g["dangling"] = h5py.SoftLink("/no/where")
    g["external"] = h5py.ExternalLink("other.h5", "/x"); g["circle"] = h5py.SoftLink("circle")
    f.create_dataset("scalar", data=3.5); f.create_dataset("null", data=h5py.Empty("i4"))
    f.create_dataset("chunked", shape=(100, 50), maxshape=(None, 50), chunks=(10, 50), dtype="f4", compression="gzip", compression_opts=7, shuffle=True, fletcher32=True)
    f.create_dataset("lzf", shape=(100,), chunks=(10,), dtype="i8", compression="lzf")
    f.create_dataset("strings", data=["x", "yy"], dtype=h5py.string_dtype())
    f.create_dataset("compound", shape=(3,), dtype=[("x", "<f8"), ("y", ">i4"), ("s", "S5"), ("arr", "f4", (2, 3))])
    f.create_dataset("vlen", shape=(3,), dtype=h5py.vlen_dtype("i4"))
    f.create_dataset("enum", shape=(3,), dtype=h5py.enum_dtype({"R": 0, "G": 1}, basetype="i1"))
    f.create_dataset("ref", shape=(1,), dtype=h5py.ref_dtype); f.create_dataset("opaque", data=np.void(b"abcd"))
    f["type"] = np.dtype("f8"); f["type"].attrs["note"] = "named"
    f.create_dataset("typed", shape=(2,), dtype=f["type"])
    deep = f
    for i in range(40): deep = deep.create_group(f"level{i}")
print("null")
`;
  /** The same in the words of our record, types aside: h5py has its own. */
  const TELL = `
import sys, json, h5py, numpy as np
def plain(v):
    if isinstance(v, h5py.Empty): return []
    if isinstance(v, (bytes, np.bytes_)): return v.decode()
    if isinstance(v, str): return v[:8192]
    if isinstance(v, np.ndarray): return [plain(x) for x in v.ravel()[:100]]
    if isinstance(v, (bool, np.bool_)): return "TRUE" if v else "FALSE"
    if isinstance(v, (int, np.integer)): return int(v) if abs(int(v)) < 2**53 else str(int(v))
    return float(v) if np.isfinite(v) else "NaN" if np.isnan(v) else "Infinity" if v > 0 else "-Infinity"
def address(o): return h5py.h5o.get_info(o.id).addr
objects = {}; links = []
with h5py.File(sys.argv[1], "r") as f:
    seen = {address(f["/"])}; queue = [("/", f["/"])]
    while queue:
        path, o = queue.pop(0)
        facts = {"attributes": {k: plain(v) for k, v in o.attrs.items()}}
        if isinstance(o, h5py.Dataset):
            facts.update(shape=o.shape, maxShape=None if o.shape is None else o.maxshape, chunks=o.chunks)
        objects[path] = facts
        if isinstance(o, h5py.Group):
            for name in o:
                link = o.get(name, getlink=True); below = path.rstrip("/") + "/" + name
                if isinstance(link, h5py.HardLink) and address(o[name]) not in seen:
                    seen.add(address(o[name])); queue.append((below, o[name]))
                else: links.append(below)
    print(json.dumps({"objects": objects, "links": sorted(links)}))
`;

  for (const form of ["earliest", "latest"])
    test(`the ${form} form: every object, with shape, chunks and attributes`, async () => {
      const path = join(folder, `${form}.h5`);
      python(MAKE, path, form);
      await sameAsH5py(path);
    });

  test("messages that objects share, in a heap of the file's", { skip: noH5dump }, async () => {
    python(MAKE, join(folder, "own.h5"), "latest");
    // h5repack follows links, of which some lead nowhere: it says so by its exit code, and has copied the rest.
    const shared = join(folder, "shared.h5");
    const small = `
import sys, h5py
with h5py.File(sys.argv[1], "w", libver="latest") as f:
    for i in range(20):
        d = f.create_dataset(f"d{i}", shape=(i + 1,), dtype="f8"); d.attrs["unit"] = "m"; d.attrs["same"] = "s" * 100
print("null")`;
    python(small, join(folder, "small.h5"));
    said("h5repack", ["-s", "1:dtype", "-s", "1:attr", "-s", "1:dspace", "small.h5", shared]);
    await sameAsH5py(shared);
  });

  test("the list of objects and links is that of h5dump", { skip: noH5dump }, async () => {
    const path = join(folder, "listed.h5");
    // An h5dump that is older than the library that h5py has does not read its latest form.
    python(MAKE, path, "earliest");
    const { groups, datasets, datatypes, links } = await dataOf(hdf5, path);
    const kinds = new Map(
      Object.entries({ group: groups, dataset: datasets, datatype: datatypes }).flatMap(([kind, all]) =>
        list(all).map((one) => [String(one.path), kind] as const),
      ),
    );
    const ours = [...kinds].map(([path, kind]) => `${kind} ${path}`);
    for (const { path, kind, file, target } of list(links))
      if (kind === "hard") ours.push(`${kinds.get(String(target))} ${path} -> ${target}`);
      else ours.push(kind === "soft" ? `link ${path} -> ${target}` : `ext link ${path} -> ${file} ${target}`);
    const theirs = said("h5dump", ["-n", path])
      .split("\n")
      .filter((line) => line.startsWith(" ") && line.trim() !== "}")
      .map((line) => line.trim().replace(/^(ext link|\S+)\s+/, "$1 "));
    assert.deepEqual(ours.toSorted(), theirs.toSorted());
  });

  async function sameAsH5py(path: string): Promise<void> {
    const told = python(TELL, path) as {
      readonly objects: Readonly<Record<string, RecordData>>;
      readonly links: unknown;
    };
    const data = await dataOf(hdf5, path);
    const ours = Object.fromEntries(
      [...list(data.groups), ...list(data.datasets), ...list(data.datatypes)].map(
        ({ path, shape, maxShape, chunks, attributes }) => [
          path,
          {
            attributes: Object.fromEntries(list(attributes).map(({ name, value }) => [name, value])),
            ...(shape === undefined ? {} : { shape, maxShape, chunks }),
          },
        ],
      ),
    );
    assert.deepEqual(ours, told.objects);
    assert.deepEqual(
      list(data.links)
        .map((link) => link.path)
        .toSorted(),
      told.links,
    );
  }
});

/** What of a column is compared, whatever read it. */
const STATISTICS = `
import datetime, json, math, statistics, sys
def clean(v):
    if isinstance(v, (datetime.datetime, datetime.date)):
        v = v.isoformat()
        return v[:10] if v.endswith("T00:00:00") else v
    return v
def told(column):
    there = [clean(v) for v in column if v is not None and v != "" and not (isinstance(v, float) and math.isnan(v))]
    numbers = [float(v) for v in there if isinstance(v, (int, float)) and not isinstance(v, bool)]
    return dict(count=len(there), missing=len(column) - len(there), distinct=len(set(map(str, there))),
        min=min(numbers) if numbers else None, max=max(numbers) if numbers else None, mean=statistics.fmean(numbers) if numbers else None)
`;
/** Rows that a generator of fixed seed gives, for the libraries that write. */
const ROWS = `
import random
random.seed(int(sys.argv[2]))
rows = [[i, f"n{random.randrange(7)}", datetime.date(2024, 1, 1) + datetime.timedelta(days=random.randrange(50)),
    None if random.randrange(10) == 0 else random.random() * 100 - 50, random.randrange(2) == 0] for i in range(700)]
NAMES = ["id", "name", "day", "value", "ok"]
`;

async function sameColumns(extractor: Extractor, path: string, told: unknown): Promise<void> {
  const data = await dataOf(extractor, path);
  const [sheet = data] = list(data.sheets ?? []);
  const ours = list(sheet.columns);
  const theirs = told as readonly Readonly<Record<string, number | null>>[];
  assert.equal(ours.length, theirs.length);
  for (const [i, column] of ours.entries()) {
    const { mean, ...others } = theirs[i] ?? {};
    const { count, missing, distinct, min, max } = column;
    assert.deepEqual({ count, missing, distinct, min, max }, others, String(column.name));
    if (typeof mean === "number")
      assert.ok(Math.abs(Number(column.mean) - mean) < 1e-9, `${column.mean} is not ${mean}`);
    else assert.equal(column.mean, null);
  }
}
const seedOf = (t: TestContext) => String(seededRandom(t)(1_000_000));

describe("spreadsheets, as Python's libraries tell them", () => {
  test("XLSX by openpyxl", { skip: noOpenpyxl }, async (t) => {
    const path = join(folder, "book.xlsx");
    const program = `${STATISTICS}${ROWS}
import openpyxl
book = openpyxl.Workbook(); sheet = book.active; sheet.append(NAMES)
for row in rows: sheet.append(row)
book.save(sys.argv[1])
read = list(openpyxl.load_workbook(sys.argv[1], read_only=True, data_only=True).active.iter_rows(values_only=True))
print(json.dumps([told(list(c)) for c in zip(*read[1:])]))`;
    await sameColumns(spreadsheet, path, python(program, path, seedOf(t)));
  });

  test("XLS by xlwt and xlrd", { skip: noXlwt }, async (t) => {
    const path = join(folder, "book.xls");
    const program = `${STATISTICS}${ROWS}
import xlwt, xlrd
book = xlwt.Workbook(); sheet = book.add_sheet("Data"); style = xlwt.easyxf(num_format_str="YYYY-MM-DD")
for c, name in enumerate(NAMES): sheet.write(0, c, name)
for r, row in enumerate(rows):
    for c, v in enumerate(row):
        if v is not None: sheet.write(r + 1, c, v, style) if c == 2 else sheet.write(r + 1, c, v)
book.save(sys.argv[1])
read = xlrd.open_workbook(sys.argv[1]); sheet = read.sheet_by_index(0)
def value(cell):
    if cell.ctype == xlrd.XL_CELL_DATE: return xlrd.xldate_as_datetime(cell.value, read.datemode)
    if cell.ctype == xlrd.XL_CELL_BOOLEAN: return bool(cell.value)
    return None if cell.ctype in (xlrd.XL_CELL_EMPTY, xlrd.XL_CELL_BLANK) else cell.value
print(json.dumps([told([value(x) for x in sheet.col(c)[1:]]) for c in range(sheet.ncols)]))`;
    await sameColumns(spreadsheet, path, python(program, path, seedOf(t)));
  });

  test("ODS by odfpy", { skip: noOdf }, async (t) => {
    const path = join(folder, "book.ods");
    const program = `${STATISTICS}${ROWS}
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableRow, TableCell
from odf.text import P
book = OpenDocumentSpreadsheet(); table = Table(name="Data"); book.spreadsheet.addElement(table)
def cell(v):
    if v is None: return TableCell()
    if isinstance(v, bool): c = TableCell(valuetype="boolean", booleanvalue=str(v).lower())
    elif isinstance(v, (int, float)): c = TableCell(valuetype="float", value=repr(v))
    elif isinstance(v, datetime.date): c = TableCell(valuetype="date", datevalue=v.isoformat())
    else: c = TableCell(valuetype="string")
    c.addElement(P(text=str(v)))
    return c
for row in [NAMES] + rows:
    r = TableRow(); table.addElement(r)
    for v in row: r.addElement(cell(v))
book.save(sys.argv[1])
print(json.dumps([told(list(c)) for c in zip(*rows)]))`;
    await sameColumns(spreadsheet, path, python(program, path, seedOf(t)));
  });
});

describe("Parquet, as pyarrow writes and reads it", { skip: noPyarrow }, () => {
  for (const codec of ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
    test(`compressed by ${codec}`, async (t) => {
      const path = join(folder, `${codec}.parquet`);
      const program = `${STATISTICS}${ROWS}
import pyarrow as pa, pyarrow.parquet as pq
columns = dict(zip(NAMES, map(list, zip(*rows))))
columns["when"] = pa.array([datetime.datetime(2024, 5, 6, 7, 8, i % 60) for i in range(len(rows))], pa.timestamp("us"))
columns["half"] = pa.array([i / 2 for i in range(len(rows))], pa.float32())
columns["word"] = pa.array([f"c{i % 3}" for i in range(len(rows))]).dictionary_encode()
pq.write_table(pa.table(columns), sys.argv[1], compression="${codec}", row_group_size=300, data_page_version="${codec === "zstd" ? "2.0" : "1.0"}")
read = pq.read_table(sys.argv[1])
print(json.dumps([told(read.column(c).to_pylist()) for c in read.column_names]))`;
      await sameColumns(parquet, path, python(program, path, seedOf(t)));
    });

  test("schema, row groups and codecs", async (t) => {
    const path = join(folder, "schema.parquet");
    const program = `${STATISTICS}${ROWS}
import pyarrow as pa, pyarrow.parquet as pq
table = pa.table({"id": [1, 2, 3], "list": [[1], [2, 3], None], "place": [{"x": 1.5, "y": None}] * 3})
pq.write_table(table, sys.argv[1], row_group_size=2)
m = pq.ParquetFile(sys.argv[1]).metadata
columns = [m.schema.column(i) for i in range(m.num_columns)]
print(json.dumps(dict(rows=m.num_rows, rowGroups=m.num_row_groups, createdBy=m.created_by, columnCount=m.num_columns,
    columns=[[c.path, c.physical_type, m.row_group(0).column(i).compression,
        sum(m.row_group(g).column(i).total_uncompressed_size for g in range(m.num_row_groups))] for i, c in enumerate(columns)])))`;
    const told = python(program, path, seedOf(t)) as RecordData;
    const { rows, rowGroups, createdBy, columnCount, columns } = await dataOf(parquet, path);
    assert.deepEqual(
      {
        ...{ rows, rowGroups, createdBy, columnCount },
        columns: list(columns).map(({ path, physicalType, codecs, uncompressedBytes }) => [
          (path as readonly string[]).join("."),
          physicalType,
          (codecs as readonly string[])[0],
          uncompressedBytes,
        ]),
      },
      told,
    );
  });
});
