import assert from "node:assert/strict";
import { buffer, text } from "node:stream/consumers";
import { afterEach, describe, test } from "node:test";
import type { Listing, Source, SourceEntry, WalkOptions } from "../../src/core/crawl/source.ts";

export interface SourceUnderTest {
  readonly source: Source;
  /** Where the store has the files, below its root; `""` where that is the root itself. */
  readonly base: string;
  /** Whether the store tells of names that begin with a dot. */
  readonly tellsHidden: boolean;
  cleanUp(): Promise<void>;
}

const FILES: Readonly<Record<string, string>> = {
  "readme.txt": "hello",
  "empty.bin": "",
  "plates/p1/scan 01.tif": "one",
  "plates/p1/scan 02.tif": "two!",
  "plates/p2/scan 01.tif": "three",
  "plates/.notes": "hidden",
  "plates/.cache/x": "hidden too",
  // What a URL, HTML or a shell gives a meaning of its own.
  "odd/100% #1?&=+;.txt": "odd",
  "odd/<b>'x'\"y\".txt": "odder",
  "odd/zażółć 試.txt": "oddest",
};

/** Walks to the end. */
export async function walkAll(source: Source, options: Partial<WalkOptions> = {}): Promise<readonly Listing[]> {
  return Array.fromAsync(
    source.walk({
      folders: [""],
      hidden: true,
      isDone: () => false,
      signal: new AbortController().signal,
      ...options,
    }),
  );
}

export function entriesOf(listings: readonly Listing[]): readonly SourceEntry[] {
  return listings.flatMap(({ entries }) => entries);
}

function sizesOf(listings: readonly Listing[]): Readonly<Record<string, number>> {
  const files = entriesOf(listings).filter(({ kind }) => kind === "file");
  const sizes = Object.fromEntries(files.map(({ path, sizeBytes }) => [path, sizeBytes]));
  assert.equal(Object.keys(sizes).length, files.length, "a file was listed twice");
  return sizes;
}

/**
 * What every Source must do.
 * @param setUp makes a store that has these files, and nothing else at `base`; called once for each test.
 * @param options `manyNames` of one folder, more than come in one part: fewer where each costs a request.
 */
export function sourceConformance(
  name: string,
  setUp: (files: Readonly<Record<string, string>>) => Promise<SourceUnderTest>,
  { manyNames = 9_000 } = {},
): void {
  describe(`Source: ${name}`, () => {
    let world: SourceUnderTest | undefined;

    async function open(files = FILES) {
      world = await setUp(files);
      const { source, base, tellsHidden } = world;
      const isTold = (path: string) => tellsHidden || !path.split("/").some((part) => part.startsWith("."));
      return { source, base, isTold, at: (path: string) => [base, path].filter((part) => part !== "").join("/") };
    }
    afterEach(async () => {
      await world?.source.close();
      await world?.cleanUp();
      world = undefined;
    });

    test("a walk lists every file once, with its size", async () => {
      const { source, base, at, isTold } = await open();
      const expected = Object.entries(FILES)
        .filter(([path]) => isTold(path))
        .map(([path, content]) => [at(path), Buffer.byteLength(content)]);
      assert.deepEqual(sizesOf(await walkAll(source, { folders: [base] })), Object.fromEntries(expected));
    });

    test("a walk goes breadth first, and says of every folder once that it is complete", async () => {
      const { source, base, at, isTold } = await open();
      const listings = await walkAll(source, { folders: [base] });
      assert.deepEqual(
        listings.flatMap(({ problems }) => problems),
        [],
      );
      const ended = listings.filter(({ isLast }) => isLast).map(({ folder }) => folder);
      const folders = ["odd", "plates", "plates/.cache", "plates/p1", "plates/p2"].filter(isTold).map(at);
      assert.deepEqual(ended.toSorted(), [base, ...folders].toSorted());
      const depths = ended.map((folder) => folder.split("/").length - (folder === "" ? 1 : 0));
      assert.deepEqual(
        depths,
        depths.toSorted((a, b) => a - b),
      );
      const listed = entriesOf(listings).filter(({ kind }) => kind === "folder");
      assert.deepEqual(listed.map(({ path }) => path).toSorted(), folders.toSorted());
      for (const { folder, entries } of listings)
        for (const { path } of entries) assert.equal(path.slice(0, path.lastIndexOf("/") + 1), folder && `${folder}/`);
    });

    test("without hidden names, what begins with a dot is neither listed nor walked", async () => {
      const { source, base, at } = await open();
      const entries = entriesOf(await walkAll(source, { folders: [base], hidden: false }));
      assert.ok(entries.length > 0);
      assert.deepEqual(
        entries.filter(({ path }) => path.startsWith(at("plates/."))),
        [],
      );
    });

    test("folders that are named are walked, each once, and nothing beside them", async () => {
      const { source, at, isTold } = await open();
      const folders = [at("plates/p1"), at("odd"), at("plates"), at("odd")];
      const listings = await walkAll(source, { folders });
      const expected = Object.keys(FILES).filter((path) => isTold(path) && /^(odd|plates)\//.test(path));
      assert.deepEqual(Object.keys(sizesOf(listings)).toSorted(), expected.map(at).toSorted());
    });

    test("a walk that is continued leaves out the folders that are done", async () => {
      const { source, base, at, isTold } = await open();
      const done = [base, at("plates/p2")];
      const folders = [at("odd"), at("plates"), at("plates/p2")];
      const listings = await walkAll(source, { folders, isDone: (folder) => done.includes(folder) });
      assert.deepEqual(
        listings.map(({ folder }) => folder).toSorted(),
        ["odd", "plates", "plates/.cache", "plates/p1"].filter(isTold).map(at).toSorted(),
      );
    });

    test("a folder that is not there is a problem, and the walk goes on", async () => {
      const { source, at } = await open();
      const listings = await walkAll(source, { folders: [at("nowhere"), at("plates/p2")] });
      assert.deepEqual(
        listings.map(({ folder, isLast, problems }) => [
          folder,
          isLast,
          problems.map(({ code, path }) => [code, path]),
        ]),
        [
          [at("nowhere"), true, [["entry_unreadable", at("nowhere")]]],
          [at("plates/p2"), true, []],
        ],
      );
    });

    test("a folder with many names comes complete", async () => {
      const many = Object.fromEntries(Array.from({ length: manyNames }, (_, n) => [`many/${n}.txt`, ""]));
      const { source, at } = await open(many);
      const listings = await walkAll(source, { folders: [at("many")] });
      assert.deepEqual(Object.keys(sizesOf(listings)).toSorted(), Object.keys(many).map(at).toSorted());
      assert.equal(listings.filter(({ isLast }) => isLast).length, 1);
      assert.equal(listings.at(-1)?.isLast, true);
    });

    test("an abort ends the walk with its reason", async () => {
      const { source, base } = await open();
      const stopping = new AbortController();
      const reason = new Error("enough");
      await assert.rejects(async () => {
        const walk = { folders: [base], hidden: true, isDone: () => false, signal: stopping.signal };
        for await (const _ of source.walk(walk)) stopping.abort(reason);
      }, reason);
    });

    test("a walk may be left early, and another begun", async () => {
      const { source, base, isTold } = await open();
      for await (const { folder } of source.walk({
        folders: [base],
        hidden: true,
        isDone: () => false,
        signal: new AbortController().signal,
      })) {
        assert.equal(folder, base);
        break;
      }
      assert.equal(
        Object.keys(sizesOf(await walkAll(source, { folders: [base] }))).length,
        Object.keys(FILES).filter(isTold).length,
      );
    });

    test("files are read as they are listed, whatever their names", async () => {
      const { source, at } = await open();
      for (const [path, content] of Object.entries(FILES))
        assert.equal(await text(await source.open(at(path))), content, path);
    });

    test("a range is read, ends with the file, and cannot begin behind it", async () => {
      const { source, at } = await open();
      const read = async (range: { start: number; end?: number }) => text(await source.open(at("readme.txt"), range));
      assert.equal(await read({ start: 1, end: 3 }), "ell");
      assert.equal(await read({ start: 3 }), "lo");
      assert.equal(await read({ start: 3, end: 100 }), "lo");
      assert.equal(await read({ start: 5 }), "");
      await assert.rejects(source.open(at("readme.txt"), { start: 6 }), { code: "range_not_satisfiable" });
    });

    test("what is not listed cannot be read", async () => {
      const { source, at } = await open();
      const paths = [
        "nothing.txt",
        "plates",
        "plates/p1/",
        "../readme.txt",
        "plates/../readme.txt",
        "",
        "readme.txt/x",
      ];
      for (const path of paths.map(at))
        await assert.rejects(source.open(path).then(buffer), { code: "object_missing" });
    });
  });
}
