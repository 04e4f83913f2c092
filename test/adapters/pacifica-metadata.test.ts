import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, describe, test } from "node:test";
import { openSqlite } from "../../src/adapters/db/stores.ts";
import { pacificaMetadata } from "../../src/adapters/pacifica/metadata.ts";
import { memoryObjectStorage } from "../../src/adapters/storage/memory.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { ocflArchive } from "../../src/core/archive/archive.ts";
import type { OutboxMessage } from "../../src/core/catalogue/catalogue-store.ts";
import { fileId, transactionId } from "../../src/core/ids.ts";
import { METADATA_CONTENT_PATH, METADATA_PATH } from "../../src/core/ingest/bundle/bundle.ts";
import { readMetadata } from "../../src/core/ingest/metadata.ts";
import { announcements, METADATA_CHANNEL } from "../../src/core/outbound/announcements.ts";
import { outboxDelivery } from "../../src/core/outbound/outbox-delivery.ts";
import { httpSend } from "../../src/core/outbound/send.ts";
import { movingClock } from "../support/moving-clock.ts";
import { answer, hangUp, loseAnswer, never, pacificaServices } from "../support/pacifica-services.ts";
import { until } from "../support/until.ts";

const services = await pacificaServices();
const { metadata: remote } = services;
after(() => services.close());

const archive = ocflArchive(memoryObjectStorage(), "sha512");
const send = httpSend({ ...systemClock, sleep: async () => {} });
const channel = pacificaMetadata({ url: remote.url, archive, send });

const SHA1 = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"; // printf hello | sha1sum
// printf hello | b2sum
const BLAKE2B =
  "e4cfa39a3d37be31c59609e807970799caa68a19bfaa15135f165085e01d41a65ba1e1b146aeb6bd0092b49eac214c103ccfa3a365954bbbe52f74a2b3620c94";

type Entry = Readonly<Record<string, unknown>>;

const WHO: readonly Entry[] = [
  { destinationTable: "Transactions.submitter", value: 10 },
  { destinationTable: "Transactions.project", value: "1234a" },
  { destinationTable: "Transactions.instrument", value: 54 },
];
const file = (name: string, more: Entry = {}): Entry => ({
  destinationTable: "Files",
  name,
  subdir: "data/a/b/",
  size: 5,
  mimetype: "text/plain",
  hashtype: "sha1",
  hashsum: SHA1,
  ctime: "2020-09-13T12:26:40",
  mtime: "Tue Nov 29 14:09:05 PST 2016",
  ...more,
});

let lastId = 0;
let lastFileId = 1_000;

/** Archives a transaction with this metadata, as ingest does, and gives the message that announces it. */
async function archived(entries: readonly Entry[]): Promise<{ readonly id: number; readonly message: OutboxMessage }> {
  const id = transactionId(++lastId);
  const document = Buffer.from(JSON.stringify(entries, null, 4));
  const { metadata, problems } = await readMetadata(Readable.from([document]), "bundle");
  assert.deepEqual(problems, [], "the test's own metadata is at fault");
  const tree = await archive.stage(id);
  await tree.put(METADATA_CONTENT_PATH, document);
  await archive.publish(tree, {
    head: { id, submitter: null, project: null, instrument: null, owner: "o", createdAt: 0, keyValues: [] },
    files: metadata.files.map((declared) => ({
      id: fileId(++lastFileId),
      path: declared.path,
      contentPath: `v1/content/${declared.path}`,
      sizeBytes: 5,
      modifiedAt: declared.modifiedAt ?? "2020-09-13T12:26:40.000Z",
      changedAt: declared.changedAt,
      mediaType: declared.mediaType ?? "application/octet-stream",
      digests: { sha512: "0".repeat(128) },
      crc32: 0,
      declared: declared.digest,
    })),
    others: [{ logicalPath: METADATA_PATH, contentPath: METADATA_CONTENT_PATH, digests: { sha512: "0".repeat(128) } }],
  });
  return { id, message: { key: `m${id}`, channel: "metadata", target: remote.url, payload: { transactionId: id } } };
}

const deliver = (message: OutboxMessage, to = channel) => to.deliver(message, AbortSignal.timeout(20_000));
const sentLast = (): readonly Entry[] => JSON.parse(String(remote.requests.at(-1)?.body));

describe("a Pacifica metadata service", () => {
  test("is sent the document with ids, clipped subdirs and the transaction's id", async () => {
    const firstId = lastFileId + 1;
    const { id, message } = await archived([
      ...WHO,
      file("a.txt"),
      { destinationTable: "TransactionKeyValue", key: "Temp C", value: "27" },
      { destinationTable: "NothingReally", metaID: "logon", displayFormat: "%(x)s" },
      file("b.txt", { subdir: "/data//c", displayTitle: "kept" }),
    ]);
    await deliver(message);
    assert.deepEqual(sentLast(), [
      ...WHO,
      file("a.txt", { _id: firstId, subdir: "a/b" }),
      { destinationTable: "TransactionKeyValue", key: "Temp C", value: "27" },
      { destinationTable: "NothingReally", metaID: "logon", displayFormat: "%(x)s" },
      file("b.txt", { _id: firstId + 1, subdir: "c", displayTitle: "kept" }),
      { destinationTable: "Transactions._id", value: id },
    ]);
    assert.equal(remote.entered.get(id)?.length, 2);
    const { url, method, headers } = remote.requests.at(-1) ?? {};
    assert.deepEqual([method, url?.pathname, headers?.["content-type"]], ["PUT", "/ingest", "application/json"]);
  });

  test("is not sent the transaction id that a depositor wrote", async () => {
    const own = { destinationTable: "Transactions._id", value: 1234 };
    const { id, message } = await archived([own, ...WHO, file("a.txt"), own]);
    await deliver(message);
    const ids = sentLast().filter(({ destinationTable }) => destinationTable === "Transactions._id");
    assert.deepEqual(ids, [{ destinationTable: "Transactions._id", value: id }]);
    assert.ok(remote.entered.has(id));
  });

  test("takes files that say less than it requires, or say it in their own way", async () => {
    const { id, message } = await archived([
      ...WHO,
      { destinationTable: "Files", name: "bare", hashtype: "SHA1", hashsum: `sha1:${SHA1.toUpperCase()}` },
      file("text-size", { size: "5", mimetype: "chemical/x-pdb" }),
      file("blake", { hashtype: "blake2b", hashsum: BLAKE2B, mimetype: "multipart/mixed" }),
    ]);
    await deliver(message);
    const entered = (remote.entered.get(id) ?? []).map(({ subdir, size, mimetype, hashtype, hashsum }) => ({
      subdir,
      size,
      mimetype,
      hashtype,
      hashsum,
    }));
    const plain = { subdir: "a/b", size: 5, mimetype: "application/octet-stream" };
    assert.deepEqual(entered, [
      { ...plain, subdir: "", hashtype: "sha1", hashsum: SHA1 },
      { ...plain, hashtype: "sha1", hashsum: SHA1 },
      { ...plain, hashtype: "blake2b", hashsum: BLAKE2B },
    ]);
    assert.equal(sentLast()[3]?.mtime, "2020-09-13T12:26:40.000Z");
  });

  test("is sent a document of ten thousand files as a whole", async () => {
    const names = Array.from({ length: 10_000 }, (_, i) => `file ${i} ü`);
    const { id, message } = await archived([...WHO, ...names.map((name) => file(name))]);
    await deliver(message);
    const entered = remote.entered.get(id) ?? [];
    assert.deepEqual(
      entered.map(({ name }) => name),
      names,
    );
    const first = Number(entered[0]?._id);
    assert.ok(entered.every(({ _id }, index) => _id === first + index));
  });

  test("that refuses fails the delivery with its message, and is not told that all is well", async () => {
    const { id, message } = await archived([file("no submitter")]);
    await assert.rejects(deliver(message), (error: Error) => {
      assert.match(error.message, /^A remote service refused .*found: The server encountered an unexpected condition/);
      return true;
    });
    assert.equal(remote.entered.has(id), false);
  });

  test("that has the transaction already, as its answer was lost, is not told twice", async () => {
    const { id, message } = await archived([...WHO, file("a.txt")]);
    remote.disturb(loseAnswer, loseAnswer, loseAnswer);
    await assert.rejects(deliver(message), { code: "remote_unavailable" });
    const entered = remote.entered.get(id);
    assert.equal(entered?.length, 1);
    await deliver(message);
    assert.equal(remote.entered.get(id), entered);
  });

  test("that has another transaction under this id has not taken ours", async () => {
    const foreign = pacificaMetadata({ url: remote.url, archive, send });
    const { id, message } = await archived([...WHO, file("ours")]);
    // Somebody else's, entered before: the same id, and a file with the id of ours, but other bytes.
    const body = JSON.stringify([
      ...WHO,
      { ...file("theirs"), _id: lastFileId, hashsum: "0".repeat(40) },
      { destinationTable: "Transactions._id", value: id },
    ]);
    const headers = { "content-type": "application/json" };
    const { text } = await send({ method: "PUT", url: `${remote.url}/ingest`, headers, body, timeoutMs: 10_000 });
    assert.match(text, /success/);
    await assert.rejects(deliver(message, foreign), /found: Could not insert records \[ID: \d+\] due to duplicated ID/);
  });

  for (const [what, disturbances, code] of [
    ["a proxy's error page", [answer(503, "<html>")], "remote_unavailable"],
    ["garbage", [answer(200, "OK")], "remote_refused"],
    ["a broken connection", [hangUp, hangUp, hangUp], "remote_unavailable"],
  ] as const)
    test(`${what} fails the delivery, and the next one arrives`, async () => {
      const { id, message } = await archived([...WHO, file("a.txt")]);
      remote.disturb(...disturbances);
      await assert.rejects(deliver(message), { code });
      assert.equal(remote.entered.has(id), false);
      await deliver(message);
      assert.ok(remote.entered.has(id));
    });

  test("that does not answer in time fails the delivery", async () => {
    const { message } = await archived([...WHO, file("a.txt")]);
    remote.disturb(never);
    await assert.rejects(deliver(message, pacificaMetadata({ url: remote.url, archive, send, timeoutMs: 100 })), {
      code: "remote_unavailable",
    });
  });

  test("that was down when a transaction was accepted gets it from the outbox, in the next process", async () => {
    const { id } = await archived([...WHO, file("a.txt")]);
    const { transaction } = (await archive.read(transactionId(id))) ?? assert.fail("it is not archived");
    const clock = movingClock();
    const folder = await mkdtemp(join(tmpdir(), "pacifica-"));
    const path = join(folder, "db");
    const announce = announcements({ metadataUrl: remote.url, eventsUrls: [] });
    const channels = { [METADATA_CHANNEL]: channel };
    try {
      remote.disturb(hangUp, hangUp, hangUp);
      const first = await openSqlite({ path, clock });
      await first.catalogue.add(transaction, Readable.from([]), [], announce(transaction), clock.now());
      const failing = outboxDelivery({ outbox: first.outbox, channels, clock });
      await until("it has failed", () => failing.counts().failed === 1);
      await failing.stop();
      await first.close();
      assert.equal(remote.entered.has(id), false);

      const second = await openSqlite({ path, clock });
      clock.pass(1_000);
      const delivering = outboxDelivery({ outbox: second.outbox, channels, clock });
      await until("it is delivered", () => delivering.counts().delivered === 1);
      await delivering.stop();
      assert.equal(await second.outbox.depth(), 0);
      await second.close();
      assert.equal(remote.entered.get(id)?.length, 1);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("is sent nothing of a transaction that the archive does not have", async () => {
    const { message } = await archived([...WHO, file("a.txt")]);
    const asked = remote.requests.length;
    await assert.rejects(deliver({ ...message, payload: { transactionId: 9_999 } }), { code: "transaction_unknown" });
    assert.equal(remote.requests.length, asked);
  });
});
