import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fsObjectStorage } from "../../src/adapters/storage/fs.ts";
import type { ObjectStorage } from "../../src/core/archive/object-storage.ts";
import { sum } from "../http/bundle.ts";

const MIB = 1024 * 1024;

describe("facts of stored files, read on threads of their own", () => {
  let root: string;
  let storage: ObjectStorage;
  before(() => {
    root = mkdtempSync(join(tmpdir(), "longshore-facts-"));
    storage = fsObjectStorage({ root });
  });
  after(async () => {
    await storage.close();
    rmSync(root, { recursive: true });
  });

  const never = new AbortController().signal;
  async function facts(path: string, signal = never, onRead: (bytes: number) => void = () => {}) {
    assert.ok(storage.facts);
    return storage.facts(path, ["sha512", "sha1"], { signal, onRead });
  }

  for (const sizeBytes of [0, 1, MIB - 1, MIB, MIB + 1, 40 * MIB + 3])
    test(`are those of coreutils for ${sizeBytes} bytes, and every byte is told`, async () => {
      const file = join(root, `${sizeBytes}.bin`);
      writeFileSync(file, Buffer.alloc(sizeBytes, "longshore"));
      let readBytes = 0;
      const found = await facts(`${sizeBytes}.bin`, never, (bytes) => {
        readBytes += bytes;
      });
      assert.deepEqual(found.digests, { sha512: sum("sha512sum", file), sha1: sum("sha1sum", file) });
      assert.deepEqual([found.sizeBytes, readBytes], [sizeBytes, sizeBytes]);
    });

  test("have the CRC-32 that gzip writes", async () => {
    writeFileSync(join(root, "hello"), "hello");
    // printf hello | gzip -c | tail -c 8 | od -An -N 4 -t x4
    assert.equal((await facts("hello")).crc32, 0x3610a686);
  });

  test("of many files at once are each its own", async () => {
    const numbers = Array.from({ length: 300 }, (_, n) => n);
    for (const n of numbers) writeFileSync(join(root, `many-${n}`), Buffer.alloc(n));
    const all = await Promise.all(numbers.map((n) => facts(`many-${n}`)));
    assert.deepEqual(
      all.map(({ sizeBytes }) => sizeBytes),
      numbers,
    );
  });

  test("are refused for what is no file", async () => {
    mkdirSync(join(root, "folder"));
    for (const path of ["absent", "folder", "hello/below", "extensions/longshore-staging/x"])
      await assert.rejects(facts(path), { code: "object_missing", details: { path } });
  });

  test("are refused for a file that shrinks while it is read", async () => {
    const file = join(root, "shrinking");
    writeFileSync(file, "");
    truncateSync(file, 2 ** 31);
    const reading = facts("shrinking", never, () => {
      if (statSync(file).size > MIB) truncateSync(file, MIB);
    });
    await assert.rejects(reading, { code: "object_corrupt" });
  });

  test("end with the reason of an abort, in the middle of a file", async () => {
    const file = join(root, "endless");
    writeFileSync(file, "");
    truncateSync(file, 2 ** 40);
    const abort = new AbortController();
    const enough = new Error("enough");
    await assert.rejects(
      facts("endless", abort.signal, () => abort.abort(enough)),
      enough,
    );
    await assert.rejects(facts("hello", abort.signal), enough);
    assert.equal((await facts("hello")).sizeBytes, 5, "others go on");
  });

  test("that are still awaited when the storage is closed are refused", async () => {
    const other = fsObjectStorage({ root });
    const reading = other.facts?.("endless", ["sha1"], { signal: never, onRead: () => void other.close() });
    await assert.rejects(reading ?? Promise.resolve(), /thread has ended/);
  });
});
