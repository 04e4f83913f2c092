import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RunOutputs } from "../../src/core/schedules/run-outputs.ts";
import { textOf } from "../support/scheduling.ts";
import { until } from "../support/until.ts";

/** Of segments, in these tests: small, so that little is much. */
export const SEGMENT_BYTES = 10;

/** What all RunOutputs must do. @param fresh gives empty ones, with segments of {@link SEGMENT_BYTES}. */
export function runOutputsConformance(name: string, fresh: () => Promise<RunOutputs>): void {
  describe(`RunOutputs: ${name}`, () => {
    test("what fits is kept as it was printed, and can be read while it grows", async () => {
      const outputs = await fresh();
      const writer = await outputs.create("a/1");
      assert.equal(await outputs.read("a/1"), undefined);
      await writer.write(Buffer.from("hello "));
      const shown = async () => textOf(await outputs.read("a/1"));
      await until("what was printed can be read", async () => (await shown()) === "hello ");
      await writer.write(Buffer.from("world, and more"));
      await writer.close();
      assert.equal(await shown(), "hello world, and more");
      assert.deepEqual([writer.bytes, await outputs.size("a/1"), await outputs.tail("a/1", 4)], [21, 21, "more"]);
    });

    test("of very much the beginning and the end are kept, and a line says how much is left out", async () => {
      const outputs = await fresh();
      const writer = await outputs.create("a/2");
      const lines = Array.from({ length: 100 }, (_, index) => `${String(index).padStart(6, "0")}\n`).join("");
      for (let at = 0; at < lines.length; at += 97) await writer.write(Buffer.from(lines.slice(at, at + 97)));
      await writer.close();
      assert.equal(
        await textOf(await outputs.read("a/2")),
        `${lines.slice(0, 10)}\n[… ${680 - 10} bytes are left out …]\n${lines.slice(680)}`,
      );
      assert.equal(await outputs.size("a/2"), 700);
      assert.equal(await outputs.tail("a/2", 12), lines.slice(-12));
    });

    test("begun anew, an output has nothing of the try before, and what is removed is gone", async () => {
      const outputs = await fresh();
      for (const text of ["the first try printed much", "then"]) {
        const writer = await outputs.create("a/3");
        await writer.write(Buffer.from(text));
        await writer.close();
      }
      assert.equal(await textOf(await outputs.read("a/3")), "then");
      await outputs.remove("a/3");
      assert.equal(await outputs.read("a/3"), undefined);
      assert.deepEqual([await outputs.size("a/3"), await outputs.tail("a/3", 10)], [0, ""]);
      for (const run of ["a/4", "ab/1"]) {
        const writer = await outputs.create(run);
        await writer.write(Buffer.from("x"));
        await writer.close();
      }
      await outputs.removeAll("a");
      assert.equal(await outputs.read("a/4"), undefined);
      assert.equal(await textOf(await outputs.read("ab/1")), "x");
    });
  });
}
