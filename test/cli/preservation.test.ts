import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { objectPath } from "../../src/core/archive/ocfl.ts";
import { transactionId } from "../../src/core/ids.ts";
import { type Longshore, longshore } from "../../src/sdk/index.ts";
import { bundleBlob } from "../sdk/deposit.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { runCli } from "./run-cli.ts";

describe("longshore fixity, events and audit", () => {
  let server: ServerProcess;
  let client: Longshore;
  let stateDir: string;
  let good: number;
  let bad: number;
  before(async () => {
    server = await startServer();
    stateDir = await mkdtemp(join(tmpdir(), "longshore-state-"));
    client = longshore({ url: server.url });
    const deposit = async (text: string) => {
      const tar = await bundleBlob({ "a.txt": text, "deep/b & <c>.txt": "b" }, []);
      return (await client.jobs.wait((await client.bundles.deposit(tar)).id)).id;
    };
    good = await deposit("one");
    bad = await deposit("two");
  });
  after(async () => {
    await server.stop();
    await rm(stateDir, { recursive: true });
  });

  const cli = (...args: (string | number)[]) =>
    runCli(args.map(String), { env: { LONGSHORE_URL: server.url, XDG_STATE_HOME: stateDir } });
  const lines = (text: string) =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  /** As somebody with a hand on the database, while the server runs. */
  const edit = (sql: string) => {
    const hand = new DatabaseSync(join(server.dataDir, "longshore.sqlite"));
    hand.exec("pragma busy_timeout = 5000");
    hand.exec(sql);
    hand.close();
  };

  test("a run that finds everything sound says so, and the coverage is whole", async () => {
    assert.match((await cli("fixity", "status")).stdout, /covered +0\.0 % of 2 transactions within 90 days/);
    const run = await cli("fixity", "run", "--bytes", "1GiB", "--minutes", 5);
    assert.deepEqual([run.code, run.stdout], [0, "sound  2 transactions, 8 B: everything is checked\n"], run.stderr);
    const status = JSON.parse((await cli("fixity", "status", "--json")).stdout);
    assert.deepEqual([status.share, status.transactions, status.neverChecked], [1, 2, 0]);
    assert.match((await cli("fixity", "show", good)).stdout, /outcome +success/);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    assert.match(metrics, /^longshore_fixity_coverage_ratio 1$/m);
    assert.match(metrics, /^longshore_fixity_transactions\{state="sound"\} 2$/m);
  });

  test("a run that finds something changed fails, names it, and lists it", async () => {
    const path = join(server.dataDir, "archive", objectPath(transactionId(bad)), "v1/content/data/a.txt");
    await writeFile(path, "TWO");
    const run = await cli("fixity", "run", "--days", 1, "--throttle", "50MiB");
    assert.equal(run.code, 5);
    assert.match(run.stderr, /error\[fixity_failed\]/);
    assert.match(run.stderr, /data\/a\.txt/);
    const failed = lines((await cli("fixity", "list", "--failed", "--json")).stdout);
    assert.deepEqual(
      failed.map(({ id, problemCount }) => [id, problemCount]),
      [[bad, 1]],
    );
    assert.match((await cli("fixity", "list")).stdout, new RegExp(`${good} +success.*\\n.*${bad} +failure`));
    const { stdout } = await cli("fixity", "show", bad);
    assert.match(stdout, /outcome +failure[\s\S]*data\/a\.txt/);
  });

  test("a run can be left to itself, and what is no amount is refused", async () => {
    const { stdout } = await cli("fixity", "run", "--no-wait", "--json");
    const job = await client.jobs.wait(JSON.parse(stdout).job);
    assert.equal(job.kind, "fixity");
    assert.equal((await cli("fixity", "run", "--bytes", "much")).code, 2);
    await assert.rejects(client.fixity.run({ minutes: 0 }), { code: "request_invalid" });
  });

  test("a transaction's events tell what has happened to it, by whom and with what", async () => {
    const events = lines((await cli("events", bad, "--json")).stdout);
    assert.deepEqual(
      events.slice(0, 4).map(({ type, outcome, actor }) => [type, outcome, actor]),
      [
        ["message digest calculation", "success", "local"],
        ["ingestion", "success", "local"],
        ["fixity check", "success", "local"],
        ["fixity check", "failure", "local"],
      ],
    );
    assert.deepEqual(events[0].details, { algorithms: ["sha1", "sha512"], files: 2 });
    assert.ok(events.every(({ software }) => /^Longshore\/\d/.test(software)));
    assert.match((await cli("events", good)).stdout, /AT +TYPE +OUTCOME.*\n.*message digest calculation/);
  });

  test("what something else has done can be noted, and is an event like the others", async () => {
    const note = ["--type", "replication", "--software", "ltfs/2.4", "--note", "copied to tape <A00123L8>"];
    assert.equal((await cli("events", good, ...note)).code, 0);
    assert.equal((await cli("events", good, "--note", "half")).code, 2);
    const [last] = lines((await cli("events", good, "--json")).stdout).slice(-1);
    assert.deepEqual(
      [last.type, last.software, last.details],
      ["replication", "ltfs/2.4", { note: "copied to tape <A00123L8>" }],
    );
    const wrong = { type: "replication", software: "no version", note: "x" } as const;
    await assert.rejects(client.events.record(good, wrong), { code: "request_invalid" });
    await assert.rejects(client.events.record(999, { ...wrong, software: "a/1" }), { code: "transaction_unknown" });
    await assert.rejects(client.events.list(999).page(), { code: "transaction_unknown" });
  });

  test("a transaction is exported as PREMIS 3, with its files, events and agents", async () => {
    const { stdout, code } = await cli("events", good, "--premis");
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^<\?xml version="1\.0" encoding="UTF-8"\?>\n<premis xmlns="http:\/\/www\.loc\.gov\/premis\/v3" /,
    );
    assert.match(stdout, /<originalName>data\/deep\/b &amp; &lt;c&gt;\.txt<\/originalName>/);
    assert.match(stdout, /<eventType [^>]*>replication<\/eventType>/);
    assert.match(stdout, /<agentName>ltfs<\/agentName>\s*<agentType>software<\/agentType>\s*<agentVersion>2\.4</);
    assert.match(stdout, /<\/premis>\n$/);
  });

  test("the log is listed by what it is about", async () => {
    const entries = lines((await cli("audit", "list", "--json", "--target", `transaction/${good}`)).stdout);
    assert.ok(entries.length >= 4);
    assert.ok(entries.every(({ target }) => target === `transaction/${good}`));
    assert.match(
      (await cli("audit", "list", "--action", "fixity.start", "--limit", 1)).stdout,
      /^ +\d+ {2}.*fixity\.start/,
    );
  });

  test("verify notes the head, and finds it again", async () => {
    const first = await cli("audit", "verify");
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /no head yet/);
    const seq = Number(/head +(\d+):[0-9a-f]{64}/.exec(first.stdout)?.[1]);
    assert.match((await cli("audit", "verify")).stdout, new RegExp(`noted +${seq}, and still there`));
    const zeros = await cli("audit", "verify", "--head", `${seq}:${"0".repeat(64)}`);
    assert.equal(zeros.code, 5);
    assert.match(zeros.stderr, /error\[audit_broken\].*cut off or written anew/);
    assert.equal((await cli("audit", "verify", "--head", "1")).code, 2);
    assert.equal((await fetch(`${server.url}/api/v1/audit/verification?seq=1`)).status, 400);
  });

  test("verify finds a row that was changed in the database, and one that was put back is forgiven", async () => {
    edit("update audit set actor = 'eve' where seq = 2");
    const { code, stderr } = await cli("audit", "verify");
    assert.equal(code, 5);
    assert.match(stderr, /error\[audit_broken\].*entry 2 is not in order/);
    edit("update audit set actor = 'local' where seq = 2");
    assert.equal((await cli("audit", "verify")).code, 0);
  });

  test("verify finds that the end was cut off, though what is left is in order", async () => {
    edit("delete from audit where seq = (select max(seq) from audit)");
    const { code, stderr } = await cli("audit", "verify");
    assert.equal(code, 5);
    assert.match(stderr, /error\[audit_broken\].*cut off/);
    assert.equal((await client.audit.verify()).brokenAt, null, "without the noted head nothing can be seen");
  });
});
