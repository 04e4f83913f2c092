import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { TAR_END, type TarFile, tarHeader, tarMemberLength, tarPadding } from "../../src/sdk/index.ts";

/** Lists an archive as Python's tarfile understands it: an independent reader. */
const PYTHON_LIST = `
import json, sys, tarfile
with tarfile.open(sys.argv[1], "r:") as t:
    print(json.dumps([[m.name, m.size, m.mtime, m.mode, m.isfile()] for m in t]))
`;

const NAMES = [
  "a",
  "data/plain name.txt",
  `data/${"n".repeat(95)}`, // exactly 100 bytes
  `data/${"n".repeat(96)}`, // one more, and no place to cut
  `data/${"p".repeat(149)}/${"n".repeat(100)}`, // prefix of 154 and name of 100: still ustar
  `data/${"p".repeat(150)}/${"n".repeat(100)}`, // prefix of exactly 155
  `data/${"p".repeat(151)}/${"n".repeat(100)}`, // prefix of 156: pax
  `data/${"deep/".repeat(80)}leaf`,
  "data/ünïcödé/日本語.txt",
  "data/emoji 🚢.bin",
  "data/back\\slash and 'quotes'",
];

describe("tar writer", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "longshore-tar-"));
  });
  after(() => rm(folder, { recursive: true }));

  async function archive(name: string, files: readonly TarFile[]): Promise<string> {
    const path = join(folder, name);
    const parts = files.flatMap((file) => [
      tarHeader(file),
      new Uint8Array(file.sizeBytes).fill(120),
      tarPadding(file.sizeBytes),
    ]);
    await writeFile(path, Buffer.concat([...parts, TAR_END]));
    return path;
  }

  test("names of every kind, sizes around a block and times are read back by Python's tarfile", async () => {
    const files = NAMES.map((path, index) => ({
      path,
      sizeBytes: 510 + index,
      modifiedAt: 1_600_000_000_999 + index * 1000,
    }));
    const path = await archive("names.tar", files);
    const listed = JSON.parse(execFileSync("python3", ["-c", PYTHON_LIST, path], { encoding: "utf8" }));
    assert.deepEqual(
      listed,
      files.map((file) => [file.path, file.sizeBytes, Math.floor(file.modifiedAt / 1000), 0o644, true]),
    );
  });

  test("the same archive is listed and extracted by GNU tar without a word of complaint", async () => {
    const path = await archive(
      "gnu.tar",
      NAMES.map((name) => ({ path: name, sizeBytes: 700, modifiedAt: 1_600_000_000_000 })),
    );
    const options = { encoding: "utf8", env: { ...process.env, LC_ALL: "C.UTF-8" }, stdio: "pipe" } as const;
    const listed = execFileSync("tar", ["--quoting-style=literal", "-tf", path], options);
    assert.deepEqual(listed.trimEnd().split("\n"), NAMES);
    const complaints = execFileSync("sh", ["-c", 'tar -C "$0" -xf "$1" 2>&1', folder, path], options);
    assert.equal(complaints, "");
  });

  test("a size beyond eleven octal digits goes into a pax record", async () => {
    // 8 GiB + 7: only the header is written; Python reads it without reading the bytes.
    const file = { path: "data/huge", sizeBytes: 8 ** 11 + 7 };
    const path = join(folder, "huge.tar");
    await writeFile(path, tarHeader(file));
    const script = 'import sys, tarfile; print(tarfile.open(sys.argv[1], "r:").next().size)';
    assert.equal(execFileSync("python3", ["-c", script, path], { encoding: "utf8" }).trim(), String(8 ** 11 + 7));
    assert.equal(tarMemberLength(file), tarHeader(file).length + 8 ** 11 + 512);
  });

  test("nothing but the file decides the header, and the length is known in advance", () => {
    for (const path of NAMES) {
      const file = { path, sizeBytes: 1234, modifiedAt: 5000 };
      assert.deepEqual(tarHeader(file), tarHeader({ ...file }));
      assert.equal(tarMemberLength(file), tarHeader(file).length + 1234 + tarPadding(1234).length);
      assert.equal(tarMemberLength(file) % 512, 0);
    }
  });

  test("times before 1970 are kept as 1970, which every reader can hold", async () => {
    const path = await archive("old.tar", [{ path: "old", sizeBytes: 0, modifiedAt: -5_000_000 }]);
    const listed = JSON.parse(execFileSync("python3", ["-c", PYTHON_LIST, path], { encoding: "utf8" }));
    assert.equal(listed[0][2], 0);
  });
});
