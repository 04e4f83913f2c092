import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { jobId } from "../../src/core/ids.ts";
import type { HistoryStore } from "../../src/core/jobs/history-store.ts";
import type { JobStore } from "../../src/core/jobs/job-store.ts";
import { tidyHistory } from "../../src/core/jobs/tidy-history.ts";

interface Opened {
  readonly history: HistoryStore;
  readonly jobs: JobStore;
  close(): Promise<void>;
}

const DAY = 86_400_000;

/** What every HistoryStore must do. One fresh database for the whole suite. */
export function historyStoreConformance(name: string, open: () => Promise<Opened>): void {
  describe(`HistoryStore: ${name}`, () => {
    let opened: Opened;
    before(async () => {
      opened = await open();
    });
    after(() => opened?.close());

    const create = (id: number, now: number) =>
      opened.jobs.create({
        id: jobId(id),
        kind: "k",
        lane: "fast",
        owner: "o",
        input: {},
        idempotencyKey: null,
        fedUntil: null,
        now,
      });
    const finish = (id: number, finishedAt: number) =>
      opened.jobs.update(jobId(id), ["queued"], { state: "succeeded", finishedAt }, finishedAt, [
        { type: "state", data: { state: "succeeded" } },
      ]);
    const linesOf = async (id: number) => (await opened.jobs.events(jobId(id), 0, 10)).length;
    const tidy = (days: number | undefined, now: number) =>
      tidyHistory(
        { history: opened.history, clock: { now: () => now, sleep: async () => {} }, days },
        new AbortController().signal,
      );

    test("jobs that ended long ago lose their history and stay; those that are younger, or not over, keep it", async () => {
      // The second and third leap far ahead, as ids of another service do.
      for (const id of [1, 2, 3_000_001, 3_000_002, 9_000_000_000]) await create(id, 0);
      await finish(1, 5 * DAY);
      await finish(3_000_001, 5 * DAY);
      await finish(3_000_002, 15 * DAY);
      await finish(9_000_000_000, 5 * DAY);
      const lines = async () => {
        const found = [];
        for (const id of [1, 2, 3_000_001, 3_000_002, 9_000_000_000]) found.push(await linesOf(id));
        return found;
      };

      await tidy(undefined, 20 * DAY);
      assert.deepEqual(await lines(), [2, 1, 2, 2, 2], "for ever, unless somebody says otherwise");
      await tidy(10, 20 * DAY);
      assert.deepEqual(await lines(), [0, 1, 0, 2, 0]);
      assert.equal((await opened.jobs.get(jobId(1)))?.state, "succeeded");
    });

    test("all of more jobs than one step takes lose it, also when a step finds none to lose it", async () => {
      const ids = Array.from({ length: 1_100 }, (_, index) => 10_000 + index);
      await Promise.all(ids.map((id) => create(id, 0)));
      await Promise.all(ids.slice(600).map((id) => finish(id, 5 * DAY)));
      await tidy(10, 20 * DAY);
      assert.equal(await linesOf(10_000), 1);
      for (const id of [10_600, 11_099]) assert.equal(await linesOf(id), 0, String(id));
    });

    test("a job that is begun anew begins a new history, whose numbers go on", async () => {
      await create(20_000, 0);
      await finish(20_000, 0);
      const last = (await opened.jobs.events(jobId(20_000), 0, 10)).at(-1)?.seq ?? 0;
      await tidy(1, 20 * DAY);
      await opened.jobs.update(jobId(20_000), ["succeeded"], { state: "failed" }, 1, [
        { type: "state", data: { state: "failed" } },
      ]);
      const events = await opened.jobs.events(jobId(20_000), 0, 10);
      assert.equal(events.length, 1);
      assert.ok((events[0]?.seq ?? 0) > last);
    });
  });
}
