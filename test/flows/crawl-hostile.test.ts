import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { FINISHED_CRAWLS } from "../../src/core/crawl/crawl.ts";
import { ADA, assertSamePaths, feedOf, find, openCrawling } from "../support/crawling.ts";
import { seededRandom } from "../support/random.ts";

const FOLDERS = 300;
const NAMES_IN_ONE_FOLDER = 40_000;

test("a tree that is torn down while it is crawled: the crawl ends, and whatever stayed is told once", async (t) => {
  const { root, crawls, ended, work } = await openCrawling(t);
  const random = seededRandom(t);
  const script = `for d in $(seq 0 ${FOLDERS - 1}); do mkdir -p stays/$d goes/$d/deep; touch stays/$d/{1..20} goes/$d/{1..20} goes/$d/deep/{1..5}; done`;
  execFileSync("bash", ["-c", script], { cwd: root });
  symlinkSync("..", join(root, "stays/loop"));
  const { id } = await crawls.start(ADA, { endpoints: [{ url: root }] });
  work();
  for (let n = 0; !FINISHED_CRAWLS.includes((await crawls.get(ADA, id)).status); n++) {
    const victim = join(root, "goes", String(n % FOLDERS));
    const action = random(4);
    if (action === 0) rmSync(victim, { recursive: true, force: true });
    else if (action === 1) rmSync(join(victim, "deep"), { recursive: true, force: true });
    else if (action === 2) {
      rmSync(victim, { recursive: true, force: true });
      symlinkSync(join(root, "stays"), victim);
    } else {
      rmSync(`${victim}.moved`, { recursive: true, force: true });
      mkdirSync(join(root, "goes", `${n}.new`));
      writeFileSync(join(root, "goes", `${n}.new/late`), "late");
      renameSync(join(root, "goes", `${n}.new`), `${victim}.moved`);
    }
    await setImmediate();
  }
  const done = await ended(id);
  assert.ok(done.status === "complete" || done.status === "partial");
  const told = (await feedOf(crawls, id, 10_000)).map(({ path }) => path);
  assert.equal(told.length, done.counts.files);
  assert.equal(new Set(told).size, told.length);
  assertSamePaths(
    told.filter((path) => path.startsWith("stays/")),
    find(root).flatMap(({ type, path }) => (type === "f" && path.startsWith("stays/") ? [path] : [])),
  );
  const problems = await crawls.problems(ADA, id, 0, 10_000);
  assert.equal(problems.length, done.counts.errors);
  assert.ok(problems.every(({ path, code }) => path?.startsWith("goes") && code === "entry_unreadable"));
  t.diagnostic(`${problems.length} problems, ${told.length} files`);
});

test("forty thousand names in one folder are told once each, and only the one that is gone is missed", async (t) => {
  const { root, crawl, crawls } = await openCrawling(t);
  execFileSync("bash", ["-c", `mkdir many; cd many; seq -f %06g.dat 1 ${NAMES_IN_ONE_FOLDER} | xargs touch`], {
    cwd: root,
  });
  const first = await crawl();
  assert.equal(first.counts.files, NAMES_IN_ONE_FOLDER);
  rmSync(join(root, "many/020000.dat"));
  const second = await crawl({ previous: first.id });
  assert.deepEqual({ ...second.changes }, { new: 0, changed: 0, same: NAMES_IN_ONE_FOLDER - 1, gone: 1 });
  const items = await feedOf(crawls, second.id, 10_000);
  assert.deepEqual(
    items.filter(({ change }) => change !== "same").map(({ path, change }) => [path, change]),
    [["many/020000.dat", "gone"]],
  );
  assertSamePaths(
    items.filter(({ change }) => change === "same").map(({ path }) => path),
    find(root).flatMap(({ type, path }) => (type === "f" ? [path] : [])),
  );
});
