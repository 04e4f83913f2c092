import assert from "node:assert/strict";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { openPromise } from "yauzl";
import type { LayoutSpec } from "../../../../src/core/carts/layout/layout.ts";
import { expectedTree, missing, python, run, scratch, timesBelow, treeOf } from "../../../support/archive-readers.ts";
import { AWKWARD, AWKWARD_TIMES, cartOf, type LaidFile, plan, SPEC, writeArchive } from "../../../support/layouts.ts";

const FILES = { ...SPEC, format: "zip", content: "files" } as const;

/** @returns the path of the archive. */
async function zipIn(folder: string, files: readonly LaidFile[], spec: LayoutSpec = FILES): Promise<string> {
  const path = join(folder, "cart.zip");
  const cart = cartOf(files);
  const sizeBytes = await writeArchive(path, spec, cart);
  assert.equal(statSync(path).size, sizeBytes);
  assert.equal(plan(spec, cart.entries).layout.sizeBytes, sizeBytes, "the length is known before the first byte");
  return path;
}

const EXTRACTORS = {
  unzip: { skip: missing.unzip, command: 'unzip -q "$0"' },
  bsdtar: { skip: missing.bsdtar, command: 'bsdtar -xf "$0"', composes: true },
  // By the local headers alone: the directory at the end has not come yet.
  "bsdtar from a pipe": { skip: missing.bsdtar, command: 'cat "$0" | bsdtar -xf -', composes: true },
  "Python zipfile": { skip: missing.python, command: 'python3 -m zipfile -e "$0" .' },
  "7-Zip": { skip: missing.sevenZip, command: '7z x "$0"' },
};

describe("ZIP readers extract what was laid out, whatever the names and sizes", () => {
  for (const [name, { skip, command, ...reader }] of Object.entries(EXTRACTORS))
    test(name, { skip }, async (t) => {
      const path = await zipIn(scratch(t), AWKWARD);
      const folder = join(path, "..", "extracted");
      mkdirSync(folder);
      run("sh", ["-c", command, path], folder);
      const files = AWKWARD.map((file) =>
        "composes" in reader ? { ...file, path: file.path.normalize("NFC") } : file,
      );
      assert.deepEqual(treeOf(folder), expectedTree(files, "a cart/"));
    });

  test("yauzl, which checks the local headers against the directory", async (t) => {
    const read = await readByYauzl(await zipIn(scratch(t), AWKWARD));
    assert.deepEqual(
      read.map(({ name, bytes }) => [name, bytes.toString("hex")]),
      AWKWARD.map(({ path, content }) => [`a cart/${path}`, Buffer.from(content as string).toString("hex")]),
    );
  });
});

interface YauzlMember {
  readonly name: string;
  readonly bytes: Buffer;
}

/** Every member that `wanted` names, as yauzl reads it; the CRC-32 is compared here. */
async function readByYauzl(path: string, wanted = (_name: string) => true): Promise<readonly YauzlMember[]> {
  const zip = await openPromise(path, { lazyEntries: true, strictFileNames: true });
  const members: YauzlMember[] = [];
  for await (const entry of zip.eachEntry()) {
    if (!wanted(entry.fileName)) continue;
    const local = await zip.readLocalFileHeaderPromise(entry);
    assert.deepEqual(local.fileName, entry.fileNameRaw);
    const bytes = await buffer(await zip.openReadStreamPromise(entry));
    assert.equal(crc32(bytes), entry.crc32, entry.fileName);
    members.push({ name: entry.fileName, bytes });
  }
  return members;
}

describe("ZIP checkers find nothing wrong", () => {
  test("unzip -t", { skip: missing.unzip }, async (t) => {
    assert.match(run("unzip", ["-tqq", await zipIn(scratch(t), AWKWARD)]), /^$/);
  });
  test("zipinfo, which warns of what lies between members", { skip: missing.unzip }, async (t) => {
    assert.doesNotMatch(
      run("unzip", ["-Zv", await zipIn(scratch(t), [...AWKWARD, ...AWKWARD_TIMES])]),
      /warning|error|extra bytes/i,
    );
  });
  test("7-Zip", { skip: missing.sevenZip }, async (t) => {
    assert.match(run("7z", ["t", await zipIn(scratch(t), AWKWARD)]), /Everything is Ok/);
  });
});

/** What each member is, as Python's zipfile reads it. */
interface PythonMember {
  readonly name: string;
  readonly size: number;
  readonly at: number;
  readonly time: readonly number[];
  readonly mode: number;
  readonly flags: number;
  readonly method: number;
  readonly needs: number;
}
const MEMBERS = `
import json, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
print(json.dumps([dict(name=m.filename, size=m.file_size, at=m.header_offset, time=m.date_time, mode=m.external_attr >> 16,
    flags=m.flag_bits, method=m.compress_type, needs=m.extract_version) for m in archive.infolist()]))`;
const membersOf = (path: string) => python(MEMBERS, path) as readonly PythonMember[];

test("members are stored regular files with UTF-8 names, and need no ZIP64", { skip: missing.python }, async (t) => {
  for (const { name: _, size: __, at: ___, time: ____, ...facts } of membersOf(await zipIn(scratch(t), AWKWARD)))
    assert.deepEqual(facts, { mode: 0o100644, flags: 1 << 11, method: 0, needs: 10 });
});

describe("member names of 1 to 65,535 bytes are read as they are", () => {
  const lengths = [1, 99, 255, 256, 1024, 4095, 5000, 65_535 - "a cart/".length];
  const names = lengths.map((length) => `${"a234567/".repeat(length / 8 + 1).slice(0, length - 1)}z`);
  const utf8 = lengths
    .slice(1, -1)
    .map((length) => `${"é/日本/".repeat(length / 10 + 1).slice(0, Math.floor(length / 2))}ö`);
  const files = [...names, ...utf8].map((path) => ({ path, content: path }));
  const expected = files.map(({ path }) => `a cart/${path}`);

  test("Python zipfile", { skip: missing.python }, async (t) => {
    assert.deepEqual(
      membersOf(await zipIn(scratch(t), files)).map(({ name }) => name),
      expected,
    );
  });
  test("bsdtar", { skip: missing.bsdtar }, async (t) => {
    assert.deepEqual(
      run("bsdtar", ["-tf", await zipIn(scratch(t), files)])
        .trimEnd()
        .split("\n"),
      expected,
    );
  });
  test("yauzl", async (t) => {
    assert.deepEqual(
      (await readByYauzl(await zipIn(scratch(t), files))).map(({ name }) => name),
      expected,
    );
  });
});

describe("times", () => {
  const files = [...AWKWARD_TIMES, ...AWKWARD.slice(-3)];

  test("are right to the second in any time zone, from 1970 to 2038", { skip: missing.unzip }, async (t) => {
    const path = await zipIn(scratch(t), AWKWARD.slice(0, -1));
    run("unzip", ["-q", path], join(path, ".."));
    const { "cart.zip": _, ...times } = timesBelow(join(path, ".."));
    assert.deepEqual(
      times,
      Object.fromEntries(
        AWKWARD.slice(0, -1).map(({ path, modifiedAt = 1_600_000_000_000 }) => [
          `a cart/${path}`,
          Math.floor((modifiedAt ?? 0) / 1000),
        ]),
      ),
    );
  });

  test("are the nearest even second that DOS knows otherwise", { skip: missing.python }, async (t) => {
    // By hand, in UTC: 1980-01-01 to 2107-12-31 in steps of two seconds.
    assert.deepEqual(
      membersOf(await zipIn(scratch(t), files)).map(({ name, time }) => [name.slice("a cart/".length), time.join(" ")]),
      [
        ["moon landing", "1980 1 1 0 0 0"],
        ["just before the epoch", "1980 1 1 0 0 0"],
        ["1815", "1980 1 1 0 0 0"],
        ["2107", "2107 12 31 23 59 58"],
        ["2200", "2107 12 31 23 59 58"],
        ["2242", "2107 12 31 23 59 58"],
        ["2242 and a second", "2107 12 31 23 59 58"],
        ["unknown", "2026 3 4 5 6 6"],
        ["times/epoch", "1980 1 1 0 0 0"],
        ["times/odd second", "2020 9 13 12 26 40"],
        ["times/2038", "2038 1 19 3 14 8"],
      ],
    );
  });
});

describe("70,000 members, more than the directory's end has room to count", () => {
  const files = Array.from({ length: 70_000 }, (_, i) => ({ path: `${i % 100}/${i}`, content: String(i) }));
  const folder = scratch({ after });
  let path: string;
  before(async () => {
    path = await zipIn(folder, files);
  });

  test("unzip", { skip: missing.unzip }, () => {
    run("unzip", ["-tqq", path]);
    assert.match(run("unzip", ["-Zt", path]), /^70000 files, /);
    assert.equal(run("unzip", ["-p", path, "a cart/99/69999"]), "69999");
  });
  test("Python zipfile", { skip: missing.python }, () => {
    const script = `
import json, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
print(json.dumps([len(archive.namelist()), archive.testzip(), archive.read("a cart/99/69999").decode()]))`;
    assert.deepEqual(python(script, path), [70_000, null, "69999"]);
  });
  test("bsdtar", { skip: missing.bsdtar }, () => {
    assert.equal(run("bsdtar", ["-tf", path]).trimEnd().split("\n").length, 70_000);
    assert.equal(run("bsdtar", ["-xOf", path, "a cart/99/69999"]), "69999");
  });
  test("yauzl", async () => {
    const zip = await openPromise(path, { lazyEntries: true });
    assert.equal(zip.entryCount, 70_000);
    zip.close();
  });
  test("7-Zip", { skip: missing.sevenZip }, () => {
    assert.match(run("7z", ["t", path]), /Files: 70000/);
  });
});

describe("files of 4 GiB and more, and what follows them, are found where they are", () => {
  const MAX_32 = 2 ** 32 - 1;
  const files: readonly LaidFile[] = [
    { path: "small", content: "small\n" },
    { path: "3 GiB", content: { zeros: 3 * 2 ** 30 } },
    // Its offset fits in 32 bits, and is kept in 64 all the same.
    { path: "at 3 GiB", content: "at 3 GiB\n" },
    { path: "largest of 32 bits", content: { zeros: MAX_32 - 1 } },
    { path: "at 7 GiB", content: "at 7 GiB\n" },
    { path: "smallest of 64 bits", content: { zeros: MAX_32 } },
    { path: "5 GiB", content: { zeros: 5 * 2 ** 30 } },
    { path: "last", content: "the last one\n" },
  ];
  const sizes = [6, 3 * 2 ** 30, 9, MAX_32 - 1, 9, MAX_32, 5 * 2 ** 30, 13];
  const texts = ["small\n", "at 3 GiB\n", "at 7 GiB\n", "the last one\n"];
  const small = ["small", "at 3 GiB", "at 7 GiB", "last"].map((name) => `a cart/data/${name}`);

  const folder = scratch({ after });
  let path: string;
  before(async () => {
    // With members before the first file, which every offset must count.
    path = await zipIn(folder, files, { ...FILES, content: "manifest" });
  });

  test("Python zipfile", { skip: missing.python }, () => {
    const members = membersOf(path).slice(1);
    assert.deepEqual(
      members.map(({ size }) => size),
      sizes,
    );
    // APPNOTE 4.4.3.2: 4.5 where ZIP64 is used, for the size or for an offset from 2 GiB on.
    assert.deepEqual(
      members.map(({ needs }) => needs),
      [10, 10, 45, 45, 45, 45, 45, 45],
    );
    // APPNOTE 4.5.3: the local header has both sizes in its ZIP64 field, which the directory's readers do not look at.
    const locals = `
import json, struct, sys, zipfile
sizes = []
with open(sys.argv[1], "rb") as file:
    for member in zipfile.ZipFile(sys.argv[1]).infolist()[1:]:
        file.seek(member.header_offset)
        *_, packed, size, name, extra = struct.unpack("<4s5H3L2H", file.read(30))
        file.seek(name, 1)
        fields = file.read(extra)
        if size == 0xffffffff: kind, length, size, packed = struct.unpack_from("<2H2Q", fields); assert (kind, length) == (1, 16)
        sizes.append([size, packed])
print(json.dumps(sizes))`;
    assert.deepEqual(
      python(locals, path),
      sizes.map((size) => [size, size]),
    );
    const script = `
import json, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
print(json.dumps([archive.read(name).decode() for name in sys.argv[2:]]))`;
    assert.deepEqual(python(script, path, ...small), texts);
  });
  test("unzip", { skip: missing.unzip }, () => {
    const listed = run("unzip", ["-Zl", path]).split("\n").slice(3, -2);
    assert.deepEqual(
      listed.map((line) => Number(line.split(/ +/)[3])),
      sizes,
    );
    assert.equal(run("unzip", ["-p", path, ...small]), texts.join(""));
    run("unzip", ["-tqq", path, ...small]);
  });
  test("bsdtar", { skip: missing.bsdtar }, () => {
    const listed = run("bsdtar", ["-tvf", path]).trimEnd().split("\n").slice(1);
    assert.deepEqual(
      listed.map((line) => Number(line.split(/ +/)[4])),
      sizes,
    );
    assert.equal(run("bsdtar", ["-xOf", path, ...small]), texts.join(""));
  });
  test("yauzl", async () => {
    const read = await readByYauzl(path, (name) => small.includes(name));
    assert.deepEqual(
      read.map(({ bytes }) => bytes.toString()),
      texts,
    );
  });
  test("7-Zip", { skip: missing.sevenZip }, () => {
    assert.match(run("7z", ["t", path, ...small]), /Everything is Ok/);
  });
});
