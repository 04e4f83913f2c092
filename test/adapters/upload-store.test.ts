import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { mkdir, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { fsUploadStore } from "../../src/adapters/upload/upload-store.ts";
import { jobId } from "../../src/core/ids.ts";
import { about, bytes, ID, sha1, uploadStoreConformance } from "../conformance/upload-store.ts";
import { until } from "../support/until.ts";

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "longshore-uploads-"));
  folders.push(path);
  return path;
}

for (const isShared of [false, true])
  uploadStoreConformance(
    isShared ? "fs, shared" : "fs",
    () => {
      const root = folder();
      return () => fsUploadStore(root, { isShared });
    },
    { isShared },
  );

describe("uploads as files", () => {
  test("a discarded upload leaves no file behind", async () => {
    const root = folder();
    const store = await fsUploadStore(root);
    await store.create({ ...about, sizeBytes: 3 });
    await store.append(ID, 0, bytes("abc"), sha1("abc"));
    await store.discard(ID);
    assert.deepEqual(await readdir(root), []);
  });

  test("a process that dies over a piece with a digest leaves nothing of it that counts", async () => {
    const root = folder();
    const store = await fsUploadStore(root);
    await store.create({ ...about, sizeBytes: 10 });
    await store.append(ID, 0, bytes("hello"));
    // As if the process ended here: the piece is on the disk, and its digest was never compared.
    const death = Promise.withResolvers<never>();
    const dying = store.append(ID, 5, thenWaits(bytes("wrong"), death.promise), sha1("world"));
    await until("the piece is on the disk", async () => (await stat(join(root, `${ID}.part`))).size === 10);
    const next = await fsUploadStore(root);
    assert.equal((await next.get(ID))?.offset, 5);
    assert.equal(await next.append(ID, 5, bytes("world"), sha1("world")), 10);
    const { bytes: stream } = await next.open(ID);
    assert.equal(String(await buffer(stream)), "helloworld");
    death.reject(new Error("the process is gone"));
    await assert.rejects(dying, /gone/);
  });

  test("an id that is none cannot become a path", async () => {
    const root = folder();
    await mkdir(join(root, "inner"));
    const store = await fsUploadStore(join(root, "inner"));
    await writeFile(join(root, "outside.json"), "{}");
    for (const id of ["../outside", "", "x".repeat(32), ID.toUpperCase(), `${ID}/../../outside`]) {
      assert.equal(await store.get(id), undefined);
      assert.equal(await store.has(id), false);
      await assert.rejects(async () => store.remove(id), { code: "upload_unknown" });
      await assert.rejects(async () => store.create({ ...about, id, sizeBytes: 1 }), { code: "upload_unknown" });
    }
  });

  test("silent uploads expire; complete ones wait for their job, however long", async () => {
    const root = folder();
    const store = await fsUploadStore(root);
    const id = (n: number) => String(n).padStart(32, "0");
    const make = async (n: number, size: number, content: string) => {
      await store.create({ ...about, id: id(n), sizeBytes: size });
      await store.append(id(n), 0, bytes(content));
    };
    await make(1, 5, "abc"); // unfinished and silent
    await make(2, 5, "abc"); // unfinished but active
    await make(3, 3, "abc"); // complete, waits
    await make(4, 3, "abc"); // ingested
    await store.seal(id(4));
    await store.assign(id(4), jobId(4));
    await store.remove(id(4));
    await writeFile(join(root, `${id(5)}.json.tmp`), "{"); // what a crash left of a beginning
    await writeFile(join(root, "README"), "not an upload");
    const old = new Date(Date.now() - 3_600_000);
    for (const name of await readdir(root)) if (!name.startsWith(id(2))) await utimes(join(root, name), old, old);

    assert.equal(await store.removeExpired(Date.now() - 60_000), 3);
    const left = (await Array.fromAsync(store.list())).map((upload) => upload.id);
    assert.deepEqual(left.sort(), [id(2), id(3)]);
    assert.deepEqual(
      (await readdir(root)).filter((name) => !name.startsWith(id(2)) && !name.startsWith(id(3))),
      ["README"],
    );
  });

  test("a full disk is storage_full; what was written before counts, and goes on when there is room", async (t) => {
    if (userInfo().uid !== 0) return t.skip("mounting a small file system needs root");
    const root = folder();
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", root]);
    try {
      const store = await fsUploadStore(root);
      await store.create({ ...about, sizeBytes: 1_000_000 });
      const piece = "x".repeat(50_000);
      await assert.rejects(store.append(ID, 0, bytes(...Array(20).fill(piece))), { code: "storage_full" });
      const stopped = (await store.get(ID))?.offset ?? 0;
      assert.ok(stopped > 0 && stopped < 1_000_000, `${stopped}`);
      execFileSync("mount", ["-o", "remount,size=4m", root]);
      assert.equal(await store.append(ID, stopped, bytes("y".repeat(1_000_000 - stopped))), 1_000_000);
      const { bytes: stream } = await store.open(ID);
      assert.equal(String(await buffer(stream)), "x".repeat(stopped) + "y".repeat(1_000_000 - stopped));
    } finally {
      execFileSync("umount", [root]);
    }
  });
});

/** Yields everything and then neither ends nor fails, until `end` does. */
async function* thenWaits(source: AsyncIterable<Uint8Array>, end: Promise<never>): AsyncGenerator<Uint8Array> {
  yield* source;
  await end;
}
