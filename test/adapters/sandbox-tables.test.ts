import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { utils, write } from "@e965/xlsx";
import { ByteWriter, parquetWrite } from "hyparquet-writer";
import { childProcessSandbox } from "../../src/adapters/sandbox/child-process.ts";
import type { Outcome, SandboxLimits } from "../../src/core/extract/sandbox.ts";
import { zipOf } from "../core/extract/documents.ts";
import { GROUPS, TINY } from "../core/extract/netcdf-files.ts";
import { seededRandom } from "../support/random.ts";

const MIB = 1024 * 1024;
const LIMITS: SandboxLimits = { silenceMs: 60_000, totalMs: 300_000, memoryBytes: 512 * MIB, outputBytes: 4 * MIB };
const NAMES = ["hdf5", "netcdf", "parquet", "spreadsheet"] as const;
const MODULES = new Map<string, string>(
  NAMES.map((name) => [name, new URL(`../../src/core/extract/extractors/${name}.ts`, import.meta.url).href]),
);

/** Runs extractors as the server does: in processes that may read these files, and nothing else. */
async function sandboxed(t: TestContext, limits: Partial<SandboxLimits> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "longshore-sandbox-tables-"));
  const sandbox = childProcessSandbox({
    modules: MODULES,
    readable: [folder],
    limits: { ...LIMITS, ...limits },
    processes: 1,
  });
  t.after(async () => {
    await sandbox.close();
    await rm(folder, { recursive: true, force: true });
  });
  return async (extractor: (typeof NAMES)[number], contents: readonly Uint8Array[]): Promise<readonly Outcome[]> => {
    const groups = await Promise.all(
      contents.map(async (content, i) => {
        const localPath = join(folder, `${extractor}-${i}`);
        await writeFile(localPath, content);
        return [{ localPath, name: `${extractor}-${i}`, sizeBytes: content.length }];
      }),
    );
    return Array.fromAsync(sandbox.run({ extractor, groups, signal: new AbortController().signal }));
  };
}

const dataOf = (outcome: Outcome | undefined) =>
  outcome && "result" in outcome ? outcome.result.data : assert.fail(JSON.stringify(outcome));

function workbook(bookType: "xlsx" | "ods" | "biff8"): Buffer {
  const book = utils.book_new();
  const rows = Array.from({ length: 200 }, (_, i) => [i, `name ${i % 7}`, i / 2]);
  utils.book_append_sheet(book, utils.aoa_to_sheet([["id", "name", "half"], ...rows]), "Data");
  return Buffer.from(write(book, { type: "buffer", bookType }));
}

function parquet(): Buffer {
  const writer = new ByteWriter();
  const data = Array.from({ length: 1000 }, (_, i) => (i % 3 === 0 ? null : i));
  parquetWrite({ writer, columnData: [{ name: "id", data, type: "INT32", nullable: true }], codec: "UNCOMPRESSED" });
  return Buffer.from(writer.getBuffer());
}

test("they do in the sandbox what they do outside of it", async (t) => {
  const run = await sandboxed(t);
  const [tiny] = await run("netcdf", [TINY.classic]);
  assert.equal(dataOf(tiny).format, "classic");
  const [groups] = await run("hdf5", [GROUPS]);
  assert.equal((dataOf(groups).datasets as readonly unknown[]).length, 7);
  const [table] = await run("parquet", [parquet()]);
  assert.equal(dataOf(table).rows, 1000);
  const books = await run("spreadsheet", [workbook("xlsx"), workbook("ods"), workbook("biff8")]);
  assert.deepEqual(
    books.map((one) => dataOf(one).format),
    ["xlsx", "ods", "xls"],
  );
});

test("a page that says it holds more than memory does ends its process, and no other file", async (t) => {
  const run = await sandboxed(t, { silenceMs: 5000 });
  const whole = parquet();
  const endless = Buffer.from(whole);
  // How many values the first page has, as its header says it: a varint, twice 1,000 (Thrift's compact protocol).
  const count = endless.indexOf(Buffer.of(0x15, 0xd0, 0x0f)) + 1;
  endless.set([0xfe, 0xff, 0xff, 0xff, 0x0f], count);
  const outcomes = await run("parquet", [whole, endless, whole]);
  assert.deepEqual(
    [outcomes[0], outcomes[2]].map((one) => dataOf(one).rows),
    [1000, 1000],
  );
  const ended = outcomes[1];
  assert.ok(ended && "reason" in ended && ["silence", "memory", "died"].includes(ended.reason), JSON.stringify(ended));
});

test("XLS and Parquet files with bytes changed at random fail alone, if they do", async (t) => {
  const run = await sandboxed(t, { silenceMs: 5000 });
  const random = seededRandom(t);
  for (const [extractor, sample] of [
    ["spreadsheet", workbook("biff8")],
    ["parquet", parquet()],
  ] as const) {
    const damaged = Array.from({ length: 150 }, () => {
      const bytes = Buffer.from(sample);
      for (let change = random(8); change >= 0; change--) bytes[random(bytes.length)] = random(256);
      return bytes;
    });
    const outcomes = await run(extractor, [sample, ...damaged, sample]);
    assert.equal(outcomes.length, damaged.length + 2);
    dataOf(outcomes[0]);
    dataOf(outcomes.at(-1));
    for (const one of outcomes)
      if ("reason" in one) assert.ok(["threw", "silence", "memory", "died"].includes(one.reason), JSON.stringify(one));
      else assert.ok(one.result.data);
    const threw = outcomes.flatMap((one) => ("reason" in one && one.reason === "threw" ? one.message : []));
    for (const message of threw) assert.match(message, /damaged, ends early or breaks the rules/);
  }
});

test("a workbook of nothing but cells is read in the memory that any other takes", async (t) => {
  // 500,000 rows, 60 MB of XML: half of the memory would not hold the cells.
  const run = await sandboxed(t, { memoryBytes: 256 * MIB });
  const row = '<row><c><v>1</v></c><c><v>2.5</v></c><c t="str"><v>text</v></c></row>';
  const book = zipOf({
    "[Content_Types].xml": "<Types/>",
    "xl/workbook.xml": '<workbook xmlns:r="r"><sheets><sheet name="A" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels":
      '<Relationships><Relationship Id="r1" Type="x/worksheet" Target="one.xml"/></Relationships>',
    "xl/one.xml": `<worksheet><sheetData>${row.repeat(500_000)}</sheetData></worksheet>`,
  });
  const [outcome] = await run("spreadsheet", [book]);
  const [sheet] = dataOf(outcome).sheets as readonly { readonly rows: number }[];
  assert.equal(sheet?.rows, 500_000);
});
