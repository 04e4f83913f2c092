import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { describe, test } from "node:test";
import { jobId } from "../../src/core/ids.ts";
import type { UploadStore } from "../../src/core/ingest/upload-store.ts";

export const ID = "0123456789abcdef0123456789abcdef";
export const about = { id: ID, owner: "ada", metadata: { filename: "a.tar", note: null } };

export async function* bytes(...parts: readonly (string | Error)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    if (part instanceof Error) throw part;
    yield Buffer.from(part);
  }
}

export const sha1 = (text: string) => ({
  algorithm: "sha1" as const,
  value: createHash("sha1").update(text).digest("hex"),
});

/**
 * What every UploadStore must do. @param fresh makes a way to open one empty store, again and again.
 * @param options.isShared whether several nodes may write to it.
 */
export function uploadStoreConformance(
  name: string,
  fresh: () => () => Promise<UploadStore>,
  { isShared }: { readonly isShared: boolean },
): void {
  describe(`UploadStore: ${name}`, () => {
    test("an upload grows piece by piece and reads back whole", async () => {
      const store = await fresh()();
      const created = await store.create({ ...about, sizeBytes: 10 });
      assert.deepEqual([created.offset, created.owner, created.sizeBytes, created.jobId], [0, "ada", 10, null]);
      assert.deepEqual(created.metadata, about.metadata);
      assert.equal(await store.append(ID, 0, bytes("hel", "lo")), 5);
      assert.equal(await store.append(ID, 5, bytes("world")), 10);
      await store.seal(ID);
      const { bytes: stream, sizeBytes } = await store.open(ID);
      assert.deepEqual([sizeBytes, String(await buffer(stream))], [10, "helloworld"]);
    });

    test("another process finds it as it was left", async () => {
      const make = fresh();
      await (await make()).create({ ...about, sizeBytes: null });
      await (await make()).declareSize(ID, 7);
      await (await make()).append(ID, 0, bytes("abc"));
      const found = await (await make()).get(ID);
      assert.deepEqual([found?.sizeBytes, found?.offset, found?.owner], [7, 3, "ada"]);
    });

    test("what came before the bytes broke off is kept", async () => {
      const store = await fresh()();
      await store.create({ ...about, sizeBytes: 10 });
      await assert.rejects(store.append(ID, 0, bytes("abc", new Error("cut"), "def")), /cut/);
      assert.equal((await store.get(ID))?.offset, 3);
      assert.equal(await store.append(ID, 3, bytes("d")), 4);
    });

    test("a piece at the wrong place is refused", async () => {
      const store = await fresh()();
      await store.create({ ...about, sizeBytes: 10 });
      await store.append(ID, 0, bytes("abc"));
      for (const offset of [0, 2, 4])
        await assert.rejects(store.append(ID, offset, bytes("x")), { code: "upload_offset_mismatch" });
    });

    test("a piece with a digest counts as a whole or not at all", async () => {
      const store = await fresh()();
      await store.create({ ...about, sizeBytes: 10 });
      assert.equal(await store.append(ID, 0, bytes("he", "llo"), sha1("hello")), 5);
      await assert.rejects(store.append(ID, 5, bytes("wXrld"), sha1("world")), { code: "digest_mismatch" });
      await assert.rejects(store.append(ID, 5, bytes("wor", new Error("cut")), sha1("world")), /cut/);
      assert.equal((await store.get(ID))?.offset, 5);
      assert.equal(await store.append(ID, 5, bytes("world"), sha1("world")), 10);
      const { bytes: stream } = await store.open(ID);
      assert.equal(String(await buffer(stream)), "helloworld");
    });

    test("a sealed upload stays complete when its job takes the bytes, and remembers the job", async () => {
      const store = await fresh()();
      await store.create({ ...about, sizeBytes: 3 });
      await store.append(ID, 0, bytes("abc"));
      await store.seal(ID);
      await store.remove(ID);
      await store.remove(ID);
      assert.equal(await store.has(ID), false);
      await store.seal(ID);
      assert.equal(await store.has(ID), false, "sealing again does not make the bytes anew");
      await store.assign(ID, jobId(12));
      const left = await store.get(ID);
      assert.deepEqual([left?.offset, left?.sizeBytes, left?.jobId], [3, 3, 12]);
      await assert.rejects(store.open(ID), { code: "upload_unknown" });
    });

    if (isShared)
      test("of two that go on from the same offset one comes first; the other is told, and nothing is mixed", async () => {
        const make = fresh();
        const stores = [await make(), await make()];
        const [store] = stores;
        await store?.create({ ...about, sizeBytes: 20 });
        await store?.append(ID, 0, bytes("begun "));
        const both = Promise.withResolvers<void>();
        let begun = 0;
        async function* together(text: string): AsyncGenerator<Uint8Array> {
          if (++begun === stores.length) both.resolve();
          await both.promise;
          yield Buffer.from(text);
        }
        const texts = ["from the first", "of the other"];
        const ends = await Promise.allSettled(stores.map((one, at) => one.append(ID, 6, together(texts[at] ?? ""))));
        const won = ends.findIndex(({ status }) => status === "fulfilled");
        const lost = ends.find((end) => end.status === "rejected");
        assert.equal(lost?.reason.code, "upload_offset_mismatch");
        const opened = await store?.open(ID);
        assert.equal(opened && String(await buffer(opened.bytes)), `begun ${texts[won]}`);
      });

    if (isShared)
      test("what comes late, for an upload whose bytes are taken already, is refused", async () => {
        const make = fresh();
        const [late, store] = [await make(), await make()];
        await store.create({ ...about, sizeBytes: 5 });
        const taken = Promise.withResolvers<void>();
        const asked = Promise.withResolvers<void>();
        async function* afterwards(): AsyncGenerator<Uint8Array> {
          asked.resolve();
          await taken.promise;
          yield Buffer.from("wrong");
        }
        const appended = late.append(ID, 0, afterwards());
        await asked.promise;
        assert.equal(await store.append(ID, 0, bytes("right")), 5);
        await store.seal(ID);
        await store.remove(ID);
        taken.resolve();
        await assert.rejects(appended, { code: "upload_offset_mismatch" });
        assert.equal((await store.get(ID))?.offset, 5);
        await assert.rejects(store.open(ID), { code: "upload_unknown" });
      });

    test("an upload of no bytes can be sealed and opened", async () => {
      const store = await fresh()();
      await store.create({ ...about, sizeBytes: 0 });
      await store.seal(ID);
      const { bytes: stream, sizeBytes } = await store.open(ID);
      assert.deepEqual([sizeBytes, (await buffer(stream)).length], [0, 0]);
    });

    test("a discarded upload leaves no file behind, and discarding again is no error", async () => {
      const store = await fresh()();
      await store.create({ ...about, sizeBytes: 3 });
      await store.append(ID, 0, bytes("abc"), sha1("abc"));
      await store.discard(ID);
      await store.discard(ID);
      assert.equal(await store.get(ID), undefined);
      await assert.rejects(store.append(ID, 0, bytes("x")), { code: "upload_unknown" });
    });
  });
}
