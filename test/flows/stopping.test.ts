import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { runCli } from "../cli/run-cli.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

test("a server that is told to stop says so to load balancers, serves for a while, and waits for no request without end", async (t) => {
  const env = { LONGSHORE_DRAIN_SECONDS: "3", LONGSHORE_STOP_SECONDS: "2" };
  const server = await startServer({ env });
  t.after(() => server.stop());
  const status = async (path: string) => (await fetch(`${server.url}${path}`)).status;
  assert.equal(await status("/readyz"), 200);
  const { hostname, port } = new URL(server.url);
  const upload = connect(Number(port), hostname);
  upload.on("error", () => {}); // it is broken off
  const head = `POST /api/v1/bundles HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/x-tar\r\n`;
  upload.write(`${head}content-length: 1000000\r\n\r\n`);
  const broken = once(upload, "close");

  const ended = server.end("SIGTERM");
  await until("it is leaving", async () => (await status("/readyz")) === 503);
  assert.equal(await status("/api/v1/jobs"), 200, "it serves still");
  await Promise.all([ended, broken]);
  assert.match(server.log(), /"msg":"stopping"/);
});

test("a worker refuses lanes and kinds of jobs that there are not, and names those that there are", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "longshore-worker-"));
  t.after(() => rm(folder, { recursive: true }));
  const env = { LONGSHORE_DATA_DIR: folder };
  const kinds = await runCli(["worker", "--tasks", "ingest,dig"], { env });
  assert.equal(kinds.code, 2);
  assert.match(kinds.stderr, /there is no kind of job "dig"; expected ingest, move,/);
  const lanes = await runCli(["worker", "--lanes", "quick:2"], { env });
  assert.equal(lanes.code, 2);
  assert.match(lanes.stderr, /LONGSHORE_WORKERS: expected fast:number,slow:number,run:number/);
});
