import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { longshore } from "../../src/sdk/index.ts";
import { bundleBlob } from "../sdk/deposit.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const OBJECTS = 6;
const FILE_BYTES = 256 * 1024;

test("a fixity run whose process is killed goes on with the next, and checks each transaction once", async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), "longshore-fixity-crash-"));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const first = await startServer({ dataDir });
  const client = longshore({ url: first.url });
  for (let n = 0; n < OBJECTS; n++) {
    const tar = await bundleBlob({ "a.bin": `${n}`.repeat(FILE_BYTES) }, []);
    await client.jobs.wait((await client.bundles.deposit(tar)).id);
  }
  // Slow enough to be killed in the middle: about half a second for each transaction.
  const { id } = await client.fixity.run({ bytesPerSecond: 2 * FILE_BYTES });
  const checkedNow = async () => (await client.fixity.status()).soundTransactions;
  await until("some are checked and some are not", async () => (await checkedNow()) >= 2);
  await first.end("SIGKILL");

  const second = await startServer({ dataDir });
  t.after(() => second.stop());
  const after = longshore({ url: second.url });
  const job = await after.jobs.wait(id);
  assert.equal(job.state, "succeeded", JSON.stringify(job.error));
  assert.ok(job.attempts >= 2, "it was taken over");
  const checks = await Array.fromAsync(after.fixity.checks({ outcome: "success" }));
  assert.equal(checks.length, OBJECTS);
  for (const { id: transaction } of checks) {
    const events = await Array.fromAsync(after.events.list(transaction));
    assert.equal(events.filter(({ type }) => type === "fixity check").length, 1, `of transaction ${transaction}`);
  }
  assert.equal((await after.audit.verify()).brokenAt, null);
});
