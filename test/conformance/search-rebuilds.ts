import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { SearchRebuilds } from "../../src/core/catalogue/search-rebuilds.ts";
import { AppError, errorRecord } from "../../src/core/errors.ts";

interface Opened {
  readonly searchRebuilds: SearchRebuilds;
  close(): Promise<void>;
}

/** What every SearchRebuilds must do. One fresh database for the whole suite. */
export function searchRebuildsConformance(name: string, open: () => Promise<Opened>): void {
  describe(`SearchRebuilds: ${name}`, () => {
    let opened: Opened;
    before(async () => {
      opened = await open();
    });
    after(() => opened?.close());

    test("one that is asked for is under way until it is noted to be over, however often it is asked for", async () => {
      const { searchRebuilds } = opened;
      assert.equal(await searchRebuilds.last(), null);
      await searchRebuilds.ask(1_700_000_000_000);
      const asked = { startedAt: 1_700_000_000_000, finishedAt: null, done: 0, total: 0, error: null };
      assert.deepEqual(await searchRebuilds.last(), asked);
      const underWay = { ...asked, startedAt: 1_700_000_000_500, done: 3_000_000_000, total: 4_000_000_000 };
      await searchRebuilds.note(underWay);
      await searchRebuilds.ask(1_700_000_001_000);
      assert.deepEqual(await searchRebuilds.last(), underWay);
      const failed = {
        ...underWay,
        finishedAt: 1_700_000_002_000,
        error: errorRecord(new AppError("storage_full", { path: "x" })),
      };
      await searchRebuilds.note(failed);
      assert.deepEqual(await searchRebuilds.last(), failed);
      await searchRebuilds.ask(1_700_000_003_000);
      assert.deepEqual(await searchRebuilds.last(), { ...asked, startedAt: 1_700_000_003_000 });
    });
  });
}
