import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { ADA, assertSamePaths, feedOf, fill, find, findCounts, openCrawling } from "../support/crawling.ts";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";

const RUN = join(import.meta.dirname, "../support/crawl-run.ts");
const LEASE_MS = 1_000;
const MOST_KILLS = 3;

/** One folder that comes in many parts, and many that are small, with what is counted beside files. */
function makeTree(root: string): void {
  const script = `
    mkdir many && (cd many && seq -f 'frame.%05g.dpx' 1 30000 | xargs touch && mkdir below && mkfifo pipe && ln -s pipe link)
    for d in $(seq 1 200); do mkdir -p small/$d/sub; (cd small/$d && touch $(seq 1 60) sub/x && ln -s x sub/y); done`;
  execFileSync("bash", ["-c", script], { cwd: root });
  fill(root, { "many/below/last.txt": "last", "first.txt": "first" });
}

for (const grouper of ["file_is_group", "sequence"]) {
  test(`a crawl whose process is killed again and again finds every file once (${grouper})`, async (t) => {
    const { root, path, crawls, ended, work } = await openCrawling(t, { leaseMs: LEASE_MS });
    const random = seededRandom(t);
    makeTree(root);
    const { files, ...expected } = findCounts(root);
    const { id } = await crawls.start(ADA, { endpoints: [{ url: root, grouper }] });
    const now = () => crawls.get(ADA, id);
    let kills = 0;
    for (let isOver = false; kills < MOST_KILLS && !isOver; ) {
      const from = (await now()).counts.files;
      const child = spawn(process.execPath, [RUN, path, root, String(LEASE_MS)], {
        stdio: ["ignore", "inherit", "inherit"],
      });
      const exited = once(child, "exit");
      try {
        await until("it goes on", async () => (await now()).counts.files > from || child.exitCode !== null);
        // Any moment is as good as another.
        await setTimeout(random(300));
      } finally {
        child.kill("SIGKILL");
        await exited;
      }
      const { status, counts } = await now();
      t.diagnostic(`killed with ${counts.files} of ${files} files, ${status}`);
      assert.equal((await feedOf(crawls, id, 10_000)).length, counts.files);
      isOver = status !== "crawling";
      if (!isOver) kills++;
    }
    assert.ok(kills > 0, "it was too fast to be killed");
    work();
    const done = await ended(id);
    assert.equal(done.status, "partial");
    assertSamePaths(
      (await feedOf(crawls, id, 10_000)).map((item) => item.path),
      find(root).flatMap((entry) => (entry.type === "f" ? [entry.path] : [])),
    );
    const { groups, families, errors, ...counts } = done.counts;
    assert.deepEqual(counts, { files, ...expected });
    // Of the 30,000 frames, what was kept before a kill is a sequence without the rest.
    assert.ok(grouper === "sequence" ? groups < files : groups === files);
    assert.equal(families, groups);
    const problems = await crawls.problems(ADA, id, 0, 10);
    assert.deepEqual(
      problems.map(({ path: found }) => found),
      ["many/pipe"],
    );
    assert.equal(errors, 1);
  });
}
