import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { mkdir, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { fsUploadStore } from "../../src/adapters/upload/upload-store.ts";
import { jobId } from "../../src/core/ids.ts";
import { until } from "../support/until.ts";

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

const ID = "0123456789abcdef0123456789abcdef";
const about = { id: ID, owner: "ada", metadata: { filename: "a.tar", note: null } };

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "longshore-uploads-"));
  folders.push(path);
  return path;
}

async function* bytes(...parts: readonly (string | Error)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    if (part instanceof Error) throw part;
    yield Buffer.from(part);
  }
}

const sha1 = (text: string) => ({
  algorithm: "sha1" as const,
  value: createHash("sha1").update(text).digest("hex"),
});

describe("upload store", () => {
  test("an upload grows piece by piece and reads back whole", async () => {
    const root = folder();
    const store = await fsUploadStore(root);
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
    const root = folder();
    await (await fsUploadStore(root)).create({ ...about, sizeBytes: null });
    await (await fsUploadStore(root)).declareSize(ID, 7);
    await (await fsUploadStore(root)).append(ID, 0, bytes("abc"));
    const found = await (await fsUploadStore(root)).get(ID);
    assert.deepEqual([found?.sizeBytes, found?.offset, found?.owner], [7, 3, "ada"]);
  });

  test("what came before the bytes broke off is kept", async () => {
    const store = await fsUploadStore(folder());
    await store.create({ ...about, sizeBytes: 10 });
    await assert.rejects(store.append(ID, 0, bytes("abc", new Error("cut"), "def")), /cut/);
    assert.equal((await store.get(ID))?.offset, 3);
    assert.equal(await store.append(ID, 3, bytes("d")), 4);
  });

  test("a piece at the wrong place is refused", async () => {
    const store = await fsUploadStore(folder());
    await store.create({ ...about, sizeBytes: 10 });
    await store.append(ID, 0, bytes("abc"));
    for (const offset of [0, 2, 4])
      await assert.rejects(store.append(ID, offset, bytes("x")), { code: "upload_offset_mismatch" });
  });

  test("a piece with a digest counts as a whole or not at all", async () => {
    const store = await fsUploadStore(folder());
    await store.create({ ...about, sizeBytes: 10 });
    assert.equal(await store.append(ID, 0, bytes("he", "llo"), sha1("hello")), 5);
    await assert.rejects(store.append(ID, 5, bytes("wXrld"), sha1("world")), { code: "digest_mismatch" });
    await assert.rejects(store.append(ID, 5, bytes("wor", new Error("cut")), sha1("world")), /cut/);
    assert.equal((await store.get(ID))?.offset, 5);
    assert.equal(await store.append(ID, 5, bytes("world"), sha1("world")), 10);
    const { bytes: stream } = await store.open(ID);
    assert.equal(String(await buffer(stream)), "helloworld");
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

  test("a sealed upload stays complete when its job takes the bytes, and remembers the job", async () => {
    const store = await fsUploadStore(folder());
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

  test("an upload of no bytes can be sealed and opened", async () => {
    const store = await fsUploadStore(folder());
    await store.create({ ...about, sizeBytes: 0 });
    await store.seal(ID);
    const { bytes: stream, sizeBytes } = await store.open(ID);
    assert.deepEqual([sizeBytes, (await buffer(stream)).length], [0, 0]);
  });

  test("a discarded upload leaves no file behind, and discarding again is no error", async () => {
    const root = folder();
    const store = await fsUploadStore(root);
    await store.create({ ...about, sizeBytes: 3 });
    await store.append(ID, 0, bytes("abc"), sha1("abc"));
    await store.discard(ID);
    await store.discard(ID);
    assert.deepEqual(await readdir(root), []);
    assert.equal(await store.get(ID), undefined);
    await assert.rejects(store.append(ID, 0, bytes("x")), { code: "upload_unknown" });
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
