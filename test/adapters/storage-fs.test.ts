import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { promisify } from "node:util";
import { fsObjectStorage } from "../../src/adapters/storage/fs.ts";
import { objectStorageConformance } from "../conformance/object-storage.ts";
import { until } from "../support/until.ts";

const STAGING = "extensions/longshore-staging";
const run = promisify(execFile);
const parent = await mkdtemp(join(tmpdir(), "storage-fs-"));
after(() => rm(parent, { recursive: true }));

let roots = 0;
const freshRoot = () => join(parent, `root-${++roots}`);

objectStorageConformance("fs", async () => {
  const root = freshRoot();
  return { open: async () => fsObjectStorage({ root }), leftovers: () => inStaging(root) };
});

describe("fsObjectStorage", () => {
  test("publishing never replaces a folder, not even an empty one", async () => {
    const root = freshRoot();
    const storage = fsObjectStorage({ root });
    const tree = await storage.stage("object");
    await tree.put("file", Buffer.from("x"));
    await mkdir(join(root, "object"));
    await assert.rejects(tree.publish([]), { code: "object_exists" });
    assert.deepEqual(await readdir(join(root, "object")), []);
    await tree.discard();
    await storage.close();
  });

  test("archived files cannot be written to by mistake", async () => {
    const root = freshRoot();
    const storage = fsObjectStorage({ root });
    const tree = await storage.stage("object");
    const writer = tree.writer(["sha1"]);
    writer.begin("written");
    writer.end();
    await writer.finish();
    await tree.put("put", Buffer.from("x"));
    await tree.publish([]);
    await storage.put("top", Buffer.from("x"));
    for (const path of ["object/written", "object/put", "top"]) {
      assert.equal((await stat(join(root, path))).mode & 0o222, 0, path);
    }
    await storage.close();
  });

  test("a file that has shrunk breaks the stream that reads it", async () => {
    const root = freshRoot();
    const storage = fsObjectStorage({ root });
    await storage.put("file", Buffer.alloc(8_000_000));
    const stream = await storage.open("file");
    await truncate(join(root, "file"), 4_000_000);
    await assert.rejects(stream.toArray(), {
      code: "object_corrupt",
      details: { path: "file", expected: 8_000_000, found: 4_000_000 },
    });
    await storage.close();
  });

  test("a stream lets go of its file when it has ended, was destroyed, or was never read", async (t) => {
    if (process.platform !== "linux") return t.skip("needs /proc to count open files");
    const root = freshRoot();
    const storage = fsObjectStorage({ root });
    await storage.put("file", Buffer.alloc(4_000_000));
    const openFiles = async () => {
      const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "closed"));
      return (await Promise.all(links)).filter((file) => file.startsWith(root)).length;
    };
    const first = await storage.open("file");
    assert.equal(await openFiles(), 1);
    await first.toArray();
    const half = await storage.open("file");
    await half[Symbol.asyncIterator]().next();
    half.destroy();
    const unread = await storage.open("file");
    unread.destroy();
    await until("all files are closed", async () => (await openFiles()) === 0);
    await storage.close();
  });

  test("a slow sender's bytes are on the disk while the file is still open", async () => {
    const root = freshRoot();
    const storage = fsObjectStorage({ root });
    const tree = await storage.stage("object");
    const writer = tree.writer(["sha1"]);
    writer.begin("slow");
    await writer.write(Buffer.from("a few bytes"));
    const sizeBytes = async () => (await Array.fromAsync(tree.list()))[0]?.sizeBytes;
    await until("the bytes are written", async () => (await sizeBytes()) === 11);
    await tree.discard();
    await storage.close();
  });

  test("closing the storage fails the writers that are at work", async () => {
    const root = freshRoot();
    const storage = fsObjectStorage({ root });
    const tree = await storage.stage("object");
    const writer = tree.writer(["sha1"]);
    writer.begin("file");
    await storage.close();
    await assert.rejects(async () => {
      for (let i = 0; i < 100; i++) await writer.write(Buffer.alloc(1_000_000));
    }, /writer thread has ended/);
    await assert.rejects(writer.finish(), /writer thread has ended/);
    await writer.abort();
    await (await fsObjectStorage({ root }).reopen("object"))?.discard();
    assert.deepEqual(await inStaging(root), []);
  });

  test("idle writer threads let the process end, busy ones do not", async () => {
    const root = freshRoot();
    const script = `
      import { fsObjectStorage } from ${JSON.stringify(new URL("../../src/adapters/storage/fs.ts", import.meta.url))};
      const tree = await fsObjectStorage({ root: ${JSON.stringify(root)} }).stage("object");
      const writer = tree.writer(["sha512", "sha1"]);
      writer.begin("file");
      await writer.write(Buffer.alloc(20_000_000));
      writer.end();
      const [file] = await writer.finish();
      await tree.publish([]);
      console.log(file.digests.sha1);`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script]);
    // head -c 20000000 /dev/zero | sha1sum
    assert.equal(stdout.trim(), "59cc614a395ce5b3051bb78b51d6720c28318c96");
  });

  test("what a killed process left between two steps is swept away, what a living one is doing is not", async () => {
    const root = freshRoot();
    const storage = fsObjectStorage({ root });
    const dead = spawn(process.execPath, ["-e", "process.kill(process.pid, 'SIGKILL')"]);
    await once(dead, "exit");
    const files = {
      [`incoming/${dead.pid}-left-by-put`]: "half a file",
      [`incoming/${process.pid}-under-way`]: "half a file",
      "discarded/some-id/v1/file": "on its way out",
      "notes/published%2Fobject/checkpoint": "a note of a tree that has been published",
      "notes/under-way/checkpoint": "a note of a tree that has not",
      "trees/under-way/file": "a file",
    };
    for (const [path, content] of Object.entries(files)) {
      await mkdir(join(root, STAGING, path, ".."), { recursive: true });
      await writeFile(join(root, STAGING, path), content);
    }
    assert.deepEqual(await Array.fromAsync(storage.staged()), ["under-way"]);
    assert.equal((await inStaging(root)).length, 11, "looking changes nothing");
    assert.equal(await storage.reopen("another"), undefined);
    assert.deepEqual((await inStaging(root)).toSorted(), [
      `incoming/${process.pid}-under-way`,
      "notes/under-way",
      "notes/under-way/checkpoint",
      "trees/under-way",
      "trees/under-way/file",
    ]);
    await storage.close();
  });

  test("the published build starts its threads from JavaScript", async () => {
    const built = join(parent, "built");
    const here = new URL("../../", import.meta.url).pathname;
    // Types are checked elsewhere: what matters is what the compiler writes, in particular the thread's file name.
    await run(join(here, "node_modules/.bin/tsc"), ["-p", "tsconfig.build.json", "--noCheck", "--outDir", built], {
      cwd: here,
    });
    await writeFile(join(built, "package.json"), '{ "type": "module" }');
    const root = freshRoot();
    const script = `
      import { fsObjectStorage } from ${JSON.stringify(join(built, "src/adapters/storage/fs.js"))};
      const storage = fsObjectStorage({ root: ${JSON.stringify(root)} });
      const tree = await storage.stage("object");
      const writer = tree.writer(["sha1"]);
      writer.begin("file");
      await writer.write(Buffer.from("hello"));
      writer.end();
      await writer.finish();
      await tree.publish([]);
      const part = { path: "object/file", start: 1, sizeBytes: 3, at: 0, crc: false };
      const { buffer } = await storage.gather(new Uint8Array(3), [part]);
      console.log(Buffer.from(buffer).toString());
      await storage.close();`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script]);
    assert.equal(await readFile(join(root, "object/file"), "utf8"), "hello");
    assert.equal(stdout.trim(), "ell");
  });
});

/** Everything in the staging area but the folders that are always there, relative to it. */
async function inStaging(root: string): Promise<readonly string[]> {
  const entries = await readdir(join(root, STAGING), { recursive: true }).catch(() => []);
  return entries.filter((path) => !["trees", "notes", "incoming", "discarded"].includes(path));
}
