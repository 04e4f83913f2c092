import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { runOutputs } from "../../src/adapters/run/run-outputs.ts";
import { textOf } from "../support/scheduling.ts";

function opened(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), "longshore-outputs-"));
  t.after(() => rmSync(root, { recursive: true }));
  return { root, outputs: runOutputs({ root, segmentBytes: 10 }) };
}

describe("outputs of runs", () => {
  test("what fits is kept as it was printed, and can be read while it grows", async (t) => {
    const { outputs } = opened(t);
    const writer = await outputs.create("a/1");
    assert.equal(await outputs.read("a/1"), undefined);
    await writer.write(Buffer.from("hello "));
    assert.equal(await textOf(await outputs.read("a/1")), "hello ");
    await writer.write(Buffer.from("world, and more"));
    await writer.close();
    assert.equal(await textOf(await outputs.read("a/1")), "hello world, and more");
    assert.deepEqual([writer.bytes, await outputs.size("a/1"), await outputs.tail("a/1", 4)], [21, 21, "more"]);
  });

  test("of very much the beginning and the end are kept, and a line says how much is left out", async (t) => {
    const { outputs, root } = opened(t);
    const writer = await outputs.create("a/2");
    const lines = Array.from({ length: 5_000 }, (_, index) => `${String(index).padStart(6, "0")}\n`).join("");
    for (let at = 0; at < lines.length; at += 997) await writer.write(Buffer.from(lines.slice(at, at + 997)));
    await writer.close();
    assert.deepEqual(readdirSync(join(root, "a/2")).sort(), ["0", "34980", "34990"]);
    assert.equal(
      await textOf(await outputs.read("a/2")),
      `${lines.slice(0, 10)}\n[… ${34_980 - 10} bytes are left out …]\n${lines.slice(34_980)}`,
    );
    assert.equal(await outputs.size("a/2"), 35_000);
  });

  test("begun anew, an output has nothing of the try before, and what is removed is gone", async (t) => {
    const { outputs, root } = opened(t);
    for (const text of ["the first try printed much", "then"]) {
      const writer = await outputs.create("a/3");
      await writer.write(Buffer.from(text));
      await writer.close();
    }
    assert.equal(await textOf(await outputs.read("a/3")), "then");
    await outputs.remove("a/3");
    assert.equal(await outputs.read("a/3"), undefined);
    assert.deepEqual([await outputs.size("a/3"), await outputs.tail("a/3", 10)], [0, ""]);
    await (await outputs.create("a/4")).write(Buffer.from("x"));
    await outputs.removeAll("a");
    assert.deepEqual(readdirSync(root), []);
  });
});
