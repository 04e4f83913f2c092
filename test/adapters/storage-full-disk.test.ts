import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { fsObjectStorage } from "../../src/adapters/storage/fs.ts";
import type { ObjectStorage, TreeWriter } from "../../src/core/archive/object-storage.ts";
import { smallDisk } from "../support/small-disk.ts";

/** A real disk of this size, in memory, that the tests fill up. */
const DISK_MIB = 24;
const { folder: disk, skip } = smallDisk(DISK_MIB);

describe("fsObjectStorage on a full disk", { skip }, () => {
  let storage: ObjectStorage;
  let freeAtFirst: number;
  beforeEach(async () => {
    storage = fsObjectStorage({ root: join(disk, "archive") });
    await (await storage.stage("warm-up")).discard();
    freeAtFirst = (await storage.freeBytes()) ?? 0;
    assert.ok(freeAtFirst > (DISK_MIB - 1) * 1024 * 1024);
  });
  afterEach(async () => {
    const staging = await readdir(join(disk, "archive/extensions/longshore-staging"), { recursive: true });
    assert.deepEqual(
      staging.filter((path) => !["discarded", "incoming", "notes", "trees"].includes(path)),
      [],
    );
    assert.equal(await storage.freeBytes(), freeAtFirst);
    await storage.close();
  });

  test("one large file: the writer says storage_full, and discarding frees everything", async () => {
    const tree = await storage.stage("large");
    const writer = tree.writer(["sha512", "sha1"]);
    writer.begin("large.bin");
    await assert.rejects(writeForever(writer), { code: "storage_full", kind: "unavailable" });
    await assert.rejects(writer.finish(), { code: "storage_full" });
    await writer.abort();
    assert.equal(await storage.freeBytes(), 0);
    await tree.discard();
  });

  test("many small files: finish says storage_full, and discarding frees everything", async () => {
    const tree = await storage.stage("small");
    const writer = tree.writer(["sha512", "sha1"]);
    for (let i = 0; i < (DISK_MIB + 1) * 256; i++) {
      writer.begin(`${i % 100}/${i}`);
      // The last few writes may find out before `finish` does: both ways are the promise.
      await Promise.resolve(writer.write(Buffer.alloc(4096, i))).catch((error) =>
        assert.equal(error.code, "storage_full"),
      );
      writer.end();
    }
    await assert.rejects(writer.finish(), { code: "storage_full" });
    await tree.discard();
  });

  test("files, notes and inventories say storage_full, and leave no half of them", async () => {
    const tree = await storage.stage("others");
    const writer = tree.writer([]);
    writer.begin("filler");
    await assert.rejects(writeForever(writer), { code: "storage_full" });
    await writer.abort();
    const tooMuch = Buffer.alloc(1024 * 1024);
    await assert.rejects(storage.put("file", tooMuch), { code: "storage_full" });
    await assert.rejects(tree.put("file", tooMuch), { code: "storage_full" });
    await assert.rejects(
      tree.putNote(
        "note",
        (async function* () {
          yield tooMuch;
        })(),
      ),
      { code: "storage_full" },
    );
    assert.equal(await storage.stat("file"), undefined);
    assert.equal(await tree.openNote("note"), undefined);
    assert.deepEqual(
      (await Array.fromAsync(tree.list())).map((file) => file.path),
      ["filler"],
    );
    await tree.discard();
  });

  test("a writer that met the full disk does not stop another once there is room again", async () => {
    const greedy = await storage.stage("greedy");
    const modest = await storage.stage("modest");
    const writer = greedy.writer(["sha1"]);
    writer.begin("all");
    await assert.rejects(writeForever(writer), { code: "storage_full" });
    await greedy.discard();
    const another = modest.writer(["sha1"]);
    another.begin("some");
    await another.write(Buffer.alloc(1_000_000));
    another.end();
    // head -c 1000000 /dev/zero | sha1sum
    assert.equal((await another.finish())[0]?.digests.sha1, "bef3595266a65a2ff36b700a75e8ed95c68210b6");
    await modest.discard();
  });

  test("a disk that is read-only is storage_unavailable", async () => {
    const tree = await storage.stage("read-only");
    remount("ro");
    try {
      await assert.rejects(storage.stage("another"), { code: "storage_unavailable" });
      await assert.rejects(tree.put("file", Buffer.from("x")), { code: "storage_unavailable" });
      const writer = tree.writer(["sha1"]);
      writer.begin("file");
      writer.end();
      await assert.rejects(writer.finish(), { code: "storage_unavailable" });
    } finally {
      remount("rw");
    }
    await tree.discard();
  });
});

/** Ends by rejecting with what the writer meets. */
async function writeForever(writer: TreeWriter): Promise<never> {
  const chunk = Buffer.alloc(65_536, 7);
  for (;;) await writer.write(chunk);
}

function remount(how: "ro" | "rw"): void {
  const { status, stderr } = spawnSync("mount", ["-o", `remount,${how}`, disk], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
}
