import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { describe, test } from "node:test";
import { openSqlite } from "../../../src/adapters/db/stores.ts";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import type { Principal } from "../../../src/core/access/access.ts";
import { rebuildCatalogue } from "../../../src/core/archive/rebuild.ts";
import type { AppError } from "../../../src/core/errors.ts";
import { fileId } from "../../../src/core/ids.ts";
import { faultyStorage } from "../../support/faulty-storage.ts";
import { type IngestFixture, openIngest } from "../../support/ingest.ts";
import { until } from "../../support/until.ts";

const ada: Principal = { name: "ada", scopes: ["deposit", "read"], via: "token" };
const bytes = (text: string) => Readable.from([Buffer.from(text)], { objectMode: false });
const request = () => ({
  principal: ada,
  modifiedAt: "2020-09-13T12:26:40.000Z",
  signal: new AbortController().signal,
});

async function contentOf({ archive, stores }: IngestFixture, id: number): Promise<string> {
  const file = await stores.catalogue.file(fileId(id));
  const transaction = file && (await stores.catalogue.transaction(file.transactionId));
  assert.ok(transaction);
  return (await buffer(await archive.openFile(transaction, file))).toString();
}

// After each test, the archive must verify and nothing may be staged: the fixture sees to it.
describe("numbered files", () => {
  test("a file is a transaction whose metadata says what is known of it", async (t) => {
    const ingest = await openIngest(t);
    const file = await ingest.numberedFiles.put(fileId(77), bytes("hello"), request());
    assert.deepEqual(
      [file.id, file.path, file.sizeBytes, file.modifiedAt, file.mediaType],
      [77, "data/77", 5, "2020-09-13T12:26:40.000Z", "application/octet-stream"],
    );
    assert.equal(file.digests.sha1, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"); // printf hello | sha1sum
    const transaction = await ingest.stores.catalogue.transaction(file.transactionId);
    const metadata = await ingest.storage.open(`${transaction?.objectPath}/v1/content/metadata.txt`);
    const [entry, ...others] = JSON.parse((await buffer(metadata)).toString());
    assert.deepEqual(others, []);
    assert.deepEqual(
      [entry.destinationTable, entry.name, entry.size, entry.hashtype, entry.mtime],
      ["Files", "77", 5, "sha512", "2020-09-13T12:26:40.000Z"],
    );
    // printf hello | sha512sum
    assert.match(entry.hashsum, /^9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7[0-9a-f]{64}$/);
  });

  test("several at the same moment make one job; who brings other bytes is told", async (t) => {
    const ingest = await openIngest(t);
    const put = (text: string) => ingest.numberedFiles.put(fileId(6), bytes(text), request());
    const outcomes = await Promise.allSettled(["first", "second", "first", "third"].map(put));
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.status === "rejected" ? outcome.reason.code : outcome.value.sizeBytes)),
      [5, "object_exists", 5, "object_exists"],
    );
    assert.equal((await ingest.jobs.list({ limit: 10 })).length, 1);
  });

  test("a policy judges it like a bundle, and nothing of it stays", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "rules-"));
    t.after(() => rm(folder, { recursive: true }));
    const rules = join(folder, "rules.json");
    await writeFile(rules, JSON.stringify({ required: { fields: ["project"] } }));
    const ingest = await openIngest(t, { settings: { LONGSHORE_POLICY_FILE: rules } });
    await assert.rejects(ingest.numberedFiles.put(fileId(1), bytes("hello"), request()), { code: "policy_refused" });
    assert.equal(await ingest.stores.catalogue.file(fileId(1)), undefined);
  });

  test("an id beyond half of all integers is refused, so that nobody uses the others up", async (t) => {
    const ingest = await openIngest(t);
    const put = (id: number) => ingest.numberedFiles.put(fileId(id), bytes("x"), request());
    await assert.rejects(put(2 ** 52 + 1), { code: "request_invalid" });
    assert.equal((await put(2 ** 52)).id, 2 ** 52);
    assert.equal(await ingest.ids.reserve("file", 1), 2 ** 52 + 1);
  });

  test("a sender that waits when the server stops is told, and its file is there when the server is back", async (t) => {
    const ingest = await openIngest(t);
    await ingest.worker.stop();
    const stopping = new AbortController();
    const putting = ingest.numberedFiles.put(fileId(5), bytes("hello"), { ...request(), signal: stopping.signal });
    const refused = assert.rejects(putting, { code: "server_unavailable", kind: "unavailable" });
    await until("its job is queued", async () => (await ingest.stores.jobs.countOpen()).queued === 1);
    stopping.abort();
    await refused;

    const worker = ingest.startWorker({ jobEnded: () => {}, trouble: (error) => assert.fail(String(error)) });
    try {
      const file = await ingest.numberedFiles.put(fileId(5), bytes("hello"), request());
      assert.equal(file.id, 5);
      assert.equal((await ingest.stores.catalogue.totals()).transactions, 1, "it came in once");
    } finally {
      await worker.stop();
    }
  });

  test("what a failing storage did not take comes in at the next try, and its failed job cannot bring it a second time", async (t) => {
    let isFailing = true;
    const ingest = await openIngest(t, {
      wrap: (storage) =>
        faultyStorage(storage, undefined, ({ operation }, _, when) => {
          if (isFailing && when === "before" && operation === "tree.publish") throw new Error("EIO");
        }),
    });
    const failing = ingest.numberedFiles.put(fileId(9), bytes("hello"), request());
    const error = await failing.then(
      () => assert.fail("it was taken in"),
      (thrown: AppError) => thrown,
    );
    assert.equal(error.code, "internal");
    isFailing = false;
    assert.equal(ingest.takeTroubles().length, 1);
    await ingest.numberedFiles.put(fileId(9), bytes("another content now"), request());

    const failed = await ingest.jobs.get(error.details.jobId as never);
    const again = await ingest.over(await ingest.jobs.retry(failed.id, "op"));
    assert.equal(again.error?.code, "object_exists");
    assert.equal(await contentOf(ingest, 9), "another content now");
  });

  test("what may not be moved leaves no job behind", async (t) => {
    const ingest = await openIngest(t);
    await assert.rejects(ingest.numberedFiles.move(fileId(3), "/etc/passwd", request()), {
      code: "source_outside_roots",
    });
    assert.deepEqual(await ingest.jobs.list({ limit: 10 }), []);
  });

  test("ids survive the loss of the database, and are not given again", async (t) => {
    const ingest = await openIngest(t);
    await ingest.numberedFiles.put(fileId(500), bytes("hello"), request());
    const empty = await openSqlite({ path: join(ingest.dataDir, "rebuilt.sqlite"), clock: systemClock });
    try {
      const { archive } = ingest;
      const options = { dryRun: false, signal: new AbortController().signal };
      const rebuilt = await Array.fromAsync(
        rebuildCatalogue({ ...empty, archive, clock: systemClock, software: "Longshore/0.0.0-test" }, options),
      );
      assert.deepEqual(
        rebuilt.map(({ outcome }) => outcome),
        ["added"],
      );
      assert.equal((await empty.catalogue.file(fileId(500)))?.path, "data/500");
      assert.equal(await empty.sequences.reserve("file", 1), 501);
    } finally {
      await empty.close();
    }
  });
});
