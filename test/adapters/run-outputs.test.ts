import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runOutputs } from "../../src/adapters/run/run-outputs.ts";
import { runOutputsConformance, SEGMENT_BYTES } from "../conformance/run-outputs.ts";

const folder = mkdtempSync(join(tmpdir(), "longshore-outputs-"));
after(() => rmSync(folder, { recursive: true }));
let stores = 0;

function opened() {
  const root = join(folder, String(stores++));
  return { root, outputs: runOutputs({ root, segmentBytes: SEGMENT_BYTES }) };
}

runOutputsConformance("files", async () => opened().outputs);

test("of very much only three files stay", async () => {
  const { outputs, root } = opened();
  const writer = await outputs.create("a/2");
  const lines = Buffer.alloc(3_500, "printed\n");
  for (let at = 0; at < lines.length; at += 997) await writer.write(lines.subarray(at, at + 997));
  await writer.close();
  assert.deepEqual(readdirSync(join(root, "a/2")).sort(), ["0", "3480", "3490"]);
  await outputs.removeAll("a");
  assert.deepEqual(readdirSync(root), []);
});
