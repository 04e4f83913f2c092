import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import type { PackageFiles, WorkFile } from "../../src/core/packages/package-files.ts";

const names = async (values: AsyncIterable<string>) => (await Array.fromAsync(values)).toSorted();

/** What every PackageFiles must do. @param fresh makes a way to open one empty store, again and again. */
export function packageFilesConformance(name: string, fresh: () => () => PackageFiles): void {
  async function written(files: PackageFiles, workspace: string, parts: readonly string[]) {
    const place = await files.workspace(workspace);
    const file = await place.append("a", 0);
    for (const part of parts) await file.write(Buffer.from(part));
    await file.sync();
    await file.close();
    return place;
  }

  async function textOf(file: WorkFile, from = 0): Promise<string> {
    let found = "";
    for await (const bytes of file.read(from)) found += Buffer.from(bytes).toString("latin1");
    return found;
  }

  describe(`PackageFiles: ${name}`, () => {
    test("what grows is not visible before it is published, and whole then", async () => {
      const files = fresh()();
      const place = await written(files, "w", ["hel", "lo"]);
      assert.deepEqual(await Array.fromAsync(files.list()), []);
      assert.equal(await files.stat("p.zip"), undefined);
      await place.publish("a", "p.zip");
      const [listed] = await Array.fromAsync(files.list());
      assert.deepEqual([listed?.fileName, listed?.sizeBytes], ["p.zip", 5]);
      assert.equal((await files.stat("p.zip"))?.sizeBytes, 5);
      assert.equal(await text(await files.open("p.zip")), "hello");
      assert.equal(await text(await files.open("p.zip", { start: 1, end: 3 })), "ell");
      assert.deepEqual(await names(files.workspaces()), []);
    });

    test("another process goes on where one was cut off", async () => {
      const open = fresh();
      await written(open(), "w", ["hello", " wor"]);
      const files = open();
      assert.deepEqual(await names(files.workspaces()), ["w"]);
      const place = await files.workspace("w");
      assert.equal(await place.sizeOf("a"), 9);
      const file = await place.append("a", 5);
      assert.equal(file.sizeBytes, 5);
      await file.write(Buffer.from("!"));
      assert.equal(file.sizeBytes, 6);
      assert.equal(await textOf(file), "hello!");
      await file.close();
    });

    test("pieces are written in their order, replaced in their place, and read back from anywhere", async () => {
      const file = await (await fresh()().workspace("w")).append("a", 0);
      await file.write();
      await file.write(Buffer.from("....:"), Buffer.alloc(0), Buffer.alloc(3 * 1024 * 1024, "x"), Buffer.from("end"));
      await file.replace(0, Buffer.from("head"));
      await file.write(Buffer.from("!"));
      assert.equal(file.sizeBytes, 3 * 1024 * 1024 + 9);
      assert.equal(await textOf(file), `head:${"x".repeat(3 * 1024 * 1024)}end!`);
      assert.equal(await textOf(file, 3 * 1024 * 1024 + 4), "xend!");
      assert.equal(await textOf(file, file.sizeBytes), "");
      await file.close();
    });

    test("a file that is shorter than it was said to be is not made longer", async () => {
      const files = fresh()();
      const place = await written(files, "w", ["hello"]);
      await assert.rejects(place.append("a", 6), { code: "object_corrupt" });
      assert.equal(await place.sizeOf("a"), 5);
    });

    test("nothing is published over another package", async () => {
      const files = fresh()();
      await (await written(files, "w1", ["one"])).publish("a", "p.zip");
      const second = await written(files, "w2", ["two"]);
      await assert.rejects(second.publish("a", "p.zip"), { code: "object_exists" });
      assert.equal(await text(await files.open("p.zip")), "one");
      await second.publish("a", "q.zip");
      assert.equal(await text(await files.open("q.zip")), "two");
    });

    test("what is discarded or removed is gone, and asking twice does no harm", async () => {
      const files = fresh()();
      const place = await written(files, "w", ["x"]);
      await place.remove("a");
      await place.remove("a");
      assert.equal(await place.sizeOf("a"), undefined);
      await place.discard();
      await place.discard();
      assert.deepEqual(await names(files.workspaces()), []);
      await (await written(files, "w", ["x"])).publish("a", "p.zip");
      await files.remove("p.zip");
      await files.remove("p.zip");
      await assert.rejects(files.open("p.zip"), { code: "object_missing" });
    });

    test("a range outside the file is refused", async () => {
      const files = fresh()();
      await (await written(files, "w", ["hello"])).publish("a", "p.zip");
      await assert.rejects(files.open("p.zip", { start: 6 }), { code: "range_not_satisfiable" });
    });

    test("a name is a name and never a path", async () => {
      const files = fresh()();
      for (const bad of ["", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a\0b"]) {
        await assert.rejects(files.workspace(bad), { code: "request_invalid" }, bad);
        await assert.rejects(files.open(bad), { code: "request_invalid" }, bad);
        await assert.rejects(files.stat(bad), { code: "request_invalid" }, bad);
        await assert.rejects(files.remove(bad), { code: "request_invalid" }, bad);
      }
    });

    test("room is told when it is known", async () => {
      const files = fresh()();
      await files.workspace("w");
      const free = await files.freeBytes();
      assert.ok(free === undefined || free > 0);
    });
  });
}
