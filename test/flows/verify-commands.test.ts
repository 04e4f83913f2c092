import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type CliResult, runCli, startCli } from "../cli/run-cli.ts";
import { bundle } from "../http/bundle.ts";
import { type TestArchive, testArchive } from "../support/archive.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const OBJECTS = 6;
const BIG_BYTES = 300_000;
/** One object a second. */
const THROTTLE = `${BIG_BYTES}B/s`;

describe("longshore verify", () => {
  let original: TestArchive;
  before(async () => {
    original = await testArchive();
    for (let n = 1; n <= OBJECTS; n++)
      await original.deposit({ "a.txt": `${n}\n`, "big.bin": Buffer.alloc(BIG_BYTES, n) });
  });
  after(() => original.close());

  const env = (lab: TestArchive) => ({ LONGSHORE_DATA_DIR: lab.dataDir });
  const verify = (lab: TestArchive, ...args: readonly string[]) => runCli(["verify", ...args], { env: env(lab) });
  const lines = ({ stdout }: CliResult) =>
    stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  const journal = (lab: TestArchive) => join(lab.dataDir, "verify.json");
  /** The object that is checked first. */
  const first = (lab: TestArchive) =>
    Array.from({ length: OBJECTS }, (_, i) => i + 1).reduce((a, b) => (lab.nameOf(a) < lab.nameOf(b) ? a : b));

  test("ends with 0 and a summary when all is well", async () => {
    const { code, stdout } = await verify(original);
    assert.equal(code, 0);
    assert.match(stdout, /^verified {2}6 objects, 12 files, 1\.7 MiB in .* s: no discrepancy\n$/);
    assert.ok(!existsSync(journal(original)));
  });

  test("ends with 5 and every discrepancy when something is wrong", async () => {
    const lab = await original.copy();
    for (const n of [2, 5]) writeFileSync(lab.fileOf(n, "v1/content/data/a.txt"), "?\n");
    const { code, stdout, stderr } = await verify(lab);
    assert.equal(code, 5);
    for (const n of [2, 5])
      assert.match(
        stdout,
        new RegExp(`^problem .*path: ${lab.nameOf(n, "v1/content/data/a.txt")}; expected: sha512`, "m"),
      );
    assert.match(stdout, /: 2 problems\n$/);
    assert.match(stderr, /error\[verify_failed\]/);
  });

  test("prints a line of JSON for each problem and one for the sum", async () => {
    const lab = await original.copy();
    rmSync(lab.fileOf(3, "v1/content/data/a.txt"));
    const [problem, { tookMs, ...summary }] = lines(await verify(lab, "--json"));
    assert.deepEqual(
      [problem.type, problem.code, problem.path],
      ["problem", "object_missing", lab.nameOf(3, "v1/content/data/a.txt")],
    );
    assert.ok(tookMs >= 0);
    assert.deepEqual(summary, {
      type: "summary",
      objects: OBJECTS,
      files: 2 * OBJECTS,
      bytes: OBJECTS * (BIG_BYTES + 2),
      problems: 1,
    });
  });

  test("looks at the transactions it is told, quickly if it is told that", async () => {
    const lab = await original.copy();
    writeFileSync(lab.fileOf(2, "v1/content/data/a.txt"), "?\n");
    assert.equal((await verify(lab, "1", "3")).code, 0);
    assert.equal((await verify(lab, "1", "2")).code, 5);
    assert.equal((await verify(lab, "2", "--quick")).code, 0);
    const unknown = await verify(lab, "99");
    assert.equal(unknown.code, 5);
    assert.match(unknown.stdout, /the object of transactions\/99/);
  });

  test("refuses what it cannot understand", async () => {
    for (const args of [
      ["x"],
      ["0"],
      ["--throttle", "fast"],
      ["--throttle", "0"],
      ["--parallel", "0"],
      ["1", "--resume"],
    ])
      assert.equal((await verify(original, ...args)).code, 2, args.join(" "));
  });

  test("interrupted, says how to continue, and continues behind what it has checked", async () => {
    const lab = await original.copy();
    const bad = lab.fileOf(first(lab), "v1/content/data/a.txt");
    const good = readFileSync(bad);
    writeFileSync(bad, "?\n");
    const { child, result } = startCli(["verify", "--throttle", THROTTLE, "--parallel", "1"], { env: env(lab) });
    let stdout = "";
    child.stdout?.on("data", (text) => {
      stdout += text;
    });
    await until("the first object's problem is shown", () => stdout.includes("problem"));
    child.kill("SIGINT");
    const interrupted = await result;
    assert.equal(interrupted.code, 130);
    assert.match(interrupted.stderr, /To continue: longshore verify --resume/);
    writeFileSync(bad, good);

    assert.equal((await verify(lab, "--resume", "--quick")).code, 2, "it was another kind of verification");
    const resumed = await verify(lab, "--resume", "--json");
    const [problem, summary] = lines(resumed);
    assert.equal(problem.code, "digest_mismatch", "what was found before is not forgotten");
    assert.deepEqual([summary.objects, summary.problems, resumed.code], [OBJECTS, 1, 5]);
    assert.ok(!existsSync(journal(lab)));
    const anew = await verify(lab, "--resume");
    assert.match(anew.stderr, /Nothing was interrupted/);
    assert.equal(anew.code, 0);
  });

  test("killed, continues with what it had saved", async () => {
    const lab = await original.copy();
    const bad = lab.fileOf(first(lab), "v1/content/data/a.txt");
    const good = readFileSync(bad);
    writeFileSync(bad, "?\n");
    const { child, result } = startCli(["verify", "--throttle", THROTTLE, "--parallel", "1"], { env: env(lab) });
    await until("its progress is saved", () => existsSync(journal(lab)));
    child.kill("SIGKILL");
    await result;
    writeFileSync(bad, good);
    const summary = lines(await verify(lab, "--resume", "--json")).at(-1);
    assert.deepEqual([summary.objects, summary.files, summary.problems], [OBJECTS, 2 * OBJECTS, 1]);
  });

  test("runs beside a server that takes deposits in", async (t) => {
    const lab = await original.copy();
    await lab.stores.close();
    const server = await startServer({ dataDir: lab.dataDir });
    t.after(() => server.end("SIGTERM"));
    const deposits = Array.from({ length: 10 }, (_, n) =>
      fetch(`${server.url}/api/v1/bundles`, {
        method: "POST",
        headers: { "content-type": "application/x-tar" },
        body: bundle({ [`${n}.txt`]: `${n}\n` }),
      }),
    );
    for (let round = 0; round < 3; round++) assert.equal((await verify(lab)).code, 0);
    for (const response of await Promise.all(deposits)) assert.equal(response.status, 202);
  });
});

describe("longshore rebuild", () => {
  const rebuild = (lab: TestArchive, ...args: readonly string[]) =>
    runCli(["rebuild", ...args], { env: { LONGSHORE_DATA_DIR: lab.dataDir } });

  test("brings a lost database back; clients find their jobs and files", async (t) => {
    const lab = await testArchive();
    t.after(() => lab.close());
    for (const n of [1, 2]) await lab.deposit({ "a.txt": `${n}\n` });
    await lab.stores.close();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(lab.database + suffix, { force: true });

    const dry = await rebuild(lab, "--dry-run");
    assert.deepEqual([dry.code, /2 added\n$/.test(dry.stdout)], [0, true]);
    const done = await rebuild(lab);
    assert.equal(done.code, 0);
    assert.match(done.stdout, /^added {7}transaction 1$/m);
    assert.match(done.stdout, /^rebuilt {2}2 objects, 2 files, 4 B in .*: 2 added$/m);
    const again = await rebuild(lab, "--json");
    const { tookMs, ...summary } = JSON.parse(again.stdout.trim().split("\n").at(-1) ?? "");
    assert.deepEqual(summary, { type: "summary", dryRun: false, known: 2, files: 2, bytes: 4 });
    assert.ok(tookMs >= 0);

    const server = await startServer({ dataDir: lab.dataDir });
    try {
      const answer = await fetch(`${server.url}/doors/pacifica-ingest/get_state?job_id=2`);
      const state = (await answer.json()) as Record<string, unknown>;
      assert.deepEqual([state.state, state.task_percent, state.task], ["OK", "100", "ingest metadata"]);
      assert.equal(await (await fetch(`${server.url}/api/v1/files/2/content`)).text(), "2\n");

      const refused = await rebuild(lab);
      assert.equal(refused.code, 4);
      assert.match(refused.stderr, /error\[database_in_use\].*stop servers/);
      assert.equal((await rebuild(lab, "--dry-run")).code, 0, "looking is always allowed");
    } finally {
      await server.end("SIGTERM");
    }
  });

  test("says that a damaged database is one, and starts from nothing when that is moved away", async (t) => {
    const lab = await testArchive();
    t.after(() => lab.close());
    await lab.deposit({ "a.txt": "a\n" });
    await lab.stores.close();
    for (const suffix of ["-wal", "-shm"]) rmSync(lab.database + suffix, { force: true });
    writeFileSync(lab.database, readFileSync(lab.database).fill(0x55, 0, 4096));
    const damaged = await rebuild(lab);
    assert.equal(damaged.code, 5);
    assert.match(damaged.stderr, /error\[database_damaged\]/);
    rmSync(lab.database);
    assert.equal((await rebuild(lab)).code, 0);
  });

  test("ends with 5 and the reason when an object cannot be relied on", async (t) => {
    const lab = await testArchive();
    t.after(() => lab.close());
    for (const n of [1, 2]) await lab.deposit({ "a.txt": `${n}\n` });
    await lab.stores.close();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(lab.database + suffix, { force: true });
    rmSync(lab.fileOf(1, "inventory.json"));
    const { code, stdout, stderr } = await rebuild(lab);
    assert.equal(code, 5);
    assert.match(
      stdout,
      new RegExp(`^unreadable {2}${lab.nameOf(1)}\n +The archive has no such .*inventory.json`, "m"),
    );
    assert.match(stdout, /^added {7}transaction 2$/m);
    assert.match(stderr, /error\[rebuild_incomplete\].*objects: 1/);
  });
});
