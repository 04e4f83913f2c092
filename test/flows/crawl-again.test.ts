import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { FeedItem } from "../../src/core/crawl/crawls.ts";
import { GROUPER_NAMES } from "../../src/core/crawl/grouping/groups.ts";
import { ADA, feedOf, find, findCounts, openCrawling } from "../support/crawling.ts";
import { seededRandom } from "../support/random.ts";

const ROUNDS = 12;

type Files = ReadonlyMap<string, string>;

/** Size and time by path. */
function filesIn(root: string): Files {
  const files = find(root).filter(({ type }) => type === "f");
  return new Map(files.map(({ path, sizeBytes, modifiedAt }) => [path, `${sizeBytes} ${modifiedAt}`]));
}

/** What a difference of two listings says. */
function expectedChanges(before: Files, now: Files): Readonly<Record<string, string>> {
  const present = [...now].map(([path, facts]) => {
    const earlier = before.get(path);
    return [path, earlier === undefined ? "new" : earlier === facts ? "same" : "changed"];
  });
  const gone = [...before.keys()].filter((path) => !now.has(path)).map((path) => [path, "gone"]);
  return Object.fromEntries([...present, ...gone]);
}

function toldChanges(items: readonly FeedItem[]): Readonly<Record<string, string | null>> {
  assert.equal(new Set(items.map(({ path }) => path)).size, items.length, "a path is told twice");
  return Object.fromEntries(items.map(({ path, change }) => [path, change]));
}

/** Changes a tree somehow: files, folders and links take each other's places, and times move. */
function shake(root: string, random: (below: number) => number): void {
  const folders = ["", "a", "b", "a/c", "a/c/d", "b/e"];
  for (let step = 0; step < 60; step++) {
    const path = join(root, folders[random(folders.length)] ?? "", `n${random(12)}`);
    const action = random(7);
    if (action === 0) rmSync(path, { recursive: true, force: true });
    else if (action === 1 && !existsSync(path)) mkdirSync(path, { recursive: true });
    else if (action === 2) {
      rmSync(path, { recursive: true, force: true });
      mkdirSync(join(path, ".."), { recursive: true });
      symlinkSync("..", path);
    } else if (action === 3) {
      const folder = join(root, folders[1 + random(folders.length - 1)] ?? "");
      if (random(4) === 0) rmSync(folder, { recursive: true, force: true });
    } else if (!existsSync(path) || statSync(path).isFile()) {
      rmSync(path, { force: true });
      mkdirSync(join(path, ".."), { recursive: true });
      writeFileSync(path, "x".repeat(random(3)));
      // So few times that files stay as they were now and then.
      utimesSync(path, 1, 1_600_000_000 + random(2));
    }
  }
}

test("a crawl that follows another tells what is new, changed and gone, as a difference of find(1)'s lists does", async (t) => {
  const { root, crawl, crawls } = await openCrawling(t);
  const random = seededRandom(t);
  shake(root, random);
  let before = filesIn(root);
  let previous = await crawl();
  for (let round = 0; round < ROUNDS; round++) {
    shake(root, random);
    const now = filesIn(root);
    const grouper = GROUPER_NAMES.filter((name) => name !== "regex")[random(GROUPER_NAMES.length - 1)] ?? "directory";
    const done = await crawl({ endpoints: [{ url: root, grouper }], previous: previous.id });
    assert.equal(done.status, "complete");
    const expected = expectedChanges(before, now);
    assert.deepEqual(toldChanges(await feedOf(crawls, done.id, 50)), expected, `round ${round}`);
    const told = Map.groupBy(Object.values(expected), (change) => change);
    assert.deepEqual(
      { ...done.changes },
      Object.fromEntries(["new", "changed", "same", "gone"].map((change) => [change, told.get(change)?.length ?? 0])),
    );
    const { groups: _, families: __, errors, ...counts } = done.counts;
    assert.deepEqual([counts, errors], [findCounts(root), 0]);
    const flushed = await crawls.flush(ADA, done.id, "all", 10_000);
    assert.deepEqual(flushed.items.map(({ path }) => path).toSorted(), [...now.keys()].toSorted());
    before = now;
    previous = done;
  }
});

test("nothing is told to be gone that could not be looked for", async (t) => {
  const { root, crawl, crawls, ended, work } = await openCrawling(t);
  for (const path of ["here/x", "there/x", "there/below/y", "z"]) {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), "x");
  }
  const endpoints = ["here", "there"].map((folder) => ({ url: join(root, folder) }));
  const first = await crawl({ endpoints: [...endpoints, { url: root, folders: ["there", "here"] }] });
  assert.equal(first.status, "complete");
  const second = await crawls.start(ADA, {
    endpoints: [...endpoints, { url: root, folders: ["there", "here"] }],
    previous: first.id,
  });
  // As when a file system is not mounted.
  rmSync(join(root, "there"), { recursive: true });
  work();
  const done = await ended(second.id);
  assert.equal(done.status, "partial");
  assert.deepEqual({ ...done.changes }, { new: 0, changed: 0, same: 2, gone: 0 });
});
