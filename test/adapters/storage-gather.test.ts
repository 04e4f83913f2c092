import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { fsObjectStorage } from "../../src/adapters/storage/fs.ts";
import type { Gathered, ObjectStorage } from "../../src/core/archive/object-storage.ts";
import { until } from "../support/until.ts";

const run = promisify(execFile);
const MIB = 1024 * 1024;

describe("gathering from files, on threads of their own", () => {
  let root: string;
  let storage: ObjectStorage;
  before(() => {
    root = mkdtempSync(join(tmpdir(), "longshore-gather-"));
    storage = fsObjectStorage({ root });
    writeFileSync(join(root, "hello"), "hello");
    writeFileSync(join(root, "large"), Buffer.alloc(4 * MIB, "longshore"));
  });
  after(async () => {
    await storage.close();
    rmSync(root, { recursive: true });
  });

  async function gather(path: string, start: number, sizeBytes: number, buffer = new Uint8Array(sizeBytes)) {
    assert.ok(storage.gather);
    return storage.gather(buffer, [{ path, start, sizeBytes, at: 0, crc: false }]);
  }
  const textOf = ({ buffer }: Gathered) => Buffer.from(buffer).toString();

  test("hands the buffer over instead of copying it, unless it shares its memory with others", async () => {
    const own = new Uint8Array(5);
    assert.equal(textOf(await gather("hello", 0, 5, own)), "hello");
    assert.equal(own.byteLength, 0, "the buffer given was copied");
    const shared = Buffer.from("-----");
    assert.notEqual(shared.buffer.byteLength, 5, "the buffer is not one of Node's pool");
    const neighbour = Buffer.from("neighbour");
    assert.equal(textOf(await gather("hello", 0, 5, shared)), "hello");
    assert.equal(neighbour.toString(), "neighbour");
  });

  test("follows links as reading does, and takes nothing else for a file", async () => {
    symlinkSync("hello", join(root, "a-link"));
    symlinkSync("nowhere", join(root, "a-broken-link"));
    mkdirSync(join(root, "folder"));
    symlinkSync("folder", join(root, "a-link-to-a-folder"));
    execFileSync("mkfifo", [join(root, "pipe")]);
    symlinkSync("/dev/zero", join(root, "device"));
    assert.equal(textOf(await gather("a-link", 0, 5)), "hello");
    for (const path of ["a-broken-link", "folder", "a-link-to-a-folder", "pipe", "device"])
      await assert.rejects(gather(path, 0, 1), { code: "object_missing", details: { path } });
  });

  test("never reads outside the root, nor what is staged", async () => {
    const outside = `../${root.split("/").at(-1)}-outside`;
    writeFileSync(join(root, outside), "secret");
    try {
      await assert.rejects(gather(outside, 0, 6), /leads out of the storage/);
      await assert.rejects(storage.sizes?.([outside]) ?? Promise.resolve(), /leads out of the storage/);
    } finally {
      rmSync(join(root, outside));
    }
    await assert.rejects(gather("extensions/longshore-staging/x", 0, 1), { code: "object_missing" });
    assert.deepEqual(await storage.sizes?.(["extensions/longshore-staging", "hello"]), [undefined, 5]);
  });

  test("tells of a disk that cannot be read, and goes on with the next file", async (t) => {
    if (process.platform !== "linux") return t.skip("needs /proc");
    // The kernel answers EIO to whoever reads at an address where a process has no memory, such as 0.
    symlinkSync("/proc/self/mem", join(root, "damaged"));
    await assert.rejects(gather("damaged", 0, 1), {
      code: "storage_unavailable",
      details: { path: "damaged", reason: "EIO" },
    });
    assert.equal(textOf(await gather("hello", 0, 5)), "hello");
  });

  test("keeps a file open while it is read piece by piece, and no longer", async (t) => {
    if (process.platform !== "linux") return t.skip("needs /proc to count open files");
    await gather("large", 0, MIB);
    assert.equal(openFiles(root), 1);
    await gather("large", MIB, MIB);
    await gather("hello", 0, 5);
    assert.equal(openFiles(root), 1, "a file that was read to its end is closed at once");
    rmSync(join(root, "large"));
    await until("the removed file takes no room", () => openFiles(root) === 0);
    await assert.rejects(gather("large", 2 * MIB, MIB), { code: "object_missing" });
  });

  test("keeps few files open, however many are read in part", async (t) => {
    if (process.platform !== "linux") return t.skip("needs /proc to count open files");
    for (let i = 0; i < 100; i++) writeFileSync(join(root, `part-${i}`), "longer than what is read");
    let most = 0;
    for (let i = 0; i < 100; i++) {
      await gather(`part-${i}`, 0, 6);
      most = Math.max(most, openFiles(root));
    }
    assert.ok(most > 0 && most <= 32, `${most} files were open`);
    await until("all files are closed", () => openFiles(root) === 0);
  });

  test("what is still awaited when the storage is closed is refused", async () => {
    const other = fsObjectStorage({ root });
    const reading = other.gather?.(new Uint8Array(5), [{ path: "hello", start: 0, sizeBytes: 5, at: 0, crc: false }]);
    await Promise.all([other.close(), assert.rejects(reading ?? Promise.resolve(), /thread has ended/)]);
  });

  test("an idle thread lets the process end, with a file still open", async () => {
    const script = `
      import { fsObjectStorage } from ${JSON.stringify(new URL("../../src/adapters/storage/fs.ts", import.meta.url))};
      const storage = fsObjectStorage({ root: ${JSON.stringify(root)} });
      const part = { path: "hello", start: 0, sizeBytes: 4, at: 0, crc: false };
      const { buffer } = await storage.gather(new Uint8Array(4), [part]);
      console.log(Buffer.from(buffer).toString());`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script]);
    assert.equal(stdout.trim(), "hell");
  });

  test("closing awaits a thread's end, though its last answer comes meanwhile", async () => {
    const script = `
      import { fsObjectStorage } from ${JSON.stringify(new URL("../../src/adapters/storage/fs.ts", import.meta.url))};
      const part = { path: "hello", start: 0, sizeBytes: 4, at: 0, crc: false };
      for (let round = 0; round < 8; round++) {
        const storage = fsObjectStorage({ root: ${JSON.stringify(root)} });
        await storage.gather(new Uint8Array(4), [part]);
        storage.gather(new Uint8Array(4), [part]).catch(() => {});
        // Not a turn of the loop passes: the answer lies there when the thread is told to end.
        for (const until = performance.now() + 100; performance.now() < until; );
        await storage.close();
      }
      console.log("closed");`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script]);
    assert.equal(stdout.trim(), "closed");
  });
});

/** Descriptors of this process that lead below `root`. */
function openFiles(root: string): number {
  const targets = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "closed meanwhile";
    }
  });
  return targets.filter((file) => file.startsWith(root)).length;
}
