import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { File, type Group, ready } from "h5wasm/node";
import type { RecordData } from "../../../src/core/extract/extractor.ts";
import { extractor } from "../../../src/core/extract/extractors/hdf5.ts";
import { seededRandom } from "../../support/random.ts";
import { describing } from "./records.ts";

await ready;
const list = (value: unknown) => value as readonly RecordData[];
const at = (records: unknown, path: string) => list(records).find((one) => one.path === path);

/** The library's oldest form of everything, and its newest: symbol tables, and heaps with B-trees of version 2. */
const FORMS = ["earliest", "latest"] as const;

/** Writes a file by HDF5's own library, compiled to WebAssembly. */
async function written(t: TestContext, form: (typeof FORMS)[number], write: (file: File) => void): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "longshore-hdf5-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "file.h5");
  const file = new File(path, "w", { libver: [form, "latest"] });
  write(file);
  file.close();
  return path;
}

function writeSample(file: File): void {
  file.create_attribute("title", "Grüße");
  file.create_attribute("numbers", [1.5, -2, 3]);
  file.create_attribute("big", BigInt64Array.of(2n ** 62n + 1n));
  file.create_dataset({
    name: "grid",
    data: new Float32Array(200),
    shape: [20, 10],
    maxshape: [null, 10],
    chunks: [5, 10],
    compression: "gzip",
    compression_opts: [7],
  });
  file.create_dataset({ name: "words", data: ["a", "bb"] });
  file.create_dataset({ name: "counts", data: Int16Array.of(1, 2, 3) });
  const group = file.create_group("group");
  for (let i = 0; i < 40; i++) group.create_attribute(`attribute ${i}`, i);
  group.create_attribute("long", "x".repeat(20_000));
  // Too large for a heap's blocks: an object of its own.
  group.create_attribute(
    "list",
    Float64Array.from({ length: 3000 }, (_, i) => i / 2),
  );
  file.create_hard_link("/group", "group/again");
  file.create_hard_link("/", "group/up");
  file.create_soft_link("/grid", "group/soft");
  file.create_soft_link("nowhere", "group/dangling");
  file.create_external_link("other.h5", "/there", "group/elsewhere");
}

for (const form of FORMS)
  describe(`a file in the ${form} form`, () => {
    test("its datasets have shape, type, storage and filters", async (t) => {
      const { describe } = await describing(t, extractor);
      const { data, problems } = await describe(await readFile(await written(t, form, writeSample)));
      assert.deepEqual([problems, data.isWhole], [[], true]);
      const { attributes: _, ...grid } = at(data.datasets, "/grid") ?? {};
      assert.deepEqual(grid, {
        path: "/grid",
        type: "float32",
        shape: [20, 10],
        maxShape: [null, 10],
        sizeBytes: 800,
        storage: "chunked",
        chunks: [5, 10],
        filters: [{ name: "deflate", options: [7] }],
      });
      assert.equal(at(data.datasets, "/counts")?.type, "int16");
      assert.equal(at(data.datasets, "/words")?.type, "string");
      assert.deepEqual(
        list(data.groups).map(({ path }) => path),
        ["/", "/group"],
      );
    });

    test("its attributes have values, those of a heap too", async (t) => {
      const { describe } = await describing(t, extractor);
      const { data } = await describe(await readFile(await written(t, form, writeSample)));
      const root = at(data.groups, "/");
      assert.deepEqual(
        list(root?.attributes)
          .map(({ name, value }) => [name, value])
          .toSorted(),
        [
          ["big", [String(2n ** 62n + 1n)]],
          ["numbers", [1.5, -2, 3]],
          ["title", "Grüße"],
        ],
      );
      const group = list(at(data.groups, "/group")?.attributes);
      assert.equal(group.length, 42);
      for (let i = 0; i < 40; i++) assert.equal(group.find(({ name }) => name === `attribute ${i}`)?.value, i);
      assert.equal(String(group.find(({ name }) => name === "long")?.value).length, 8192);
      const { value, isCut } = group.find(({ name }) => name === "list") ?? {};
      assert.deepEqual([value, isCut], [Array.from({ length: 100 }, (_, i) => i / 2), true]);
    });

    test("links are told, and circles of them end", async (t) => {
      const { describe } = await describing(t, extractor);
      const { data } = await describe(await readFile(await written(t, form, writeSample)));
      const links = new Map(list(data.links).map(({ path, ...link }) => [path, link]));
      assert.deepEqual(Object.fromEntries(links), {
        "/group/again": { kind: "hard", file: null, target: "/group", isDangling: false },
        "/group/up": { kind: "hard", file: null, target: "/", isDangling: false },
        "/group/soft": { kind: "soft", file: null, target: "/grid", isDangling: false },
        "/group/dangling": { kind: "soft", file: null, target: "nowhere", isDangling: true },
        "/group/elsewhere": { kind: "external", file: "other.h5", target: "/there", isDangling: null },
      });
    });

    test("of many objects, all are found; of too many, the first, and that is said", async (t) => {
      const { describe } = await describing(t, extractor);
      const many = await written(t, form, (file) => fill(file, 3000));
      const { data } = await describe(await readFile(many));
      assert.equal(list(data.groups).length, 3001);
      // What the library itself says.
      assert.deepEqual(
        list(data.groups)
          .map(({ path }) => path)
          .toSorted(),
        ["/", ...namesOf(many).map((name) => `/${name}`)].toSorted(),
      );
      const more = await describe(await readFile(await written(t, form, (file) => fill(file, 6000))));
      assert.deepEqual([list(more.data.groups).length, more.data.isWhole], [5000, false]);
      assert.match(more.problems[0]?.message ?? "", /more than is listed/);
    });

    test("cut off, it is described or refused; what is missing is said", async (t) => {
      const { describe, survives } = await describing(t, extractor);
      const sample = await readFile(await written(t, form, writeSample));
      for (let length = 0; length < sample.length; length += 97) await survives(sample.subarray(0, length), "cut.h5");
      const { data, problems } = await describe(sample.subarray(0, sample.length - 8));
      assert.equal(data.isWhole, false);
      assert.match(problems[0]?.message ?? "", /last 8 bytes are missing/);
    });

    test("with bytes changed at random, it is described or refused", async (t) => {
      const { survives } = await describing(t, extractor);
      const sample = await readFile(await written(t, form, writeSample));
      const random = seededRandom(t);
      for (let round = 0; round < 400; round++) {
        const damaged = Buffer.from(sample);
        const among = round % 2 === 0 ? damaged.length : Math.min(4096, damaged.length);
        for (let change = random(12); change >= 0; change--) damaged[random(among)] = random(256);
        await survives(damaged, "changed.h5");
      }
    });

    test("an object that cannot be read is a problem, and the others are there", async (t) => {
      const { describe } = await describing(t, extractor);
      const path = await written(t, form, (file) => {
        for (const name of ["a", "b", "c"]) file.create_dataset({ name, data: Int32Array.of(1) });
      });
      const bytes = await readFile(path);
      bytes.fill(0xff, addressOf(path, "b"), addressOf(path, "b") + 8);
      const { data, problems } = await describe(bytes, "damaged.h5");
      assert.deepEqual(
        list(data.datasets).map((one) => one.path),
        ["/a", "/c"],
      );
      assert.deepEqual(
        problems.map(({ code, path: of }) => [code, of]),
        [["content_malformed", "damaged.h5:/b"]],
      );
    });
  });

test("what lies before a file is passed over", async (t) => {
  const { describe } = await describing(t, extractor);
  const sample = await readFile(await written(t, "latest", writeSample));
  const { data } = await describe(Buffer.concat([Buffer.alloc(2048, "MATLAB 7.3 "), sample]));
  assert.equal(data.userBlockBytes, 2048);
  assert.equal(list(data.datasets).length, 3);
});

function fill(file: Group, count: number): void {
  for (let i = 0; i < count; i++) file.create_group(`member ${i}`);
}

function namesOf(path: string): readonly string[] {
  const file = new File(path, "r");
  const names = file.keys();
  file.close();
  return names;
}

/** An object reference of the old kind is the address of the object's header. */
function addressOf(path: string, name: string): number {
  const file = new File(path, "r");
  const object = file.get(name);
  assert.ok(object && "create_reference" in object, `${name} is not in the file`);
  const { ref_data } = object.create_reference();
  file.close();
  return Number(Buffer.from(ref_data).readBigUInt64LE());
}
