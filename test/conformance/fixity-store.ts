import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { AuditFact, AuditStore, Outcome } from "../../src/core/access/access-stores.ts";
import type { CatalogueStore, Outbox } from "../../src/core/catalogue/catalogue-store.ts";
import type { DueCheck, FixityStore } from "../../src/core/fixity/fixity-store.ts";
import { fileId, type TransactionId, transactionId } from "../../src/core/ids.ts";

interface Opened {
  readonly catalogue: CatalogueStore;
  readonly fixity: FixityStore;
  readonly audit: AuditStore;
  readonly outbox: Outbox;
  close(): Promise<void>;
}

/** What every FixityStore must do, beside a catalogue that brings transactions in. One fresh database for the suite. */
export function fixityStoreConformance(name: string, open: () => Promise<Opened>): void {
  describe(`FixityStore: ${name}`, () => {
    let opened: Opened;
    let store: FixityStore;
    before(async () => {
      opened = await open();
      store = opened.fixity;
    });
    after(() => opened?.close());

    const add = (id: number, sizeBytes = id * 10) =>
      opened.catalogue.add(
        {
          id: transactionId(id),
          submitter: null,
          project: null,
          instrument: null,
          owner: "ann",
          fileCount: 0,
          sizeBytes,
          objectPath: "o",
          inventoryDigest: "d",
          createdAt: 1,
        },
        (async function* () {})(),
        [],
        [],
        1,
        () => [fact(transactionId(id), "event.ingestion", 1)],
      );
    const day = (bytes: number, at = "2026-11-22") => ({ day: at, bytes, busyMs: 5 });
    const due = async (before: number): Promise<DueCheck> =>
      (await store.oldest(before)) ?? assert.fail("nothing is due");
    const complete = (check: DueCheck, checkedAt: number, outcome: Outcome = "success", key = `m${checkedAt}`) =>
      store.complete(
        check,
        {
          transactionId: check.transactionId,
          checkedAt,
          outcome,
          problemCount: outcome === "success" ? 0 : 7,
          problems: outcome === "success" ? [] : [{ code: "object_missing", path: "ü \u0000", message: "gone" }],
        },
        {
          fact: fact(check.transactionId, "event.fixity-check", checkedAt),
          messages: outcome === "success" ? [] : [{ key, channel: "mail", target: "t", payload: {} }],
        },
        day(check.sizeBytes),
      );

    test("an archive with nothing in it has nothing to check", async () => {
      assert.equal(await store.oldest(Number.MAX_SAFE_INTEGER), undefined);
      assert.deepEqual(await store.coverage(0), {
        transactions: 0,
        bytes: 0,
        soundTransactions: 0,
        soundBytes: 0,
        failedTransactions: 0,
        neverChecked: 0,
        oldestCheckedAt: null,
      });
      assert.deepEqual(await store.day("2026-11-22"), { bytes: 0, busyMs: 0, checks: 0, failures: 0 });
    });

    test("what the catalogue takes in is due, together with what the log says of it", async () => {
      for (const id of [3, 1, 2]) assert.equal(await add(id), true);
      const never = { checkedAt: null, progress: null };
      assert.deepEqual(await due(1), { transactionId: 1, sizeBytes: 10, ...never });
      assert.deepEqual(
        (await opened.audit.list(0, 10)).map(({ target }) => target),
        [3, 1, 2].map((id) => `transaction/${id}`),
      );
      assert.equal(await add(2), false, "what is known already is left as it is");
      assert.equal((await opened.audit.list(0, 10)).length, 3);
    });

    test("the one that was never checked comes first, then the one whose check is the oldest", async () => {
      for (const [id, at] of [
        [1, 300],
        [2, 100],
        [3, 200],
      ] as const) {
        const check = await due(1_000);
        assert.equal(check.transactionId, id);
        assert.equal(await complete(check, at), true);
      }
      assert.deepEqual(await due(1_000), { transactionId: 2, sizeBytes: 20, checkedAt: 100, progress: null });
      assert.equal(await store.oldest(100), undefined, "checked at that very time is not before it");
    });

    test("a check that is paused is the next one's beginning, and keeps its turn", async () => {
      const progress = { reached: fileId(77), files: 2, bytes: 2 ** 52, problemCount: 1, problems: [] };
      await store.pause(await due(1_000), progress, day(5));
      const again = await due(1_000);
      assert.deepEqual(again, { transactionId: 2, sizeBytes: 20, checkedAt: 100, progress });
      assert.equal(await complete(again, 400), true);
      assert.deepEqual((await due(1_000)).progress, null);
    });

    test("of two who complete the same check one does; what the other has read counts for the day", async () => {
      const check = await due(1_000);
      assert.equal(check.transactionId, 3);
      const before = await store.day("2026-11-22");
      const entries = (await opened.audit.list(0, 100)).length;
      const won = await Promise.all([complete(check, 500, "failure", "a"), complete(check, 500, "failure", "b")]);
      assert.deepEqual(won.sort(), [false, true]);
      assert.equal((await opened.audit.list(0, 100)).length, entries + 1);
      assert.equal(await opened.outbox.depth(), 1);
      const { bytes, busyMs, checks, failures } = await store.day("2026-11-22");
      assert.deepEqual(
        [bytes - before.bytes, busyMs - before.busyMs, checks - before.checks, failures - before.failures],
        [60, 10, 1, 1],
      );
      await store.pause(check, { reached: 0, files: 0, bytes: 0, problemCount: 0, problems: [] }, day(0));
      assert.equal((await store.oldest(501))?.progress, null, "nor does a late pause change anything");
    });

    test("verdicts are read back, and found by how they came out", async () => {
      const failed = {
        transactionId: transactionId(3),
        checkedAt: 500,
        outcome: "failure",
        problemCount: 7,
        problems: [{ code: "object_missing", path: "ü \u0000", message: "gone" }],
      };
      assert.deepEqual(await store.check(transactionId(3)), failed);
      assert.equal(await store.check(transactionId(99)), undefined);
      await add(4);
      const ids = async (page: Omit<Parameters<FixityStore["list"]>[0], "limit">) =>
        (await store.list({ limit: 10, ...page })).map((one) => one.transactionId);
      assert.deepEqual(await ids({}), [1, 2, 3, 4]);
      assert.deepEqual(await ids({ afterId: transactionId(1), outcome: "success" }), [2]);
      assert.deepEqual(await ids({ outcome: "failure" }), [3]);
      assert.deepEqual(await ids({ outcome: null }), [4]);
      assert.equal((await store.list({ limit: 1 })).length, 1);
    });

    test("the coverage counts what was found sound since a time", async () => {
      assert.deepEqual(await store.coverage(350), {
        transactions: 4,
        bytes: 100,
        soundTransactions: 1,
        soundBytes: 20,
        failedTransactions: 1,
        neverChecked: 1,
        oldestCheckedAt: 300,
      });
      const { soundTransactions, soundBytes } = await store.coverage(0);
      assert.deepEqual([soundTransactions, soundBytes], [2, 30], "never checked is not sound, whatever the time");
    });

    test("what the catalogue forgets is not checked any more", async () => {
      const check = await due(1);
      assert.equal(check.transactionId, 4);
      await opened.catalogue.forget(transactionId(4));
      assert.equal(await store.oldest(1), undefined);
      assert.equal(await complete(check, 900), false);
      await add(4);
      assert.equal((await due(1)).transactionId, 4, "taken in anew, it was never checked");
    });
  });
}

function fact(transaction: TransactionId, action: string, at: number): AuditFact {
  const target = `transaction/${transaction}`;
  return { at, actor: "ann", action, target, details: {}, software: "Longshore/1.2.3", outcome: "success" };
}
