import assert from "node:assert/strict";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { RecordData } from "../../../src/core/extract/extractor.ts";
import { extractor } from "../../../src/core/extract/extractors/netcdf.ts";
import { mediaTypeOf } from "../../../src/core/extract/media-type.ts";
import { seededRandom } from "../../support/random.ts";
import { GROUPS, TINY } from "./netcdf-files.ts";
import { describing } from "./records.ts";

const list = (value: unknown) => value as readonly RecordData[];
const brief = (attributes: unknown) => list(attributes).map(({ name, type, value }) => [name, type, value]);

for (const [format, bytes] of Object.entries(TINY))
  test(`a file in the format ${format} is told as ncdump tells it`, async (t) => {
    const { describe } = await describing(t, extractor);
    const { data, problems } = await describe(bytes);
    assert.deepEqual([data.format, data.isWhole, problems], [format, true, []]);
    assert.deepEqual(data.dimensions, [
      { group: "/", name: "time", size: 2, isUnlimited: true },
      { group: "/", name: "x", size: 3, isUnlimited: false },
    ]);
    assert.deepEqual(
      list(data.variables).map(({ name, type, dimensions, shape, values }) => [name, type, dimensions, shape, values]),
      [
        ["time", "double", ["time"], [2], 2],
        ["t", "float", ["time", "x"], [2, 3], 6],
        ["flag", "byte", [], [], 1],
        ["word", "char", ["x"], [3], 3],
      ],
    );
    const [time, temperature] = list(data.variables);
    assert.deepEqual(brief(time?.attributes), [["units", "char", "days since 2000-01-01"]]);
    assert.deepEqual(brief(temperature?.attributes), [
      ["_FillValue", "float", 1e20],
      ["valid_range", "short", [-5, 40]],
      ["long_name", "char", "Température"],
    ]);
    assert.deepEqual(brief(list(data.groups)[0]?.attributes), [
      ["title", "char", "Tiny"],
      ["numbers", "int", [1, 2, 3]],
      ["empty", "char", ""],
    ]);
  });

test("groups, types of the user's own, texts and filters of netCDF-4", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data } = await describe(GROUPS);
  assert.equal(data.madeBy, "version=2,netcdf=4.9.0,hdf5=1.10.8");
  assert.deepEqual(
    list(data.groups).map(({ path, attributes }) => [path, brief(attributes)]),
    [
      ["/", [["title", "char", "Groups"]]],
      ["/forecast", [["model", "char", "M"]]],
    ],
  );
  assert.deepEqual(
    list(data.dimensions).map(({ group, name, size }) => [group, name, size]),
    [
      ["/", "time", 2],
      ["/", "x", 3],
      ["/forecast", "z", 2],
    ],
  );
  assert.deepEqual(
    list(data.variables).map(({ group, name, type, dimensions, shape }) => [group, name, type, dimensions, shape]),
    [
      ["/", "time", "uint64", ["time"], [2]],
      ["/", "name", "string", ["x"], [3]],
      // Nothing was written to it: it is as long as its dimension nevertheless.
      ["/", "sky", "cloud", ["time"], [2]],
      ["/", "y", "int", ["x"], [3]],
      ["/forecast", "v", "double", ["time", "z"], [2, 2]],
    ],
  );
  const y = list(data.variables).find(({ name }) => name === "y");
  assert.deepEqual([y?.chunks, y?.filters], [[3], ["shuffle", "deflate"]]);
  assert.deepEqual(brief(y?.attributes), [
    ["big", "int64", "9223372036854775807"],
    ["words", "string", ["a", "bb"]],
  ]);
});

test("content tells netCDF-4 from other HDF5, also behind a user block", () => {
  assert.equal(mediaTypeOf(TINY.classic), "application/x-netcdf");
  assert.equal(mediaTypeOf(GROUPS), "application/x-netcdf4");
  const plain = Buffer.from(
    GROUPS.toString("latin1").replaceAll("_NCProperties", "_XXProperties").replaceAll("_Netcdf4", "_Xetcdf4"),
    "latin1",
  );
  assert.equal(mediaTypeOf(plain), "application/x-hdf5");
  for (const before of [512, 4096, 32768])
    assert.equal(mediaTypeOf(Buffer.concat([Buffer.alloc(before, "text "), plain])), "application/x-hdf5");
});

describe("of a large file", () => {
  test("the header alone is read, and what is missing of the data is told", async (t) => {
    const { folder } = await describing(t, extractor);
    const localPath = join(folder, "large.nc");
    const file = await open(localPath, "w");
    await file.write(classicHeader(2 ** 29));
    // Sparse: 4 GiB of floats, less the last 12 bytes.
    await file.truncate(1024 + 4 * 2 ** 29 - 12);
    await file.close();
    const before = process.memoryUsage().rss;
    const { data, problems } = await extractor.extract([{ localPath, name: "large.nc", sizeBytes: 0 }]);
    assert.deepEqual(list(data.variables)[0]?.shape, [2 ** 29]);
    assert.equal(data.isWhole, false);
    assert.match(problems[0]?.message ?? "", /last 12 bytes of its data are missing/);
    assert.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024);
  });

  test("records that are still being written are counted by what is there", async (t) => {
    const { describe } = await describing(t, extractor);
    const streaming = Buffer.from(TINY.classic);
    streaming.writeUInt32BE(0xffffffff, 4);
    const { data } = await describe(streaming);
    assert.deepEqual(list(data.dimensions)[0]?.size, 2);
  });
});

test("a header that promises more than the file has is refused", async (t) => {
  const { survives } = await describing(t, extractor);
  const promising = Buffer.from(TINY.classic);
  // The number of dimensions.
  promising.writeUInt32BE(0x7fffffff, 12);
  assert.equal(await survives(promising, "promising.nc"), "refused");
  assert.equal(await survives(Buffer.from("CDF\x03\0\0\0\0"), "unknown.nc"), "refused");
});

for (const [name, sample] of [...Object.entries(TINY), ["groups", GROUPS] as const]) {
  test(`${name}: cut off anywhere, it is described or refused`, async (t) => {
    const { survives } = await describing(t, extractor);
    const step = sample.length > 1000 ? 61 : 1;
    for (let length = 0; length < sample.length; length += step) await survives(sample.subarray(0, length), "cut.nc");
  });

  test(`${name}: with bytes changed at random, it is described or refused`, async (t) => {
    const { survives } = await describing(t, extractor);
    const random = seededRandom(t);
    for (let round = 0; round < 400; round++) {
      const damaged = Buffer.from(sample);
      for (let change = random(8); change >= 0; change--) damaged[random(damaged.length)] = random(256);
      await survives(damaged, "changed.nc");
    }
  });
}

/** CDF-1 with one variable of so many floats (NetCDF Classic Format Specification). */
function classicHeader(length: number): Buffer {
  const u32 = (...values: readonly number[]) => {
    const bytes = Buffer.alloc(4 * values.length);
    for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, 4 * i);
    return bytes;
  };
  const name = Buffer.concat([u32(1), Buffer.from("x\0\0\0")]);
  const header = [
    Buffer.from("CDF\x01"),
    u32(0, 0x0a, 1),
    name,
    u32(length, 0, 0, 0x0b, 1),
    name,
    u32(1, 0, 0, 0, 5, 0xfffffffc, 1024),
  ];
  return Buffer.concat(header);
}
