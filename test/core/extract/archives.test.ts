import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import type { RecordData } from "../../../src/core/extract/extractor.ts";
import { extractor } from "../../../src/core/extract/extractors/archive-listing.ts";
import { without } from "../../support/tools.ts";
import { describing } from "./records.ts";

const noTar = without("tar", ["tar", "--version"], "GNU tar");
const noPython = without("python3", ["python3", "-c", "import zipfile"], "python.org");

for (const [format, flags] of [
  ["tar", "-cf"],
  ["tar+gzip", "-czf"],
] as const)
  test(`${format}: members are those that GNU tar packed`, { skip: noTar }, async (t) => {
    const { describe, folder } = await describing(t, extractor);
    const long = `${"d".repeat(120)}/${"e".repeat(120)}`;
    await mkdir(join(folder, "in", "d".repeat(120)), { recursive: true });
    await writeFile(join(folder, "in", "a.txt"), "hello");
    await writeFile(join(folder, "in", long), Buffer.alloc(1000));
    execFileSync("tar", [flags, join(folder, "t"), "-C", folder, "in"]);
    const { data, problems } = await describe(await readFile(join(folder, "t")));
    assert.deepEqual(problems, []);
    assert.deepEqual([data.format, data.files, data.folders, data.expandedBytes], [format, 2, 2, 1005]);
    const listed = execFileSync("tar", ["-tf", join(folder, "t")], { encoding: "utf8" })
      .trim()
      .split("\n");
    assert.deepEqual((data.members as readonly RecordData[]).map(({ path }) => path).toSorted(), listed.toSorted());
  });

test("zip: members are those that Python packed, unsafe ones counted", { skip: noPython }, async (t) => {
  const { describe, folder } = await describing(t, extractor);
  const program = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("ü/plain.txt", "x" * 1000)
    z.writestr("../climbs", "x")
    with z.open("big", "w", force_zip64=True) as f: f.write(b"yy")`;
  execFileSync("python3", ["-c", program, join(folder, "z")]);
  const { data } = await describe(await readFile(join(folder, "z")));
  assert.deepEqual(
    [data.format, data.files, data.unsafePaths, data.expandedBytes, data.isWhole],
    ["zip", 3, 1, 1003, true],
  );
  assert.deepEqual(
    (data.members as readonly RecordData[]).map(({ path }) => path),
    ["ü/plain.txt", "../climbs", "big"],
  );
});

test("gzip: the file inside, with its size", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data } = await describe(gzipSync(Buffer.alloc(100_000, "ab")));
  assert.deepEqual([data.format, data.files, data.expandedBytes], ["gzip", 1, 100_000]);
});

test("a gzip bomb is expanded no further than its bounds", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data, problems } = await describe(gzipSync(Buffer.alloc(200 * 1024 * 1024)));
  assert.equal(data.isWhole, false);
  assert.deepEqual(
    problems.map(({ code }) => code),
    ["content_malformed"],
  );
});
