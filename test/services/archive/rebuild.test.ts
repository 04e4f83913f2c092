import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import { type RebuildOptions, type Rebuilt, rebuildCatalogue } from "../../../src/core/archive/rebuild.ts";
import { jobId, transactionId } from "../../../src/core/ids.ts";
import { sum } from "../../http/bundle.ts";
import { edit, reseal, type TestArchive, testArchive } from "../../support/archive.ts";

/** More than the catalogue writes in one statement. */
const MANY = 600;

describe("rebuild", () => {
  let original: TestArchive;

  before(async () => {
    original = await testArchive();
    const deposits = [
      { "a.txt": "hello\n", "sub/ä ö.txt": "other\n", ".hidden": "renamed\n" },
      Object.fromEntries(Array.from({ length: MANY }, (_, i) => [`many/${i}.txt`, `${i}\n`])),
      { "same.txt": "hello\n" },
    ];
    for (const files of deposits) assert.equal((await original.deposit(files)).state, "succeeded");
  });
  after(() => original.close());

  async function rebuild(lab: TestArchive, options: Partial<RebuildOptions> = {}): Promise<readonly Rebuilt[]> {
    const { archive, stores } = lab;
    const { catalogue, jobs, sequences } = stores;
    const signal = new AbortController().signal;
    const parts = { archive, catalogue, jobs, sequences, clock: systemClock, software: "Longshore/0.0.0-test" };
    return Array.fromAsync(rebuildCatalogue(parts, { dryRun: false, signal, ...options }));
  }
  const outcomes = (done: readonly Rebuilt[]) =>
    Object.fromEntries(done.map(({ transactionId: id, path, outcome }) => [id ?? path, outcome]));
  const all = (outcome: string) => ({ 1: outcome, 2: outcome, 3: outcome });

  /** What the database says of the archive, straight from its tables. */
  function dump({ database }: TestArchive): unknown {
    const file = new DatabaseSync(database, { readOnly: true });
    const rows = (sql: string) => file.prepare(sql).all();
    const tables = {
      transactions: rows("select * from transactions order by id"),
      files: rows("select * from files order by id"),
      keyValues: rows("select transaction_id, file_id, key, value from key_values order by transaction_id, id"),
      sequences: rows("select * from sequences order by name"),
      jobs: rows("select id, kind, lane, state, owner, result, created_at, error from jobs order by id"),
    };
    file.close();
    return tables;
  }

  test("fills an empty database with exactly what was in the lost one", async () => {
    const lab = await original.copy("with an empty database");
    assert.deepEqual(outcomes(await rebuild(lab)), all("added"));
    assert.deepEqual(dump(lab), dump(original));
    assert.deepEqual((await lab.verify()).problems, []);
  });

  test("changes nothing the second time", async () => {
    const lab = await original.copy("with an empty database");
    await rebuild(lab);
    const before = dump(lab);
    assert.deepEqual(outcomes(await rebuild(lab)), all("known"));
    assert.deepEqual(dump(lab), before);
  });

  test("only looks when it runs dry", async () => {
    const lab = await original.copy("with an empty database");
    const before = dump(lab);
    assert.deepEqual(outcomes(await rebuild(lab, { dryRun: true })), all("added"));
    assert.deepEqual(dump(lab), before);
  });

  test("leaves the ids behind it free of what the archive has used", async () => {
    const lab = await original.copy("with an empty database");
    await lab.archive.stage(transactionId(5)); // left by a process that died with the database
    await rebuild(lab);
    const next = await lab.deposit({ "next.txt": "next\n" });
    assert.deepEqual([next.id, next.state], [6, "succeeded"]);
    const [file] = await lab.stores.catalogue.listFiles(transactionId(6), { limit: 1 });
    assert.equal(file?.id, 3 + MANY + 1 + 1);
  });

  test("gives clients the jobs that deposited, finished at the time of deposit", async () => {
    const lab = await original.copy("with an empty database");
    await rebuild(lab);
    const [job, lost] = [await lab.stores.jobs.get(jobId(1)), await original.stores.jobs.get(jobId(1))];
    assert.deepEqual(job?.result, lost?.result);
    assert.deepEqual([job?.createdAt, job?.finishedAt, job?.fedUntil], [lost?.createdAt, lost?.createdAt, null]);
    const events = await lab.stores.jobs.events(jobId(1), 0, 10);
    assert.deepEqual(
      events.map(({ type, data }) => [type, data.state ?? data.text]),
      [
        ["state", "running"],
        ["note", "restored from the archive"],
        ["state", "succeeded"],
      ],
    );
  });

  test("adds what is missing, corrects what differs and leaves the rest alone", async () => {
    const lab = await original.copy();
    await lab.stores.catalogue.forget(transactionId(1));
    const database = new DatabaseSync(lab.database);
    database.exec("update files set size_bytes = 1 where transaction_id = 2 and id % 100 = 0");
    database.exec("update jobs set state = 'failed' where id = 3");
    database.close();
    assert.deepEqual(outcomes(await rebuild(lab)), { 1: "added", 2: "corrected", 3: "known" });
    assert.deepEqual(dump(lab), dump(original));
  });

  test("leaves a transaction to the job that is still at work on it", async () => {
    const lab = await original.copy();
    await lab.stores.catalogue.forget(transactionId(3));
    await lab.stores.jobs.update(jobId(3), ["succeeded"], { state: "running" }, 1);
    assert.deepEqual(outcomes(await rebuild(lab)), { 1: "known", 2: "known", 3: "under way" });
    assert.equal(await lab.stores.catalogue.transaction(transactionId(3)), undefined);
  });

  test("says which objects it cannot rely on, and goes on", async () => {
    const lab = await original.copy("with an empty database");
    writeFileSync(lab.fileOf(1, "v1/content/data/a.txt"), "payload is not its business");
    edit(lab.fileOf(2, "inventory.json"), (text) => text.replace('"ada"', '"eve"'));
    edit(lab.fileOf(3, "v1/content/transaction.jsonl"), (text) => text.replace('"ada"', '"eve"'));
    const done = await rebuild(lab);
    assert.deepEqual(outcomes(done), { 1: "added", [lab.nameOf(2)]: "unreadable", [lab.nameOf(3)]: "unreadable" });
    const problems = done.flatMap((one) => one.problems.map(({ code, path }) => [code, path]));
    assert.deepEqual(problems.sort(), [
      ["digest_mismatch", lab.nameOf(3, "v1/content/transaction.jsonl")],
      ["object_corrupt", lab.nameOf(2, "inventory.json")],
    ]);
    assert.deepEqual(await lab.stores.catalogue.totals(), { transactions: 1, files: 3, bytes: 20 });
  });

  test("does not give two transactions the same file", async () => {
    const lab = await original.copy("with an empty database");
    edit(lab.fileOf(3, "v1/content/transaction.jsonl"), (text) => text.replace(`"id":${3 + MANY + 1}`, '"id":2'));
    const digest = (one: TestArchive) => sum("sha512sum", one.fileOf(3, "v1/content/transaction.jsonl"));
    edit(lab.fileOf(3, "inventory.json"), (text) => text.replaceAll(digest(original), digest(lab)));
    reseal(lab.fileOf(3));
    const done = outcomes(await rebuild(lab));
    // Whichever comes first has the id.
    assert.deepEqual([done[1], done[2], done[3]].sort(), ["added", "added", "refused"]);
  });

  test("interrupted, is completed by running it again", async () => {
    const lab = await original.copy("with an empty database");
    const abort = new AbortController();
    const { archive, stores } = lab;
    const parts = {
      archive,
      catalogue: stores.catalogue,
      jobs: stores.jobs,
      sequences: stores.sequences,
      clock: systemClock,
      software: "Longshore/0.0.0-test",
    };
    let done = 0;
    await assert.rejects(async () => {
      for await (const _ of rebuildCatalogue(parts, { dryRun: false, signal: abort.signal }))
        if (++done === 2) abort.abort(new Error("enough"));
    }, /enough/);
    assert.equal(Object.values(outcomes(await rebuild(lab))).filter((outcome) => outcome === "added").length, 1);
    assert.deepEqual(dump(lab), dump(original));
  });

  test("reports what it lacks to verify, and is happy with an empty archive", async () => {
    const lab = await original.copy();
    rmSync(lab.fileOf(1), { recursive: true });
    assert.deepEqual(outcomes(await rebuild(lab)), { 2: "known", 3: "known" });
    assert.ok(await lab.stores.catalogue.transaction(transactionId(1)), "what only the database knows stays there");
    const empty = await testArchive();
    assert.deepEqual(await rebuild(empty), []);
    await empty.close();
  });
});
