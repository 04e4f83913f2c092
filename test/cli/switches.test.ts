import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { bundle } from "../http/bundle.ts";
import { deposit, finished, json, problem } from "../http/client.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { runCli } from "./run-cli.ts";

let server: ServerProcess;
let folder: string;
let control: string;
const ALL_ON = Object.fromEntries(
  ["ingest", "carts", "packages", "crawls", "schedules", "registers", "drops", "fixity"].map((name) => [name, true]),
);
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "switches-"));
  control = join(folder, "control.json");
  await writeFile(control, JSON.stringify(ALL_ON));
  server = await startServer({ env: { LONGSHORE_CONTROL_FILE: control } });
});
after(async () => {
  await server?.stop();
  await rm(folder, { recursive: true });
});

const run = (...args: string[]) => runCli(args, { env: { LONGSHORE_URL: server.url } });
const send = (path: string, init: RequestInit) => fetch(`${server.url}${path}`, { method: "POST", ...init });
const paused = async () => (await json<{ paused: object }>(`${server.url}/healthz`)).paused;

test("what is sent while ingest is paused is refused with a sentence and a time, before its bytes are read", async () => {
  const { code, stdout } = await run("pause", "ingest", "--reason", "new disks, back at noon");
  assert.equal(code, 0);
  assert.match(stdout, /^ingest\s+paused\s+local\s+\S+Z\s+new disks, back at noon$/m);
  assert.match(stdout, /^carts\s+runs/m);
  assert.deepEqual(await paused(), { subsystems: ["ingest"], paths: 0 });

  const tar = bundle({ "a.txt": "hello" });
  const answers = await Promise.all([
    send("/api/v1/bundles", { body: tar, headers: { "content-type": "application/x-tar" } }),
    send("/api/v1/moves", { body: "[]", headers: { "content-type": "application/json" } }),
    send("/api/v1/uploads", { headers: { "tus-resumable": "1.0.0", "upload-length": "5" } }),
  ]);
  for (const answer of answers) {
    assert.ok(Number(answer.headers.get("retry-after")) > 0, "it says when to come again");
    const { detail } = await problem(answer, 503, "paused");
    assert.match(detail, /paused.*switch: ingest; reason: new disks, back at noon/);
  }
  const door = await send("/doors/pacifica-ingest/upload", { body: tar });
  assert.equal(door.status, 503, await door.text());
  const { items } = await json<{ items: unknown[] }>(`${server.url}/api/v1/jobs`);
  assert.deepEqual(items, [], "no job was begun");

  assert.equal((await run("resume", "ingest")).code, 0);
  const { id } = await deposit(server, tar);
  assert.equal((await finished(server, id)).state, "succeeded");
});

test("the pause of everything holds each part, and the control file cannot be overruled", async () => {
  await run("pause");
  assert.deepEqual(await paused(), { subsystems: ["all"], paths: 0 });
  await problem(await send("/api/v1/carts", json_({ name: "x", transactions: [1] })), 503, "paused");
  const crawl = { endpoints: [{ url: "/srv" }] };
  await problem(await send("/api/v1/crawls", json_(crawl)), 503, "paused");
  await run("resume");
  assert.deepEqual(await paused(), { subsystems: [], paths: 0 });

  await writeFile(control, JSON.stringify({ ...ALL_ON, carts: false }));
  await problem(await send("/api/v1/carts", json_({ name: "x", transactions: [1] })), 503, "paused");
  const { stdout } = await run("resume", "carts");
  assert.match(stdout, /^carts\s+paused\s+control file\s+the control file has carts off$/m);
  await writeFile(control, "{");
  assert.deepEqual(await paused(), { subsystems: ["all"], paths: 0 });
  await writeFile(control, JSON.stringify(ALL_ON));
  assert.deepEqual(await paused(), { subsystems: [], paths: 0 });
});

test("jobs that wait for a pause to end are run soon after", async () => {
  await run("pause", "fixity");
  const verification = await send("/api/v1/verifications", json_({ quick: true }));
  assert.equal(verification.status, 202, "it is accepted, and waits");
  const { id } = (await verification.json()) as { id: number };
  await until(
    "it is held",
    async () => (await json<{ state: string }>(`${server.url}/api/v1/jobs/${id}`)).state === "queued",
  );
  await run("resume", "fixity");
  assert.equal((await finished(server, id)).state, "succeeded");
});

test("a name that is no switch is refused with those that are", async () => {
  const { code, stderr } = await run("pause", "ingset");
  assert.equal(code, 2);
  assert.match(stderr, /request_invalid.*ingset.*all, ingest, carts/);
});

test("who may only read sees the switches and turns none; each turn is in the audit log", async () => {
  await run("pause", "/srv/drop//x/", "--reason", "looked at");
  const { stdout } = await run("switches", "--json");
  const listed = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(listed.at(-1).stoppedBy.reason, "looked at");
  assert.equal(listed.at(-1).id, "/srv/drop/x");
  assert.equal((await run("resume", "/srv/drop/x")).code, 0);
  const log = await json<{ items: { action: string; target: string }[] }>(`${server.url}/api/v1/audit?limit=1000`);
  const turns = log.items.filter(({ action }) => action.startsWith("switch.")).slice(-2);
  assert.deepEqual(
    turns.map(({ action, target }) => [action, target]),
    [
      ["switch.pause", "switch//srv/drop/x"],
      ["switch.resume", "switch//srv/drop/x"],
    ],
  );
});

const json_ = (body: object) => ({ body: JSON.stringify(body), headers: { "content-type": "application/json" } });
