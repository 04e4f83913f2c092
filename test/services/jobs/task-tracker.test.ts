import assert from "node:assert/strict";
import { test } from "node:test";
import { problem } from "../../../src/core/errors.ts";
import type { JobChange } from "../../../src/core/jobs/job-store.ts";
import { taskTracker } from "../../../src/core/jobs/task-tracker.ts";
import { openJobs, request } from "../../support/jobs.ts";
import { movingClock } from "../../support/moving-clock.ts";

type Saved = Pick<JobChange, "tasks" | "warnings">;

async function tracking(t: Parameters<typeof openJobs>[0]) {
  const { jobs } = await openJobs(t);
  const job = await jobs.submit(request());
  const clock = movingClock();
  const saves: Saved[] = [];
  return { job, clock, saves, start: clock.now() };
}

test("beginning a task ends the one before it at 100 % and saves both as one change", async (t) => {
  const { job, clock, saves, start } = await tracking(t);
  const begun: (string | undefined)[] = [];
  const tasks = taskTracker(job, clock, async (change, name) => {
    saves.push(change);
    begun.push(name);
  });
  await tasks.begin("receive", { bytes: 1000 });
  tasks.advance({ bytes: 250 });
  clock.pass(100);
  await tasks.begin("metadata");
  assert.deepEqual(begun, ["receive", "metadata"]);
  assert.deepEqual(saves.at(-1)?.tasks, [
    {
      name: "receive",
      percent: 100,
      doneBytes: 250,
      totalBytes: 1000,
      startedAt: start,
      finishedAt: start + 100,
    },
    { name: "metadata", percent: 0, startedAt: start + 100 },
  ]);
});

test("progress is saved at most every half second, and never shows 100 % before the task has ended", async (t) => {
  const { job, clock, saves } = await tracking(t);
  const tasks = taskTracker(job, clock, async (change) => {
    saves.push(change);
  });
  await tasks.begin("files", { files: 1000 });
  for (let i = 0; i < 1000; i++) {
    clock.pass(5); // 5 s in all
    tasks.advance({ files: 1 });
    await undefined;
  }
  const shown = saves.slice(1).map(({ tasks }) => tasks?.at(-1)?.percent ?? 0);
  assert.equal(shown.length, 10);
  assert.deepEqual(
    shown,
    shown.toSorted((a, b) => a - b),
  );
  assert.equal(shown.at(-1), 99.99);
  assert.equal((await tasks.finish("done")).tasks?.at(-1)?.percent, 100);
});

test("a task that is stopped keeps the percentage it had", async (t) => {
  const { job, clock } = await tracking(t);
  const tasks = taskTracker(job, clock, async () => {});
  await tasks.begin("files", { files: 3 });
  tasks.advance({ files: 1 });
  assert.equal((await tasks.finish("stopped")).tasks?.at(-1)?.percent, 33.33);
});

test("a task without a total counts and stays at 0 %", async (t) => {
  const { job, clock } = await tracking(t);
  const tasks = taskTracker(job, clock, async () => {});
  await tasks.begin("receive");
  tasks.advance({ bytes: 5 });
  tasks.advance({ bytes: 7 });
  const [task] = (await tasks.finish("stopped")).tasks ?? [];
  assert.deepEqual([task?.percent, task?.doneBytes], [0, 12]);
});

test("beginning a task again resets it, as a continued job does its work again", async (t) => {
  const { job, clock } = await tracking(t);
  const tasks = taskTracker(job, clock, async () => {});
  await tasks.begin("files", { files: 2 });
  tasks.advance({ files: 2 });
  await tasks.begin("catalogue");
  await tasks.begin("files", { files: 2 });
  const names = (await tasks.finish("stopped")).tasks?.map(({ name, percent }) => `${name} ${percent}`);
  assert.deepEqual(names, ["catalogue 100", "files 0"]);
});

test("a save that fails in the background is made up for by the next", async (t) => {
  const { job, clock, saves } = await tracking(t);
  let failing = false;
  const tasks = taskTracker(job, clock, async (change) => {
    if (failing) throw new Error("the database is busy");
    saves.push(change);
  });
  await tasks.begin("receive");
  failing = true;
  clock.pass(1000);
  tasks.advance({ bytes: 5 });
  failing = false;
  await tasks.begin("metadata");
  assert.equal(saves.at(-1)?.tasks?.[0]?.doneBytes, 5);
  failing = true;
  await assert.rejects(tasks.begin("policy"), /busy/);
});

test("a warning is kept once per code and path, and the first thousand of them are", async (t) => {
  const { job, clock } = await tracking(t);
  const tasks = taskTracker(job, clock, async () => {});
  for (let round = 0; round < 2; round++)
    for (let i = 0; i < 1000; i++) tasks.warn(problem("member_unlisted", { path: `data/${i}` }));
  assert.equal((await tasks.finish("done")).warnings?.length, 1000);
  // A quadratic search for duplicates would need minutes here.
  for (let i = 0; i < 200_000; i++) tasks.warn(problem("member_unlisted", { path: `data/${i}` }));
  const warnings = (await tasks.finish("done")).warnings ?? [];
  assert.equal(warnings.length, 1001);
  assert.match(warnings[1000]?.message ?? "", /More warnings/);

  const again = taskTracker({ ...job, warnings }, clock, async () => {});
  again.warn(problem("member_unlisted", { path: "data/7" }));
  assert.deepEqual((await again.finish("done")).warnings, warnings);
});
