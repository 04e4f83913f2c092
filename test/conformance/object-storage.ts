import assert from "node:assert/strict";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { gatherFrom, sizesOf } from "../../src/core/archive/many-files.ts";
import type { Gathered, GatherPart, ObjectStorage, StagedTree } from "../../src/core/archive/object-storage.ts";
import type { AppError } from "../../src/core/errors.ts";
import { treeWriterConformance } from "./tree-writer.ts";

export interface StorageUnderTest {
  /** Opens the same storage once more, as another process would. */
  open(): Promise<ObjectStorage>;
  /** What lies in the storage that is neither visible nor staged, by name. */
  leftovers(): Promise<readonly string[]>;
}

/**
 * What every ObjectStorage must do.
 * @param setUp makes an empty storage; called once for each test.
 * @param options.manyFiles fewer where each is a request.
 */
export function objectStorageConformance(
  name: string,
  setUp: () => Promise<StorageUnderTest>,
  { manyFiles = 20_000 }: { readonly manyFiles?: number } = {},
): void {
  describe(`ObjectStorage: ${name}`, () => {
    let world: StorageUnderTest;
    let opened: ObjectStorage[] = [];
    let storage: ObjectStorage;
    /** A folder on the machine, for files that are linked. */
    let elsewhere: string;

    /** Into a buffer of so many dots. */
    function gather(sizeBytes: number, parts: readonly GatherPart[]): Promise<Gathered> {
      const buffer = new Uint8Array(sizeBytes).fill(".".charCodeAt(0));
      return gatherFrom(storage, buffer, parts, new AbortController().signal);
    }
    async function open(): Promise<ObjectStorage> {
      const another = await world.open();
      opened.push(another);
      return another;
    }
    before(async () => {
      elsewhere = await mkdtemp(join(tmpdir(), "elsewhere-"));
    });
    after(() => rm(elsewhere, { recursive: true }));
    beforeEach(async () => {
      world = await setUp();
      storage = await open();
    });
    afterEach(async () => {
      const staged = await Array.fromAsync(storage.staged());
      const leftovers = await world.leftovers();
      for (const one of opened) await one.close();
      opened = [];
      assert.deepEqual(staged, [], "the test left a staged tree");
      assert.deepEqual(leftovers, [], "the storage left something behind");
    });

    treeWriterConformance(async () => storage, manyFiles);

    test("nothing of a staged tree is visible before it is published", async () => {
      const tree = await storage.stage("a/object");
      await fill(tree, { "one.txt": "1", "sub/two.txt": "22" });
      await tree.putNote("note", bytes("for later"));
      await tree.sync();
      assert.deepEqual(await Array.fromAsync(storage.list("")), []);
      assert.equal(await storage.stat("a/object/one.txt"), undefined);
      await assert.rejects(storage.open("a/object/one.txt"), { code: "object_missing" });
      await tree.publish(["one.txt"]);
      assert.deepEqual(await Array.fromAsync(storage.list("")), [
        { path: "a/object/one.txt", sizeBytes: 1 },
        { path: "a/object/sub/two.txt", sizeBytes: 2 },
      ]);
      assert.deepEqual(await storage.stat("a/object/sub/two.txt"), { path: "a/object/sub/two.txt", sizeBytes: 2 });
      assert.equal(await text(await storage.open("a/object/sub/two.txt")), "22");
    });

    test("a tree appears as a whole, whoever is looking", async () => {
      const onlooker = await open();
      const tree = await storage.stage("object");
      await fill(tree, Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`f${i}`, "x"])));
      const published = tree.publish([]);
      const seen = new Set<number>();
      do seen.add((await Array.fromAsync(onlooker.list("object"))).length);
      while (!seen.has(50));
      await published;
      assert.deepEqual(
        [...seen].filter((count) => count !== 0 && count !== 50),
        [],
      );
    });

    test("a prefix is staged once, and never when it is visible", async () => {
      const tree = await storage.stage("object");
      await assert.rejects(storage.stage("object"), { code: "object_exists" });
      await assert.rejects((await open()).stage("object"), { code: "object_exists" });
      await fill(tree, { file: "x" });
      await tree.publish([]);
      await assert.rejects(storage.stage("object"), { code: "object_exists" });
    });

    test("of many who stage one prefix at once, exactly one does", async () => {
      const other = await open();
      const attempts = await Promise.allSettled([storage, other, storage, other].map((s) => s.stage("object")));
      const trees = attempts.flatMap((attempt) => (attempt.status === "fulfilled" ? [attempt.value] : []));
      const codes = attempts.flatMap((attempt) => (attempt.status === "rejected" ? [attempt.reason.code] : []));
      assert.equal(trees.length, 1);
      assert.deepEqual(codes, ["object_exists", "object_exists", "object_exists"]);
      await trees[0]?.discard();
    });

    test("of many who publish one prefix at once, exactly one does", async () => {
      const tree = await storage.stage("deep/down/object");
      await fill(tree, { file: "x" });
      const again = await (await open()).reopen("deep/down/object");
      assert.ok(again);
      const attempts = await Promise.allSettled([tree, again, tree, again].map((handle) => handle.publish([])));
      assert.deepEqual(
        attempts.flatMap((attempt) => (attempt.status === "rejected" ? [attempt.reason.code] : [])),
        ["object_exists", "object_exists", "object_exists"],
      );
      assert.equal(await text(await storage.open("deep/down/object/file")), "x");
    });

    test("a tree that was discarded cannot be published", async () => {
      const tree = await storage.stage("object");
      await fill(tree, { file: "x" });
      await tree.discard();
      await assert.rejects(tree.publish([]), { code: "stage_missing" });
      assert.deepEqual(await Array.fromAsync(storage.list("")), []);
    });

    test("a later process goes on with a tree: its files, its notes, its publication", async () => {
      const tree = await storage.stage("object");
      await fill(tree, { "before.txt": "before" });
      await tree.putNote("checkpoint", bytes("first"));
      await tree.putNote("checkpoint", bytes("sec", "ond"));
      const later = await open();
      assert.equal(await later.reopen("other"), undefined);
      const again = await later.reopen("object");
      assert.ok(again);
      assert.equal(again.prefix, "object");
      assert.deepEqual(await Array.fromAsync(again.list()), [{ path: "before.txt", sizeBytes: 6 }]);
      assert.equal(await text(await again.open("before.txt")), "before");
      assert.equal(await noteOf(again, "checkpoint"), "second");
      assert.equal(await noteOf(again, "unheard of"), undefined);
      await fill(again, { "after.txt": "after" });
      await again.publish([]);
      assert.deepEqual(
        (await Array.fromAsync(storage.list("object"))).map((file) => file.path),
        ["object/after.txt", "object/before.txt"],
      );
      assert.equal(await later.reopen("object"), undefined);
    });

    test("staged names every tree under way, however long or odd its prefix", async () => {
      const prefixes = ["a", "a/b c", "ü/é%2F+", "x+/y", `long/${"0123456789".repeat(40)}`, `${"ä".repeat(100)}/z`];
      const trees = await Promise.all(prefixes.map((prefix) => storage.stage(prefix)));
      assert.deepEqual((await Array.fromAsync((await open()).staged())).sort(), prefixes.toSorted());
      for (const tree of trees) await tree.discard();
      assert.deepEqual(await Array.fromAsync(storage.staged()), []);
    });

    test("a discarded tree is gone with its notes, and its prefix can be staged again", async () => {
      const tree = await storage.stage("object");
      await fill(tree, { "a/b/c.txt": "x" });
      await tree.putNote("note", bytes("stale"));
      await tree.discard();
      await tree.discard();
      assert.equal(await storage.reopen("object"), undefined);
      const fresh = await storage.stage("object");
      assert.deepEqual(await Array.fromAsync(fresh.list()), []);
      assert.equal(await noteOf(fresh, "note"), undefined);
      await fresh.discard();
    });

    test("a tree is discarded while a file is being written", async () => {
      const tree = await storage.stage("object");
      const writer = tree.writer(["sha1"]);
      writer.begin("half");
      await writer.write(Buffer.alloc(100_000));
      await tree.discard();
      await writer.abort();
    });

    test("discarding what has been published leaves it alone", async () => {
      const tree = await storage.stage("object");
      await fill(tree, { file: "x" });
      await tree.publish([]);
      await tree.discard();
      assert.equal(await text(await storage.open("object/file")), "x");
    });

    test("names keep their spaces, their marks and their length", async () => {
      const names = [
        "with space",
        "ünï-cödé",
        "日本語/ファイル",
        "😀",
        "%41+&?#",
        ".hidden",
        "n".repeat(255),
        "a/b/c/d/e/f/g/h/i/j",
      ];
      const tree = await storage.stage("object");
      await fill(tree, Object.fromEntries(names.map((path) => [path, path])));
      await tree.publish([]);
      for (const path of names) assert.equal(await text(await storage.open(`object/${path}`)), path);
      const listed = (await Array.fromAsync(storage.list("object"))).map((file) => file.path);
      assert.deepEqual(listed.sort(), names.map((path) => `object/${path}`).sort());
    });

    test("put in a tree replaces a file, from bytes or a stream, and is part of what is published", async () => {
      const tree = await storage.stage("object");
      await tree.put("v1/inventory.json", Buffer.from("first"));
      await tree.put("v1/inventory.json", bytes("sec", "ond"));
      assert.equal(await text(await tree.open("v1/inventory.json")), "second");
      await tree.publish(["v1/inventory.json"]);
      assert.equal(await text(await storage.open("object/v1/inventory.json")), "second");
    });

    test("a stream that breaks leaves the file or note as it was", async () => {
      async function* broken() {
        yield Buffer.from("half");
        throw new Error("the line is dead");
      }
      const tree = await storage.stage("object");
      await tree.put("file", Buffer.from("whole"));
      await tree.putNote("note", bytes("whole"));
      await assert.rejects(tree.put("file", broken()), /the line is dead/);
      await assert.rejects(tree.putNote("note", broken()), /the line is dead/);
      await assert.rejects(tree.put("new", broken()), /the line is dead/);
      assert.equal(await text(await tree.open("file")), "whole");
      assert.equal(await noteOf(tree, "note"), "whole");
      assert.deepEqual(await Array.fromAsync(tree.list()), [{ path: "file", sizeBytes: 5 }]);
      await tree.discard();
    });

    test("a file removed from a tree is not published", async () => {
      const tree = await storage.stage("object");
      await fill(tree, { "keep.txt": "x", "sub/drop.txt": "y" });
      await tree.remove("sub/drop.txt");
      await tree.remove("sub/drop.txt");
      await assert.rejects(tree.open("sub/drop.txt"), { code: "object_missing" });
      await tree.publish([]);
      assert.deepEqual(await Array.fromAsync(storage.list("")), [{ path: "object/keep.txt", sizeBytes: 1 }]);
    });

    test("a local file is linked in, and stays where it was", async (t) => {
      const tree = await storage.stage("object");
      const source = join(elsewhere, "source.bin");
      await writeFile(source, "from elsewhere");
      await symlink(source, join(elsewhere, "a-link"));
      if (!tree.link) {
        await tree.discard();
        t.skip("this storage does not link");
        return;
      }
      assert.equal(await tree.link("data/source.bin", source), true);
      await assert.rejects(tree.link("data/source.bin", source), { code: "object_exists" });
      await assert.rejects(tree.link("data/none", join(elsewhere, "none")), { code: "source_missing" });
      assert.equal(await tree.link("data/link", join(elsewhere, "a-link")), false, "a symbolic link is no file");
      assert.equal(await tree.link("data/folder", elsewhere), false, "a folder is no file");
      await tree.publish([]);
      await rm(source);
      assert.deepEqual(await Array.fromAsync(storage.list("")), [{ path: "object/data/source.bin", sizeBytes: 14 }]);
      assert.equal(await text(await storage.open("object/data/source.bin")), "from elsewhere");
    });

    test("put writes a file once", async () => {
      await storage.put("0=ocfl_1.1", Buffer.from("ocfl_1.1\n"));
      await assert.rejects(storage.put("0=ocfl_1.1", Buffer.from("other")), { code: "object_exists" });
      await storage.put("extensions/deep/down/config.json", Buffer.from("{}"));
      assert.equal(await text(await storage.open("0=ocfl_1.1")), "ocfl_1.1\n");
      const attempts = await Promise.allSettled(["a", "b", "c"].map((s) => storage.put("once", Buffer.from(s))));
      assert.deepEqual(
        attempts.flatMap((attempt) => (attempt.status === "rejected" ? [attempt.reason.code] : [])),
        ["object_exists", "object_exists"],
      );
    });

    test("ranges give exactly the bytes asked for", async () => {
      await storage.put("digits", Buffer.from("0123456789"));
      await storage.put("nothing", Buffer.alloc(0));
      const range = async (start: number, end?: number) =>
        text(await storage.open("digits", end === undefined ? { start } : { start, end }));
      assert.equal(await range(0), "0123456789");
      assert.equal(await range(0, 0), "0");
      assert.equal(await range(3, 5), "345");
      assert.equal(await range(9), "9");
      assert.equal(await range(9, 9), "9");
      assert.equal(await range(5, 1000), "56789");
      assert.equal(await range(10), "");
      await assert.rejects(range(11), { code: "range_not_satisfiable" });
      assert.equal(await text(await storage.open("nothing")), "");
      assert.equal(await text(await storage.open("nothing", { start: 0 })), "");
      await assert.rejects(storage.open("nothing", { start: 1 }), { code: "range_not_satisfiable" });
    });

    test("ranges of a large file begin and end where they should", async () => {
      const large = Buffer.alloc(5_000_011, "abcdefghijklmnopqrstuvwxyz");
      await storage.put("large", large);
      for (const [start, end] of [
        [0, 5_000_010],
        [1_048_575, 1_048_576],
        [1_048_576, 3_145_727],
        [4_999_999, 5_000_010],
      ] as const) {
        const part = await buffer(await storage.open("large", { start, end }));
        assert.ok(part.equals(large.subarray(start, end + 1)), `${start} to ${end} differ`);
      }
    });

    test("what is not there is missing: no file, a folder, a path through a file", async () => {
      await storage.put("folder/file", Buffer.from("x"));
      for (const path of ["none", "folder", "folder/file/below", "folder/none", `folder/${"n".repeat(300)}`]) {
        await assert.rejects(storage.open(path), { code: "object_missing", details: { path } });
        assert.equal(await storage.stat(path), undefined);
        assert.deepEqual(await Array.fromAsync(storage.list(`${path}/deeper`)), []);
      }
    });

    test("parts of many files come in one go, and nothing else of the buffer is touched", async () => {
      const tree = await storage.stage("object");
      const names = Array.from({ length: 50 }, (_, i) => `folder-${i % 3}/${"n".repeat(i + 1)}`);
      await fill(tree, Object.fromEntries(names.map((name) => [name, name])));
      await tree.publish([]);
      await storage.put("hello", Buffer.from("hello"));
      const parts = names.map((name, i) => ({
        path: `object/${name}`,
        start: 2,
        sizeBytes: name.length - 2,
        at: 100 * i,
        crc: false,
      }));
      const hello = { path: "hello", start: 0, sizeBytes: 5, at: 99 * 100, crc: true };
      const { buffer, crcs } = await gather(10_000, [...parts, hello]);
      const expected = Buffer.alloc(10_000, ".");
      for (const [i, name] of names.entries()) expected.write(name.slice(2), 100 * i);
      expected.write("hello", 99 * 100);
      assert.equal(Buffer.from(buffer).toString(), expected.toString());
      // printf hello | gzip -c | tail -c 8 | od -An -N 4 -t x4
      assert.deepEqual(crcs, [...names.map(() => undefined), 0x3610a686]);
    });

    test("many gather at once, each into a buffer of its own", async () => {
      await storage.put("letters", Buffer.from("abcdefghijklmnopqrstuvwxyz"));
      const all = await Promise.all(
        Array.from({ length: 100 }, (_, i) =>
          gather(1, [{ path: "letters", start: i % 26, sizeBytes: 1, at: 0, crc: false }]),
        ),
      );
      const found = all.map(({ buffer }) => String.fromCharCode(buffer[0] ?? 0)).join("");
      assert.equal(found, "abcdefghijklmnopqrstuvwxyz".repeat(4).slice(0, 100));
    });

    test("a large file is gathered piece by piece", async () => {
      const large = Buffer.alloc(5_000_011, "abcdefghijklmnopqrstuvwxyz");
      await storage.put("large", large);
      const pieces: Buffer[] = [];
      for (let start = 0; start < large.length; start += 700_000) {
        const sizeBytes = Math.min(700_000, large.length - start);
        pieces.push(
          Buffer.from((await gather(sizeBytes, [{ path: "large", start, sizeBytes, at: 0, crc: false }])).buffer),
        );
      }
      assert.ok(Buffer.concat(pieces).equals(large));
    });

    test("nothing is gathered of what is missing, not visible yet, or too short", async () => {
      await storage.put("folder/file", Buffer.from("0123456789"));
      const tree = await storage.stage("object");
      await fill(tree, { file: "not yet" });
      const good = { path: "folder/file", start: 0, sizeBytes: 10, at: 0, crc: false };
      for (const path of ["none", "folder", "folder/file/below", "object/file", `folder/${"n".repeat(300)}`]) {
        const bad = { path, start: 0, sizeBytes: 1, at: 10, crc: false };
        await assert.rejects(gather(11, [good, bad]), { code: "object_missing", details: { path } });
      }
      for (const start of [5, 10, 11]) {
        await assert.rejects(gather(20, [{ ...good, start }]), (error: AppError) => {
          assert.deepEqual([error.code, error.details.path], ["object_corrupt", "folder/file"]);
          return true;
        });
      }
      assert.equal(Buffer.from((await gather(10, [good])).buffer).toString(), "0123456789");
      await tree.discard();
    });

    test("sizes of many files are told in order, of what is none nothing", async () => {
      for (const sizeBytes of [0, 1, 1000]) await storage.put(`folder/${sizeBytes}`, Buffer.alloc(sizeBytes));
      const paths = ["folder/1", "folder", "folder/1000", "none", "folder/0", "folder/1/below", `${"n".repeat(300)}`];
      const sizes = [1, undefined, 1000, undefined, 0, undefined, undefined];
      assert.deepEqual(await sizesOf(storage, paths), sizes);
      assert.deepEqual(await sizesOf(storage, Array(500).fill(paths).flat()), Array(500).fill(sizes).flat());
      assert.deepEqual(await sizesOf(storage, []), []);
    });

    test("list goes folder by folder, names in code-unit order", async () => {
      for (const path of ["b", "a/z", "a-b", "a/b/c", "A", "a/a", "é", "a.b", "\u{1F600}", "\uFB01"]) {
        await storage.put(path, Buffer.from(path));
      }
      const paths = async (prefix: string) => (await Array.fromAsync(storage.list(prefix))).map((file) => file.path);
      // By code units U+1F600 (D83D DE00) comes before U+FB01, by code points after it.
      assert.deepEqual(await paths(""), ["A", "a/a", "a/b/c", "a/z", "a-b", "a.b", "b", "é", "\u{1F600}", "\uFB01"]);
      assert.deepEqual(await paths("a"), ["a/a", "a/b/c", "a/z"]);
      assert.deepEqual(await paths("a/b"), ["a/b/c"]);
      assert.deepEqual(await paths("none"), []);
    });

    test("remove takes what is visible below a prefix, and nothing else", async () => {
      const staged = await storage.stage("a/staged");
      await fill(staged, { file: "x" });
      for (const path of ["a/one/1", "a/one/2", "a/two", "ab"]) await storage.put(path, Buffer.from(path));
      const paths = async () => (await Array.fromAsync(storage.list(""))).map((file) => file.path);
      await storage.remove("a/one");
      await storage.remove("a/one");
      assert.deepEqual(await paths(), ["a/two", "ab"]);
      await storage.remove("a/two");
      assert.deepEqual(await paths(), ["ab"]);
      await storage.remove("");
      await storage.remove("extensions");
      assert.deepEqual(await paths(), []);
      await staged.publish([]);
      assert.deepEqual(await paths(), ["a/staged/file"]);
      await storage.remove("a/staged");
      const again = await storage.stage("a");
      await again.discard();
    });

    test("free space is a number of bytes, or not known", async () => {
      const free = await storage.freeBytes();
      assert.ok(free === undefined || (Number.isSafeInteger(free) && free > 0));
    });
  });
}

async function* bytes(...parts: string[]) {
  for (const part of parts) yield Buffer.from(part);
}

async function noteOf(tree: StagedTree, name: string): Promise<string | undefined> {
  const note = await tree.openNote(name);
  return note && text(note);
}

async function fill(tree: StagedTree, files: Readonly<Record<string, string>>): Promise<void> {
  const writer = tree.writer(["sha512"]);
  for (const [path, content] of Object.entries(files)) {
    writer.begin(path);
    await writer.write(Buffer.from(content));
    writer.end();
  }
  await writer.finish();
}
