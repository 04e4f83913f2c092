import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import type { DigestName } from "../../../src/core/digest.ts";
import { AppError } from "../../../src/core/errors.ts";
import type { Job } from "../../../src/core/jobs/job.ts";
import { bundleTar, declared, TRANSACTION } from "../../support/bundles.ts";
import { type IngestFixture, openIngest } from "../../support/ingest.ts";
import { paxHeader, tarMember, tarOf } from "../../support/tars.ts";
import { until } from "../../support/until.ts";

const FILES = { "data/a.txt": "hello", "data/b/c.bin": "\0\x01\x02", "data/empty": "" };

test("a bundle becomes a transaction whose files are the depositor's, wherever its metadata is", async (t) => {
  const { deposit, contents, stores } = await openIngest(t);
  for (const metadataAt of ["first", "middle", "last"] as const) {
    const job = await deposit(await bundleTar(FILES, { metadataAt }));
    assert.equal(job.state, "succeeded", metadataAt);
    assert.deepEqual(await contents(job), FILES);
    assert.deepEqual([job.error, job.warnings], [null, []]);
    assert.deepEqual(
      job.tasks.map(({ name, percent }) => [name, percent]),
      ["receive", "metadata", "policy", "files", "catalogue"].map((name) => [name, 100]),
    );
    const { transactionId, files, bytes } = job.result;
    assert.deepEqual([transactionId, files, bytes], [job.id, 3, 8]);
    const transaction = await stores.catalogue.transaction(transactionId as never);
    const { submitter, project, instrument, owner } = transaction ?? {};
    assert.deepEqual([submitter, project, instrument, owner], ["10", "1234a", "54", "ada"]);
    assert.deepEqual(await stores.catalogue.keyValues(transactionId as never), [
      { fileId: null, key: "Temp C", value: "27" },
    ]);
  }
});

test("files get consecutive ids in the order of the metadata, and everything the depositor said of them", async (t) => {
  const { deposit, files } = await openIngest(t);
  const first = await deposit(await bundleTar(FILES));
  const second = await deposit(await bundleTar(FILES, { metadata: (right) => right.toReversed() }));
  const ids = [...(await files(first)), ...(await files(second))].map(({ id }) => id);
  assert.deepEqual(ids, [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(
    (await files(second)).map(({ path }) => path),
    ["data/empty", "data/b/c.bin", "data/a.txt"],
  );
  const [file] = await files(first);
  // printf hello | sha1sum, sha512sum; python3 -c "import zlib; print(zlib.crc32(b'hello'))"
  const sha1 = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
  const sha512 =
    "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043";
  assert.deepEqual(file, {
    id: 1,
    transactionId: first.id,
    path: "data/a.txt",
    contentPath: "v1/content/data/a.txt",
    sizeBytes: 5,
    modifiedAt: "2020-09-13T12:26:40.000Z",
    changedAt: "2020-09-13T12:26:40.000Z",
    mediaType: "text/plain",
    digests: { sha1, sha512 },
    crc32: 907_060_870,
    declared: { algorithm: "sha1", value: sha1 },
  });
});

test("digests that were not computed on the way are computed before anything is accepted", async (t) => {
  const { deposit, files } = await openIngest(t);
  const algorithms = ["md5", "sha256", "sha384", "blake2b", "blake2s", "sha3_256", "sha3_512", "sha512"];
  const contents = Object.fromEntries(algorithms.map((hashtype) => [`data/${hashtype}`, `by ${hashtype}`]));
  const objects = algorithms.map((hashtype) => declared(`data/${hashtype}`, `by ${hashtype}`, { hashtype }));
  const good = await deposit(await bundleTar(contents, { metadata: () => [...TRANSACTION, ...objects] }));
  assert.equal(good.state, "succeeded");
  for (const { digests, declared: said } of await files(good)) assert.equal(digests[said.algorithm], said.value);

  const wrong = objects.map((object) => ({ ...object, hashsum: String(object.hashsum).replace(/^../, "00") }));
  const bad = await deposit(await bundleTar(contents, { metadata: () => [...TRANSACTION, ...wrong] }));
  assert.deepEqual(
    [bad.state, bad.error?.code, bad.error?.details.problemCount],
    ["failed", "file_digest_mismatch", 8],
  );
});

test("members that the metadata does not list are reported and are no part of the archive", async (t) => {
  const { deposit, contents } = await openIngest(t);
  const unlisted = { "data/extra.txt": "x", "readme.txt": "outside of data", "data/b/more": "y" };
  const isListed = (object: object) => !("name" in object) || !/extra|readme|more/.test(String(object.name));
  const bundle = await bundleTar({ ...FILES, ...unlisted }, { metadata: (right) => right.filter(isListed) });
  const job = await deposit(bundle);
  assert.deepEqual([job.state, await contents(job)], ["succeeded", FILES]);
  assert.deepEqual(
    job.warnings.map(({ code, path }) => [code, path]).toSorted(),
    Object.keys(unlisted)
      .toSorted()
      .map((path) => ["member_unlisted", path]),
  );
});

test("everything that is wrong with the files is listed together, and nothing is archived", async (t) => {
  const { deposit, unharmed } = await openIngest(t);
  const job = await deposit(
    await bundleTar(FILES, {
      metadata: () => [
        ...TRANSACTION,
        declared("data/a.txt", "hello", { size: 6 }),
        declared("data/b/c.bin", "other bytes", { size: 3 }),
        declared("data/empty", ""),
        declared("data/missing", ""),
      ],
    }),
  );
  assert.deepEqual([job.state, job.error?.code], ["failed", "bundle_refused"]);
  const problems = (job.error?.details.problems ?? []) as {
    code: string;
    path: string;
    expected: unknown;
    found: unknown;
  }[];
  assert.deepEqual(
    problems.map(({ code, path, expected, found }) => [code, path, expected, found]),
    [
      ["file_size_mismatch", "data/a.txt", 6, 5],
      // printf 'other bytes' | sha1sum; printf '\0\1\2' | sha1sum
      [
        "file_digest_mismatch",
        "data/b/c.bin",
        "sha1:ccc54cc15249df3ec90bd48997e5dcada11e8fbf",
        "sha1:0c7a623fd2bbc05b06423be359e4021d36e721ad",
      ],
      ["file_missing", "data/missing", undefined, undefined],
    ],
  );
  await unharmed();
});

test("names that some file system would confuse or refuse come back as they were", async (t) => {
  const { deposit, contents, files } = await openIngest(t);
  const long = `data/${"n".repeat(5_000)}`;
  const names = [
    "data/readme",
    "data/README",
    "data/Readme",
    "data/caf\u00e9",
    "data/cafe\u0301",
    "data/con.txt",
    "data/a:b?c*.txt",
    "data/back\\slash",
    "data/tab\tnewline\n\u0001\u007f",
    "data/ leading and trailing ",
    "data/dots...",
    "data/\u202egnp.exe",
    "data/-rf",
    "data/renamed/00000001",
    "data/漢字/🚢",
    long,
    `data/${"deep/".repeat(300)}file`,
  ];
  const given = Object.fromEntries(names.map((name, i) => [name, `content ${i}`]));
  const job = await deposit(await bundleTar(given));
  assert.equal(job.state, "succeeded", JSON.stringify(job.error));
  assert.deepEqual(await contents(job), given);
  const places = (await files(job)).map(({ contentPath }) => contentPath.normalize("NFKC").toLowerCase());
  assert.equal(new Set(places).size, names.length);
});

test("a time in the tar that no calendar holds is left out, and the file is archived", async (t) => {
  const { deposit, files } = await openIngest(t);
  const metadata = [...TRANSACTION, declared("data/a", "a", { mtime: undefined })];
  const tar = tarOf(
    paxHeader({ mtime: "9000000000000000" }),
    tarMember({ name: "data/a" }, "a"),
    tarMember({ name: "metadata.txt" }, JSON.stringify(metadata)),
  );
  const job = await deposit(tar);
  assert.deepEqual([job.state, (await files(job))[0]?.modifiedAt], ["succeeded", null]);
});

test("a bundle cut at any block fails as truncated, leaves nothing, and harms no other", async (t) => {
  const { deposit, unharmed } = await openIngest(t);
  const bundle = await bundleTar(FILES);
  for (let length = 512; length < bundle.length - 1024; length += 512) {
    const job = await deposit(bundle.subarray(0, length));
    assert.deepEqual([job.state, job.error?.code, job.tasks.at(-1)?.name], ["failed", "bundle_truncated", "open"]);
  }
  await unharmed();
  assert.equal((await deposit(bundle)).state, "succeeded");
});

test("a deposit that is repeated with its key gives the first one's job, and its bytes are read to their end", async (t) => {
  const { ingest, over, stores } = await openIngest(t);
  const bundle = await bundleTar(FILES);
  const jobs: Job[] = [];
  for (let i = 0; i < 3; i++) {
    const body = Readable.from([bundle], { objectMode: false });
    jobs.push(await ingest.receive(body, { owner: "ada", idempotencyKey: "k" }));
    assert.equal(body.readableEnded, true);
  }
  assert.equal(new Set(jobs.map(({ id }) => id)).size, 1);
  assert.equal((await over(jobs[0] as Job)).state, "succeeded");
  assert.equal((await stores.catalogue.totals()).transactions, 1);
});

test("a bundle that is refused early is read to its end, and its key keeps the refusal", async (t) => {
  const { ingest } = await openIngest(t);
  const garbage = Readable.from([Buffer.alloc(600, "x"), Buffer.alloc(70_000, "y")], { objectMode: false });
  const request = { owner: "ada", idempotencyKey: "k" };
  const job = await ingest.receive(garbage, request);
  assert.deepEqual([job.error?.code, garbage.readableEnded], ["bundle_not_tar", true]);
  const again = await ingest.receive(Readable.from([Buffer.from("z")]), request);
  assert.equal(again.id, job.id);
});

test("a body that keeps its promise is taken in, and one that does not is refused as that, not as a bad bundle", async (t) => {
  const { deposit, ingest, jobs } = await openIngest(t);
  const bundle = await bundleTar(FILES);
  const promise = (bytes: Uint8Array) => ({ sha256: createHash("sha256").update(bytes).digest("hex") });
  assert.equal((await deposit(bundle, { expected: promise(bundle) })).state, "succeeded");

  const damaged = Buffer.from(bundle);
  damaged[600] = 0x7a; // in a file's bytes
  const torn = Buffer.from(bundle);
  torn[2 * 512 + 1] = 0x7a; // in a header
  for (const bytes of [damaged, torn]) {
    const request = { owner: "ada", idempotencyKey: "k", expected: promise(bundle) };
    await assert.rejects(ingest.receive(body(bytes), request), { code: "digest_mismatch" });
    const [job] = await jobs.list({ limit: 1 });
    assert.deepEqual([job?.state, job?.error?.code], ["failed", "digest_mismatch"]);
  }
  // The key is free: what was damaged on its way may be sent again.
  const again = await deposit(bundle, { idempotencyKey: "k", expected: promise(bundle) });
  assert.equal(again.state, "succeeded");
  // A bad bundle that arrived as it was sent is a bad bundle.
  assert.equal((await deposit(torn, { expected: promise(torn) })).error?.code, "bundle_header_corrupt");
});

test("an upload that breaks off fails its job and leaves its key free", async (t) => {
  const { ingest, jobs, deposit, unharmed } = await openIngest(t);
  const bundle = await bundleTar({ "data/big": Buffer.alloc(3_000_000, 7) });
  const gone = new Error("read ECONNRESET");
  for (const left of [0, 700, 2_000_000]) {
    async function* breaking() {
      yield bundle.subarray(0, left);
      throw gone;
    }
    const request = { owner: "ada", idempotencyKey: "k" };
    await assert.rejects(ingest.receive(Readable.from(breaking(), { objectMode: false }), request), {
      code: "upload_interrupted",
    });
    const [job] = await jobs.list({ limit: 1 });
    assert.deepEqual([job?.state, job?.error?.code], ["failed", "upload_interrupted"]);
    await assert.rejects(jobs.retry(job?.id as never, "ada"), { code: "job_state_conflict" });
  }
  const broken = Readable.from([]).destroy();
  await assert.rejects(ingest.receive(broken, { owner: "ada" }), { code: "upload_interrupted" });
  await unharmed();
  assert.equal((await deposit(bundle, { idempotencyKey: "k" })).state, "succeeded");
});

test("an upload is cancelled while its sender is silent, and nothing of it is left", async (t) => {
  const { ingest, jobs, unharmed } = await openIngest(t);
  const bundle = await bundleTar(FILES);
  const source = new PassThrough();
  const receiving = ingest.receive(source, { owner: "ada" });
  source.write(bundle.subarray(0, 700));
  let found: Job | undefined;
  await until("the job is there", async () => {
    [found] = await jobs.list({ states: ["running"], limit: 1 });
    return found?.tasks.length === 1;
  });
  assert.equal((await jobs.cancel(found?.id as never, "ada")).cancelRequested, true);
  const job = await receiving;
  assert.deepEqual([job.state, job.error?.code, source.destroyed], ["cancelled", "job_cancelled", true]);
  await unharmed();
});

test("many bundles at once, good and bad, each get what they deserve", async (t) => {
  const { deposit, contents } = await openIngest(t);
  const outcomes = await Promise.all(
    Array.from({ length: 24 }, async (_, i) => {
      const files = { ...FILES, [`data/own-${i}`]: `own ${i}` };
      const good = await bundleTar(files);
      if (i % 3 === 1) return (await deposit(good.subarray(0, 1100))).error?.code;
      if (i % 3 === 2) return (await deposit(await bundleTar(files, { metadataText: "[" }))).error?.code;
      const job = await deposit(good);
      assert.deepEqual(await contents(job), files);
      return job.state;
    }),
  );
  const expected = ["succeeded", "bundle_truncated", "metadata_not_json"];
  assert.deepEqual(
    outcomes,
    outcomes.map((_, i) => expected[i % 3]),
  );
});

/** A bundle as an upload in pieces leaves it: complete, in the spool. */
async function spooled({ uploads }: IngestFixture, id: string, bundle: Uint8Array): Promise<void> {
  await uploads.create({ id, owner: "ada", sizeBytes: bundle.length, metadata: {} });
  await uploads.append(id, 0, body(bundle));
  await uploads.seal(id);
}

test("a spooled upload is ingested once, and its bytes are removed when that is over", async (t) => {
  const fixture = await openIngest(t);
  const { ingest, over, contents, uploads } = fixture;
  const id = "0".repeat(32);
  await spooled(fixture, id, await bundleTar(FILES));
  const first = await ingest.receiveSpooled(id, { owner: "ada", sizeBytes: 5_000 });
  const second = await ingest.receiveSpooled(id, { owner: "ada" });
  assert.equal(second.id, first.id);
  const job = await over(first);
  assert.deepEqual([job.state, await contents(job)], ["succeeded", FILES]);
  assert.equal(await uploads.has(id), false);
});

test("a spooled upload that is refused is removed, and one that the archive failed is kept for a retry", async (t) => {
  let failing = false;
  const fixture = await openIngest(t, {
    wrap: (storage) => ({
      ...storage,
      stage: async (prefix) => {
        if (failing) throw new Error("a defect");
        return storage.stage(prefix);
      },
    }),
  });
  const { ingest, over, jobs, uploads, takeTroubles } = fixture;
  const bad = "1".repeat(32);
  await spooled(fixture, bad, await bundleTar(FILES, { metadataText: "{}" }));
  assert.equal((await over(await ingest.receiveSpooled(bad, { owner: "ada" }))).error?.code, "metadata_invalid");
  await until("its bytes are gone", async () => !(await uploads.has(bad)));

  failing = true;
  const good = "2".repeat(32);
  await spooled(fixture, good, await bundleTar(FILES));
  const failed = await over(await ingest.receiveSpooled(good, { owner: "ada" }));
  assert.deepEqual([failed.error?.code, await uploads.has(good)], ["internal", true]);
  assert.equal(takeTroubles().length, 1);
  failing = false;
  await jobs.retry(failed.id, "ada");
  assert.equal((await over(failed)).state, "succeeded");
});

for (const [what, end] of [
  ["cancelled", async ({ jobs }: IngestFixture, job: Job) => void (await jobs.cancel(job.id, "ada"))],
  ["given back by a worker that stops", async ({ worker }: IngestFixture) => void worker.stop()],
] as const)
  test(`an ingest that reads a spooled upload stops in the middle of it when it is ${what}`, async (t) => {
    const gate = Promise.withResolvers<void>();
    let written = 0;
    const fixture = await openIngest(t, {
      wrap: (storage) => ({
        ...storage,
        async stage(prefix) {
          const tree = await storage.stage(prefix);
          const writer = (algorithms: readonly DigestName[]) => {
            const real = tree.writer(algorithms);
            const write = (chunk: Uint8Array) => {
              written += chunk.length;
              return Promise.resolve(real.write(chunk)).then(() => gate.promise);
            };
            return { ...real, write };
          };
          return { ...tree, writer };
        },
      }),
    });
    const { ingest, jobs, over, uploads, contents, startWorker } = fixture;
    const files = { "data/big": "x".repeat(5_000_000) };
    const id = "3".repeat(32);
    await spooled(fixture, id, await bundleTar(files));
    const job = await ingest.receiveSpooled(id, { owner: "ada" });
    await until("it is being read", () => written > 0);
    await end(fixture, job);
    gate.resolve();
    if (what === "cancelled") {
      assert.equal((await over(job)).state, "cancelled");
      await until("the upload is gone", async () => !(await uploads.has(id)));
      assert.ok(written < 3_000_000, `${written} bytes`);
      return;
    }
    await until("it is back in the queue", async () => (await jobs.get(job.id)).state === "queued");
    assert.ok(written < 3_000_000, `${written} bytes`);
    const next = startWorker({ jobEnded() {}, trouble: (error) => assert.fail(String(error)) });
    const done = await over(job);
    await next.stop();
    assert.deepEqual([done.state, done.attempts, await contents(done)], ["succeeded", 1, files]);
  });

test("a job whose object is published when the database fails cannot be cancelled, and is finished by a retry", async (t) => {
  const fixture = await openIngest(t);
  const { ingest, jobs, worker, over, contents, stores } = fixture;
  await worker.stop();
  const job = await ingest.receive(body(await bundleTar(FILES)), { owner: "ada" });
  // A worker whose catalogue does not answer.
  const catalogue = { ...stores.catalogue, add: () => Promise.reject(new AppError("database_unavailable")) };
  const services = await fixture.composedWith({ ...stores, catalogue });
  const failing = services.startWorker({ jobEnded: () => {}, trouble: () => assert.fail("no defect") });
  await until("it waits for the database", async () => (await jobs.get(job.id)).error !== null);
  await failing.stop();
  assert.equal((await jobs.get(job.id)).state, "queued");
  await assert.rejects(jobs.cancel(job.id, "ada"), { code: "job_state_conflict" });

  await jobs.setState(job.id, "failed", "opal", "the database was away for too long");
  await jobs.retry(job.id, "opal");
  const working = fixture.startWorker({ jobEnded: () => {}, trouble: () => assert.fail("no defect") });
  const done = await over(job);
  await working.stop();
  assert.deepEqual([done.state, await contents(done)], ["succeeded", FILES]);
});

const body = (bytes: Uint8Array) => Readable.from([bytes], { objectMode: false });
