import assert from "node:assert/strict";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { isoTime } from "../../../../src/core/clock.ts";
import { expectedTree, missing, python, run, scratch, treeOf } from "../../../support/archive-readers.ts";
import {
  AWKWARD,
  AWKWARD_TIMES,
  archiveBytes,
  cartOf,
  type LaidFile,
  plan,
  SPEC,
  writeArchive,
} from "../../../support/layouts.ts";

const FILES = { ...SPEC, format: "tar", content: "files" } as const;

/** @returns the path of the archive. */
async function tarIn(folder: string, files: readonly LaidFile[]): Promise<string> {
  const path = join(folder, "cart.tar");
  const cart = cartOf(files);
  const sizeBytes = await writeArchive(path, FILES, cart);
  assert.equal(statSync(path).size, sizeBytes);
  assert.equal(plan(FILES, cart.entries).layout.sizeBytes, sizeBytes, "the length is known before the first byte");
  return path;
}

const EXTRACTORS = {
  "GNU tar": { skip: missing.gnuTar, command: "tar -xf" },
  // Composes names as it reads them, whoever wrote them.
  bsdtar: { skip: missing.bsdtar, command: "bsdtar -xf", composes: true },
  "Python tarfile": {
    skip: missing.python,
    command: "python3 -c 'import sys,tarfile; tarfile.open(sys.argv[1]).extractall()'",
  },
};

describe("tar readers extract what was laid out, whatever the names and sizes", () => {
  for (const [name, { skip, command, ...reader }] of Object.entries(EXTRACTORS))
    test(name, { skip }, async (t) => {
      const path = await tarIn(scratch(t), AWKWARD);
      const folder = join(path, "..", "extracted");
      mkdirSync(folder);
      run("sh", ["-c", `${command} "$0"`, path], folder);
      const files = AWKWARD.map((file) =>
        "composes" in reader ? { ...file, path: file.path.normalize("NFC") } : file,
      );
      assert.deepEqual(treeOf(folder), expectedTree(files, "a cart/"));
    });
});

/** What each member is, as Python's tarfile reads it. */
interface PythonMember {
  readonly name: string;
  readonly size: number;
  readonly mtime: number;
  readonly mode: number;
  readonly owner: readonly (number | string)[];
  readonly type: string;
  readonly pax: Readonly<Record<string, string>>;
}
const MEMBERS = `
import json, sys, tarfile
tar = tarfile.open(sys.argv[1], errorlevel=2)
print(json.dumps([dict(name=m.name, size=m.size, mtime=m.mtime, mode=m.mode, owner=[m.uid, m.gid, m.uname, m.gname],
    type=m.type.decode(), pax=m.pax_headers) for m in tar.getmembers()]))`;
const membersOf = (path: string) => python(MEMBERS, path) as readonly PythonMember[];

describe("member names of 1 to 5,000 bytes are read as they are", () => {
  const lengths = [1, 92, 93, 94, 155, 156, 255, 256, 400, 1024, 4095, 5000];
  // A pax record's length counts its own digits: names with which it grows by one, of two to three and three to four.
  const records = (from: number) => Array.from({ length: 20 }, (_, i) => from + i);
  const names = [...lengths, ...records(975)].map(
    (length) => `${"a234567/".repeat(length / 8 + 1).slice(0, length - 1)}z`,
  );
  const utf8 = [...lengths.slice(1), ...records(75)].map((length) =>
    `é/${"日本/".repeat(length / 14)}`.padEnd(length / 2, "ö"),
  );
  const files = [...names, ...utf8].map((path) => ({ path, content: path }));
  const expected = files.map(({ path }) => `a cart/${path}`);

  test("GNU tar", { skip: missing.gnuTar }, async (t) => {
    const listed = run("tar", [
      "--quoting-style=literal",
      "--show-stored-names",
      "-tf",
      await tarIn(scratch(t), files),
    ]);
    assert.deepEqual(listed.trimEnd().split("\n"), expected);
  });
  test("bsdtar", { skip: missing.bsdtar }, async (t) => {
    assert.deepEqual(
      run("bsdtar", ["-tf", await tarIn(scratch(t), files)])
        .trimEnd()
        .split("\n"),
      expected,
    );
  });
  test("Python tarfile", { skip: missing.python }, async (t) => {
    assert.deepEqual(
      membersOf(await tarIn(scratch(t), files)).map(({ name }) => name),
      expected,
    );
  });
});

describe("times are whole seconds, before 1970 and after 2242 too", () => {
  const files = [...AWKWARD_TIMES, ...AWKWARD.slice(-3)];
  const timeOf = ({ modifiedAt }: LaidFile) => Math.floor((modifiedAt ?? SPEC.createdAt) / 1000);

  test("GNU tar", { skip: missing.gnuTar }, async (t) => {
    const listed = run("tar", ["--utc", "--full-time", "-tvf", await tarIn(scratch(t), files)]);
    assert.deepEqual(
      listed.trimEnd().split("\n"),
      files.map((file) => {
        const time = isoTime(timeOf(file) * 1000)
          .slice(0, 19)
          .replace("T", " ");
        const size = String(Buffer.byteLength(file.content as string)).padStart(9);
        return `-rw-r--r-- 0/0       ${size} ${time} a cart/${file.path}`;
      }),
    );
  });
  test("bsdtar", { skip: missing.bsdtar }, async (t) => {
    // mtree, which sorts, is the one listing of bsdtar's that has seconds.
    const listed = run("bsdtar", [
      "-cf",
      "-",
      "--format=mtree",
      "--options=!all,time",
      `@${await tarIn(scratch(t), files)}`,
    ]);
    assert.deepEqual(
      [...listed.matchAll(/ time=(\S+)/g)].map(([, time]) => Number(time)).sort(),
      files.map(timeOf).sort(),
    );
  });
  test("Python tarfile", { skip: missing.python }, async (t) => {
    assert.deepEqual(
      membersOf(await tarIn(scratch(t), files)).map(({ mtime }) => mtime),
      files.map(timeOf),
    );
  });
});

test("members are regular files of nobody in particular", { skip: missing.python }, async (t) => {
  for (const { mode, owner, type } of membersOf(await tarIn(scratch(t), AWKWARD)))
    assert.deepEqual({ mode, owner, type }, { mode: 0o644, owner: [0, 0, "", ""], type: "0" });
});

test("extended headers are there where ustar is not enough, and nowhere else", { skip: missing.python }, async (t) => {
  const room = 100 - "a cart/".length;
  const full = [room, room + 1].map((length) => ({ path: "f".repeat(length), content: "" }));
  const files = [...AWKWARD, ...AWKWARD_TIMES, ...full];
  const extended = membersOf(await tarIn(scratch(t), files))
    .filter(({ pax }) => Object.keys(pax).length > 0)
    .map(({ name, pax }) => [name.slice("a cart/".length), ...Object.keys(pax)]);
  assert.deepEqual(extended, [
    ["日本語/空 ファイル.txt", "path"],
    ["emoji/🦑.bin", "path"],
    ["nfc/\u00fcmlaut", "path"],
    ["nfd/u\u0308mlaut", "path"],
    [`p/${"p".repeat(250)}`, "path"],
    [`${"long/".repeat(600)}way`, "path"],
    ["moon landing", "mtime"],
    ["just before the epoch", "mtime"],
    ["1815", "mtime"],
    ["2242 and a second", "mtime"],
    ["f".repeat(room + 1), "path"],
  ]);
});

test("blocks are filled up with zeros", async () => {
  const tar = await archiveBytes(FILES, cartOf([{ path: "é", content: "e" }]));
  // POSIX pax: "%d %s=%s\n", here by hand.
  const records = Buffer.from("18 path=a cart/é\n");
  assert.deepEqual(tar.subarray(512, 1024), Buffer.concat([records, Buffer.alloc(512 - records.length)]));
  assert.deepEqual(tar.subarray(1536), Buffer.concat([Buffer.from("e"), Buffer.alloc(511 + 1024)]));
});

test("files of 8 GiB and more, and what follows them, are found where they are", async (t) => {
  const files: readonly LaidFile[] = [
    { path: "small", content: "small\n" },
    { path: "8 GiB less one byte", content: { zeros: 2 ** 33 - 1 } },
    { path: "8 GiB", content: { zeros: 2 ** 33 } },
    { path: "last", content: "the last one\n" },
  ];
  const path = await tarIn(scratch(t), files);
  const expected = [6, 2 ** 33 - 1, 2 ** 33, 13];
  // 512 for each header, 1024 for the extended one before 8 GiB, contents in whole blocks, 1024 at the end.
  assert.equal(statSync(path).size, 512 + 512 + 512 + 2 ** 33 + 1024 + 512 + 2 ** 33 + 512 + 512 + 1024);
  const sizeIn = (line: string) =>
    Number(
      line
        .match(/ (\d+) \d{4}-| {2,}(\d+) [A-Z]/)
        ?.slice(1)
        .find(Boolean),
    );
  if (!missing.gnuTar) {
    assert.deepEqual(run("tar", ["--full-time", "-tvf", path]).trimEnd().split("\n").map(sizeIn), expected);
    assert.equal(run("tar", ["-xOf", path, "a cart/last"]), "the last one\n");
  }
  if (!missing.bsdtar) {
    assert.deepEqual(run("bsdtar", ["-tvf", path]).trimEnd().split("\n").map(sizeIn), expected);
    assert.equal(run("bsdtar", ["-xOf", path, "a cart/last"]), "the last one\n");
  }
  if (!missing.python)
    assert.deepEqual(
      membersOf(path).map(({ size, pax }) => [size, pax]),
      expected.map((size) => [size, size === 2 ** 33 ? { size: String(2 ** 33) } : {}]),
    );
});
