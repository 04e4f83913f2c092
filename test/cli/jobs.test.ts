import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Longshore, longshore } from "../../src/sdk/index.ts";
import { bundleBlob } from "../sdk/deposit.ts";
import { type ServerProcess, startServer, withoutSettings } from "../support/server.ts";
import { runCli } from "./run-cli.ts";

describe("longshore jobs and transactions", () => {
  let server: ServerProcess;
  let client: Longshore;
  let good: number;
  let bad: number;
  before(async () => {
    server = await startServer();
    client = longshore({ url: server.url });
    const tar = await bundleBlob(Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`f${n}.txt`, `file ${n}`])), [
      { destinationTable: "Transactions.project", value: "1234a" },
      { destinationTable: "TransactionKeyValue", key: "site", value: "north" },
    ]);
    good = (await client.jobs.wait((await client.bundles.deposit(tar)).id)).id;
    bad = (await client.jobs.wait((await client.bundles.deposit(new Blob(["garbage".repeat(200)]))).id)).id;
  });
  after(() => server.stop());

  const cli = (...args: (string | number)[]) => runCli(args.map(String), { env: { LONGSHORE_URL: server.url } });
  const lines = (text: string) =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));

  test("list shows the newest first, and --json one job a line", async () => {
    const plain = await cli("jobs", "list");
    assert.equal(plain.code, 0);
    assert.match(plain.stdout, /^ *ID +KIND +STATE .*\n.*failed.*bundle_not_tar\n.*succeeded/);
    const all = lines((await cli("jobs", "list", "--json")).stdout);
    assert.deepEqual(
      all.map(({ id }) => id),
      [bad, good],
    );
    const failed = lines(
      (await cli("jobs", "list", "--json", "--state", "failed", "--kind", "ingest", "--owner", "local")).stdout,
    );
    assert.deepEqual(
      failed.map(({ id }) => id),
      [bad],
    );
    assert.equal(lines((await cli("jobs", "list", "--json", "--limit", 1)).stdout).length, 1);
  });

  test("show tells everything of one job, in words or as JSON", async () => {
    const { stdout } = await cli("jobs", "show", good);
    assert.match(stdout, new RegExp(`^Job ${good}: ingest, succeeded$`, "m"));
    assert.match(stdout, /done +files +50 files/);
    assert.match(stdout, /transaction +\d+/);
    assert.match((await cli("jobs", "show", bad)).stdout, /error\[bundle_not_tar\]/);
    assert.deepEqual(JSON.parse((await cli("jobs", "show", good, "--json")).stdout), await client.jobs.get(good));
  });

  test("watch ends with the job, and its exit code says how", async () => {
    const succeeded = await cli("jobs", "watch", good);
    assert.equal(succeeded.code, 0);
    assert.match(succeeded.stdout, /^inventory +[0-9a-f]{128}$/m);
    assert.match(succeeded.stderr, /done +catalogue/);
    const failed = await cli("jobs", "watch", bad);
    assert.equal(failed.code, 5);
    assert.match(failed.stderr, /error\[bundle_not_tar\]/);
    const news = lines((await cli("jobs", "watch", good, "--json")).stdout);
    assert.deepEqual(
      news.filter(({ type }) => type === "task").map(({ data }) => data.name),
      ["receive", "metadata", "policy", "files", "catalogue"],
    );
    assert.equal(news.at(-1).job.state, "succeeded");
  });

  test("a job in the wrong state is neither cancelled nor retried, and says so", async () => {
    for (const [verb, id] of [
      ["cancel", good],
      ["retry", good],
    ] as const) {
      const { code, stderr } = await cli("jobs", verb, id);
      assert.equal(code, 4, verb);
      assert.match(stderr, /error\[job_state_conflict\]/);
    }
  });

  test("an operator sets a state with a reason, which the history keeps", async () => {
    assert.equal((await cli("jobs", "set", bad, "cancelled")).code, 2, "without a reason");
    const { stdout } = await cli("jobs", "set", bad, "cancelled", "--reason", "sent by mistake", "--json");
    assert.equal(JSON.parse(stdout).state, "cancelled");
    const news = lines((await cli("jobs", "watch", bad, "--json")).stdout);
    assert.ok(news.some(({ type, data }) => type === "note" && data.text === "sent by mistake"));
    const cancelled = await cli("jobs", "watch", bad);
    assert.equal(cancelled.code, 8);
    assert.match(cancelled.stderr, /error\[job_cancelled\]/);
  });

  test("a queued job is cancelled and queued again", async (t) => {
    const idle = await startServer({ env: { LONGSHORE_WORKERS: "fast:0,slow:0" } });
    t.after(() => idle.stop());
    const env = { LONGSHORE_URL: idle.url };
    const { id } = await longshore({ url: idle.url }).bundles.deposit(await bundleBlob({ a: "a" }));
    const cancelled = await runCli(["jobs", "cancel", String(id), "--json"], { env });
    assert.equal(JSON.parse(cancelled.stdout).state, "cancelled");
    const retried = await runCli(["jobs", "retry", String(id)], { env });
    assert.equal(retried.code, 4, "what it was to ingest is gone");
  });

  test("an operator sets the priority of a queued job", async (t) => {
    const idle = await startServer({ env: { LONGSHORE_WORKERS: "fast:0,slow:0" } });
    t.after(() => idle.stop());
    const env = { LONGSHORE_URL: idle.url };
    const { id } = await longshore({ url: idle.url }).bundles.deposit(await bundleBlob({ a: "a" }));
    const raised = await runCli(["jobs", "priority", String(id), "5"], { env });
    assert.match(raised.stdout, /^ +priority +5$/m);
    const lowered = await runCli(["jobs", "priority", String(id), "-3", "--json"], { env });
    assert.equal(JSON.parse(lowered.stdout).priority, -3);
    const refused = await runCli(["jobs", "priority", String(id), "11"], { env });
    assert.deepEqual([refused.code, /error\[request_invalid\]/.test(refused.stderr)], [2, true]);
    assert.equal((await runCli(["jobs", "priority", String(id), "high"], { env })).code, 2);
  });

  test("transactions are listed and shown, their files in the order of ids", async () => {
    assert.match((await cli("transactions", "list")).stdout, /^ *ID +FILES .*\n.* 50 .*1234a/);
    const shown = await cli("transactions", "show", good);
    assert.match(shown.stdout, /^project +1234a$/m);
    assert.match(shown.stdout, /^key-value +site = north$/m);
    assert.deepEqual(
      JSON.parse((await cli("transactions", "show", good, "--json")).stdout),
      await client.transactions.get(good),
    );
    const files = lines((await cli("transactions", "files", good, "--json")).stdout);
    assert.deepEqual(files, await Array.fromAsync(client.transactions.files(good)));
    assert.equal((await cli("transactions", "files", good, "--limit", 3)).stdout.split("\n").length, 4);
  });

  test("a reader that has seen enough is no error", async () => {
    const main = join(import.meta.dirname, "../../src/main.ts");
    const script = `"${process.execPath}" "${main}" transactions files ${good} --json | head -n 1; echo "code \${PIPESTATUS[0]}"`;
    const shell = spawn("bash", ["-c", script], {
      env: { ...withoutSettings(process.env), LONGSHORE_URL: server.url },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [shell.stdout, shell.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    await once(shell, "close");
    assert.match(output, /^\{.*\}\ncode 0\n$/);
  });
});
