import assert from "node:assert/strict";
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ADA, elsewhere, openExtracting } from "../../support/extracting.ts";
import { smallDisk } from "../../support/small-disk.ts";
import { until } from "../../support/until.ts";

/** A real disk of this size, in memory: the database and what is fetched lie on it. */
const DISK_MIB = 64;
const MIB = 1024 ** 2;
const { folder: disk, skip } = smallDisk(DISK_MIB);
const filler = join(disk, "filler");

/** Takes all room but so much; the database may take some meanwhile. */
function fill(leftBytes: number): void {
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - leftBytes)));
}

describe("an extraction on a full disk", { skip }, () => {
  for (const leftBytes of [2 * MIB, 0])
    test(`with ${leftBytes} bytes of room says what it waits for, and goes on when there is more`, async (t) => {
      const filled = Promise.withResolvers<void>();
      const endpoints = elsewhere(async (source, path) => {
        await filled.promise;
        return source.open(path);
      });
      const folder = join(disk, String(leftBytes));
      mkdirSync(folder);
      const opened = await openExtracting({ folder, endpoints });
      t.after(async () => {
        await opened.close();
        rmSync(folder, { recursive: true });
      });
      const { write, crawled, extractions, stores, ended, allRecords, troubles, worker } = opened;
      await write({ "a.json": `[${"1,".repeat(2 * MIB)}1]`, "b.json": "[1]" });
      worker();
      const { id } = await extractions.start(ADA, (await crawled()).id, { extractors: ["json"] });
      await until("it is begun", async () => (await stores.extractions.get(id))?.status === "extracting");
      fill(leftBytes);
      filled.resolve();
      const now = () => extractions.get(ADA, id);
      await until("it says so", async () => (await now()).error?.code === "storage_full");
      assert.equal((await now()).status, "extracting");
      assert.match((await now()).error?.message ?? "", /no space left/);
      rmSync(filler);
      const over = await ended(await now());
      assert.deepEqual([over.status, over.error, over.counts.success], ["complete", null, 2]);
      assert.equal((await allRecords(over)).length, 2);
      t.diagnostic(`${troubles.length} troubles`);
    });
});
