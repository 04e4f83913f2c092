import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Pause, SwitchStore } from "../../src/core/switches/switch.ts";

interface Opened {
  readonly switches: SwitchStore;
  close(): Promise<void>;
}

/** What every SwitchStore must do. One fresh database for the whole suite. */
export function switchStoreConformance(name: string, open: () => Promise<Opened>): void {
  describe(`SwitchStore: ${name}`, () => {
    let opened: Opened;
    before(async () => {
      opened = await open();
    });
    after(() => opened?.close());

    test("a pause is there until it is taken back, once; the later one of the same subject counts", async () => {
      const { switches } = opened;
      const ingest: Pause = { subject: "ingest", reason: null, by: "ada", at: 2_000_000_000_001 };
      const folder: Pause = { subject: "/srv/Ü '漢🚢\n", reason: 'it\'s "new" \\', by: "eve", at: 1 };
      await switches.put({ subject: "ingest", reason: "earlier", by: "ivy", at: 5 });
      await switches.put(folder);
      await switches.put(ingest);
      const listed = [...(await switches.list())].sort((a, b) => a.at - b.at);
      assert.deepEqual(listed, [folder, ingest]);
      assert.equal(await switches.remove("ingest"), true);
      assert.equal(await switches.remove("ingest"), false);
      assert.deepEqual(await switches.list(), [folder]);
    });

    test("of those who pause the same at once nobody fails", async () => {
      const { switches } = opened;
      const racing = Array.from({ length: 6 }, (_, at) => ({ subject: "all", reason: null, by: "x", at }) as const);
      await Promise.all(racing.map((pause) => switches.put(pause)));
      assert.equal((await switches.list()).filter(({ subject }) => subject === "all").length, 1);
    });
  });
}
