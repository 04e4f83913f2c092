import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { ADA, assertSamePaths, feedOf, fill, find, openCrawling } from "../../support/crawling.ts";
import { seededRandom } from "../../support/random.ts";

/** More than one batch, some of them small. */
function fillMany(root: string): readonly string[] {
  fill(root, { "a/1.txt": "1", "b/2.txt": "2", "c/x.txt": "x" });
  execFileSync("bash", ["-c", "mkdir many; cd many; seq -f %05g.dat 1 9000 | xargs touch"], { cwd: root });
  return pathsOf(root);
}

const pathsOf = (root: string) => find(root).flatMap(({ type, path }) => (type === "f" ? [path] : []));

test("pages of any size give every file once, and the same ids each time", async (t) => {
  const { root, crawl, crawls } = await openCrawling(t);
  const paths = fillMany(root);
  const { id } = await crawl();
  const random = seededRandom(t);
  const [first, second] = [
    await feedOf(crawls, id, 200 + random(3_000)),
    await feedOf(crawls, id, 200 + random(3_000)),
  ];
  assertSamePaths(
    first.map(({ path }) => path),
    paths,
  );
  assert.ok(isDeepStrictEqual(first, second));
  assert.equal(new Set(first.map(({ file }) => file)).size, paths.length);
  // RFC 9562: version 8.
  const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  assert.ok(first.every(({ file, family }) => UUID.test(file ?? "") && UUID.test(family ?? "")));
});

test("consumers that flush at the same time share the files, each file once; another consumer gets all", async (t) => {
  const { root, crawl, crawls } = await openCrawling(t);
  const paths = fillMany(root);
  const { id } = await crawl();
  const random = seededRandom(t);
  async function drain(consumer: string): Promise<readonly string[]> {
    const taken: string[] = [];
    for (let isDrained = false; !isDrained; ) {
      const page = await crawls.flush(ADA, id, consumer, 200 + random(700));
      taken.push(...page.items.map(({ path }) => path));
      ({ isDrained } = page);
    }
    return taken;
  }
  const shared = await Promise.all(Array.from({ length: 4 }, () => drain("team")));
  assertSamePaths(shared.flat(), paths);
  assert.ok(shared.filter((taken) => taken.length > 0).length > 1, "one took all: nothing was shared");
  assertSamePaths(await drain("alone"), paths);
  const more = await crawls.flush(ADA, id, "team", 10);
  assert.deepEqual([more.items, more.isDrained], [[], true]);
});

test("files that are gone are told by the feed, and not flushed", async (t) => {
  const { root, crawl, crawls } = await openCrawling(t);
  fill(root, { "keep.txt": "1", "change.txt": "2", "drop.txt": "3", "old/deep/x.txt": "x" });
  const first = await crawl();
  rmSync(join(root, "drop.txt"));
  rmSync(join(root, "old"), { recursive: true });
  fill(root, { "change.txt": "22", "add.txt": "4" });
  const second = await crawl({ previous: first.id });
  assert.deepEqual(second.changes, { new: 1, changed: 1, same: 1, gone: 2 });
  const items = await feedOf(crawls, second.id);
  assert.deepEqual(Object.fromEntries(items.map(({ path, change }) => [path, change])), {
    "keep.txt": "same",
    "change.txt": "changed",
    "add.txt": "new",
    "drop.txt": "gone",
    "old/deep/x.txt": "gone",
  });
  const gone = items.find(({ path }) => path === "drop.txt");
  assert.deepEqual([gone?.file, gone?.family, gone?.sizeBytes, gone?.mode], [null, null, null, null]);
  const { items: flushed, isDrained } = await crawls.flush(ADA, second.id, "me", 100);
  assert.deepEqual(flushed.map(({ path }) => path).sort(), ["add.txt", "change.txt", "keep.txt"]);
  assert.equal(isDrained, true);
});

test("a cursor or consumer that is none is refused", async (t) => {
  const { root, crawl, crawls } = await openCrawling(t);
  fill(root, { "a.txt": "a" });
  const { id } = await crawl();
  for (const cursor of ["", "1", "-1.0", "1.2.3", "1e3.0", "9999999999999999.0"])
    await assert.rejects(crawls.files(ADA, id, cursor, 1), { code: "request_invalid" }, cursor);
  for (const consumer of ["", "x".repeat(201), "a\0b", "a\nb"])
    await assert.rejects(crawls.flush(ADA, id, consumer, 1), { code: "request_invalid" });
  assert.deepEqual((await crawls.files(ADA, id, "77.3", 1)).items, []);
});
