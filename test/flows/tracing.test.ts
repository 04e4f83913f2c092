import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { bundle } from "../http/bundle.ts";
import { deposit, finished, json, type WireJob } from "../http/client.ts";
import { type MailServer, mailServer } from "../support/mail-server.ts";
import { startWorkerProcess, type WorkerProcess } from "../support/nodes.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { type ReceivedSpan, traceReceiver } from "../support/trace-receiver.ts";
import { until } from "../support/until.ts";

/** From W3C Trace Context, level 1, §3.2.2.3: the example of a caller's field. */
const CALLER = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" };
const TRACEPARENT = `00-${CALLER.traceId}-${CALLER.spanId}-01`;

describe("traces, over a server and a worker", () => {
  let traces: Awaited<ReturnType<typeof traceReceiver>>;
  let mails: MailServer;
  let dataDir: string;
  let server: ServerProcess;
  let worker: WorkerProcess;
  const told: (string | undefined)[] = [];
  const events = createServer((request, response) => {
    told.push(request.headers.traceparent as string | undefined);
    request.resume().on("end", () => response.writeHead(204).end());
  });

  before(async () => {
    traces = await traceReceiver();
    mails = await mailServer();
    await once(events.listen(0, "127.0.0.1"), "listening");
    dataDir = await mkdtemp(join(tmpdir(), "longshore-traces-"));
    const env = {
      LONGSHORE_DATA_DIR: dataDir,
      LONGSHORE_OTLP_URL: traces.url,
      LONGSHORE_OTLP_HEADERS: "authorization=Bearer abc",
      LONGSHORE_EVENTS_URL: `http://127.0.0.1:${(events.address() as AddressInfo).port}/`,
      LONGSHORE_SMTP_URL: `smtp://127.0.0.1:${mails.port}?tls.rejectUnauthorized=false`,
      LONGSHORE_OPERATOR_MAIL: "keeper@example.org",
    };
    server = await startServer({ dataDir, env: { ...env, LONGSHORE_WORKERS: "fast:0,slow:0,run:0" } });
    worker = await startWorkerProcess(env);
  });
  after(async () => {
    await worker?.end("SIGTERM");
    await server?.stop();
    await mails?.close();
    await traces?.close();
    events.closeAllConnections();
    events.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  const of = (traceId: string) => traces.spans.filter((span) => span.traceId === traceId);
  const named = (traceId: string, name: string) => of(traceId).find((span) => span.name === name);
  const all = (traceId: string, ...names: string[]) => names.every((name) => named(traceId, name));
  const parent = (span: ReceivedSpan | undefined) =>
    traces.spans.find(({ spanId }) => spanId === span?.parentSpanId)?.name;

  test("an upload is one trace: the caller's, the request, the job of another process, its tasks, publication, catalogue, message", async () => {
    const { id } = await deposit(server, bundle({ "m.txt": "traced" }), { traceparent: TRACEPARENT });
    await finished(server, id);
    const trace = CALLER.traceId;
    const deliveries = ["job ingest", "task catalogue", "archive publish", "catalogue add", "deliver cloudevent"];
    await until("the trace is there", () => all(trace, "POST /api/v1/bundles", ...deliveries));

    const request = named(trace, "POST /api/v1/bundles");
    assert.deepEqual(
      [request?.parentSpanId, request?.role, request?.facts["http.response.status_code"], request?.isError],
      [CALLER.spanId, "serve", 202, false],
    );
    const job = named(trace, "job ingest");
    assert.deepEqual([parent(job), job?.role], ["POST /api/v1/bundles", "worker"]);
    assert.equal(String(job?.facts["longshore.job.id"]), String(id));
    assert.equal(parent(named(trace, "task catalogue")), "job ingest");
    assert.equal(parent(named(trace, "archive publish")), "job ingest");
    assert.equal(parent(named(trace, "catalogue add")), "job ingest");
    // Noted in the transaction that enters the bundle into the catalogue.
    const delivery = named(trace, "deliver cloudevent");
    assert.equal(parent(delivery), "catalogue add");
    assert.deepEqual(told, [`00-${trace}-${delivery?.spanId}-01`], "the receiver of events is told what it is part of");
    assert.deepEqual([...traces.authorizations], ["Bearer abc"]);
  });

  test("a fixity run that finds damage is one trace from the request to the mail, and its job is marked as failed", async () => {
    const files = await readdir(join(dataDir, "archive"), { recursive: true });
    const content = files.find((file) => file.endsWith("m.txt")) ?? "";
    assert.equal(await readFile(join(dataDir, "archive", content), "utf8"), "traced");
    await writeFile(join(dataDir, "archive", content), "faded.");
    const response = await fetch(`${server.url}/api/v1/fixity/runs`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    const { id } = (await response.json()) as WireJob;
    assert.equal((await finished(server, id)).state, "failed");
    await until("the mail is there", () => mails.received.length > 0);
    const root = () => traces.spans.find(({ name }) => name === "POST /api/v1/fixity/runs");
    await until("the trace is there", () => all(root()?.traceId ?? "", "job fixity", "deliver mail"));
    const trace = root()?.traceId ?? "";
    assert.equal(root()?.parentSpanId, "");
    const job = named(trace, "job fixity");
    assert.deepEqual([parent(job), job?.isError, job?.facts["error.type"]], [root()?.name, true, "fixity_failed"]);
    assert.equal(parent(named(trace, "deliver mail")), "job fixity");
  });

  test("what a job carries is not shown, and what monitors ask is not traced", async () => {
    const { items } = await json<{ items: WireJob[] }>(`${server.url}/api/v1/jobs`);
    assert.ok(items.length >= 2);
    assert.doesNotMatch(JSON.stringify(items), /traceparent|4bf92f3577b34da6/);
    await fetch(`${server.url}/healthz`);
    await fetch(`${server.url}/openapi.json`);
    await until("the later request is traced", () => traces.spans.some(({ name }) => name === "GET /openapi.json"));
    assert.ok(!traces.spans.some(({ name }) => name.includes("/healthz")));
  });
});

test("without a receiver, work goes on, and the log says that traces are lost", async () => {
  // Port 9 (discard) is not listened on.
  const server = await startServer({ env: { LONGSHORE_OTLP_URL: "http://127.0.0.1:9" } });
  try {
    const { id } = await deposit(server, bundle({ "m.txt": "untraced" }));
    assert.equal((await finished(server, id)).state, "succeeded");
    await until("the log tells", () => server.log().includes('"during":"sending traces"'));
  } finally {
    await server.stop();
  }
});
