import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, type TestContext, test } from "node:test";
import { httpExchange } from "../../src/adapters/outbound/http-exchange.ts";
import { type GlobusApi, globusApi } from "../../src/adapters/source/globus/api.ts";
import { globusEndpoints, globusTargets } from "../../src/adapters/source/globus/endpoints.ts";
import type { OwnCollection } from "../../src/adapters/source/globus/landing.ts";
import { globusSource } from "../../src/adapters/source/globus/source.ts";
import { globusTarget } from "../../src/adapters/source/globus/target.ts";
import { openEndpoints } from "../../src/adapters/source/open-endpoint.ts";
import { openTargets } from "../../src/adapters/source/open-target.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import type { Clock } from "../../src/core/clock.ts";
import { hostPace } from "../../src/core/outbound/host-pace.ts";
import { entriesOf, sourceConformance, walkAll } from "../conformance/source.ts";
import { targetConformance } from "../conformance/target.ts";
import { ADA, fill, find } from "../support/crawling.ts";
import { type GlobusServer, startGlobusServer } from "../support/globus-server.ts";
import { openOffloading } from "../support/offloading.ts";
import { until } from "../support/until.ts";

const LAB = "9d6d994a-6d04-11e5-ba46-22000b92c6ec";
const SHELF = "ddb59aef-6d04-11e5-ba46-22000b92c6ec";
const OWN = "c7ec8d0e-2f3c-4a63-8c55-8e1e7a1f8a11";
/** Pauses are as they are, but for their length. */
const hasty: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 5), signal) };

interface World {
  readonly server: GlobusServer;
  /** Folders that the collections show. */
  readonly lab: string;
  readonly shelf: string;
  readonly landing: string;
  readonly parts: { readonly api: GlobusApi; readonly own: OwnCollection; readonly clock: Clock };
  close(): Promise<void>;
}

async function openWorld(options = {}): Promise<World> {
  const base = await mkdtemp(join(tmpdir(), "longshore-globus-"));
  const [lab = "", shelf = "", top = ""] = ["lab", "shelf", "own"].map((name) => join(base, name));
  for (const folder of [lab, shelf, top]) mkdirSync(folder);
  const landing = join(top, "in/landing");
  const server = await startGlobusServer({ [LAB]: lab, [SHELF]: shelf, [OWN]: top }, options);
  const exchange = httpExchange();
  const pace = hostPace({ connections: 4, rate: { calls: 1, perMs: 1 } }, systemClock);
  const api = globusApi({ url: server.url, token: server.token, exchange, pace, clock: hasty });
  return {
    server,
    lab,
    shelf,
    landing,
    parts: { api, own: { id: OWN, top, landing }, clock: hasty },
    async close() {
      exchange.close();
      await server.close();
      await rm(base, { recursive: true });
    },
  };
}

async function worldOf(t: TestContext, options = {}): Promise<World> {
  const world = await openWorld(options);
  t.after(world.close);
  return world;
}

const at = (collection: string, folder = "/") => ({ collection, folder });
const filesBelow = (folder: string) =>
  find(folder)
    .flatMap(({ type, path }) => (type === "f" ? [path] : []))
    .toSorted();

sourceConformance(
  "globus",
  async (files) => {
    const world = await openWorld({ pageLimit: 500 });
    fill(world.lab, Object.fromEntries(Object.entries(files).map(([path, content]) => [`data/${path}`, content])));
    const source = globusSource({ ...world.parts, place: at(LAB, "/data") });
    return { source, base: "", tellsHidden: true, cleanUp: world.close };
  },
  { manyNames: 1_200 },
);

targetConformance("globus", async (t) => {
  const { parts, shelf } = await worldOf(t);
  return {
    target: globusTarget({ ...parts, place: at(SHELF, "/in") }),
    files: async () => (existsSync(join(shelf, "in")) ? filesBelow(join(shelf, "in")) : []),
  };
});

describe("Source: globus", () => {
  test("links are told and not followed; sizes and times are those of the listing", async (t) => {
    const { parts, lab } = await worldOf(t);
    fill(lab, { "a.txt": "hello", "deep/b": "" });
    symlinkSync("deep", join(lab, "link"));
    symlinkSync("nowhere", join(lab, "dangling"));
    execFileSync("touch", ["-d", "2024-05-06 07:08:09 UTC", join(lab, "a.txt")]);
    execFileSync("mkfifo", [join(lab, "pipe")]);
    const source = globusSource({ ...parts, place: at(LAB) });
    const listings = await walkAll(source);
    const entries = entriesOf(listings).map(({ path, kind, sizeBytes }) => `${kind} ${path} ${sizeBytes}`);
    assert.deepEqual(entries.toSorted(), [
      "file a.txt 5",
      "file deep/b 0",
      "folder deep 0",
      "link dangling 0",
      "link link 0",
      "other pipe 0",
    ]);
    assert.equal(entriesOf(listings).find(({ path }) => path === "a.txt")?.modifiedAt, Date.UTC(2024, 4, 6, 7, 8, 9));
    assert.deepEqual(
      listings.flatMap(({ problems }) => problems.map(({ path }) => path)),
      ["pipe"],
    );
    await source.close();
  });

  test("what may pass is tried again; a folder that cannot be listed is a problem", async (t) => {
    const { parts, lab, server } = await worldOf(t);
    fill(lab, { "a/x": "1", "b/y": "2", "c/z": "3" });
    const ls = `/operation/endpoint/${LAB}/ls?path=%2F`;
    server.disturb(
      `${ls}a%2F`,
      { status: 502 },
      { status: 503, document: { code: "ServiceUnavailable", message: "" } },
    );
    server.disturb(`${ls}b%2F`, {
      status: 429,
      retryAfterSeconds: 1,
      document: { code: "TooManyRequests", message: "" },
    });
    const denied = { code: "ExternalError.DirListingFailed.PermissionDenied", message: "not yours" };
    server.disturb(`${ls}c%2F`, { status: 502, document: denied });
    const source = globusSource({ ...parts, place: at(LAB) });
    const listings = await walkAll(source);
    assert.deepEqual(
      entriesOf(listings).flatMap(({ kind, path }) => (kind === "file" ? [path] : [])),
      ["a/x", "b/y"],
    );
    const problems = listings.flatMap((listing) => listing.problems);
    assert.deepEqual(
      problems.map(({ code, path }) => [code, path]),
      [["entry_unreadable", "c"]],
    );
    assert.match(problems[0]?.message ?? "", /PermissionDenied/);
    await source.close();
  });

  test("a collection that does not answer, one that is not there, and a token that is no good end the walk", async (t) => {
    const { parts, server, lab } = await worldOf(t);
    fill(lab, { a: "a" });
    const walk = (collection: string) => walkAll(globusSource({ ...parts, place: at(collection) }));
    await assert.rejects(walk(randomUUID()), { code: "endpoint_unreachable" });
    const timedOut = { code: "ExternalError.DirListingFailed.ConnectFailed", message: "" };
    server.disturb("/operation", ...Array(6).fill({ status: 502, document: timedOut }));
    await assert.rejects(walk(LAB), { code: "endpoint_unreachable" });
    server.expire();
    await assert.rejects(walk(LAB), { code: "endpoint_refused" });
    await assert.rejects(walk(LAB), /LONGSHORE_GLOBUS_TOKEN/);
  });

  test("files that are wanted together come in one task, and leave nothing here", async (t) => {
    const { parts, lab, server, landing } = await worldOf(t);
    fill(lab, Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`f${n}`, `content ${n}`])));
    const source = globusSource({ ...parts, place: at(LAB) });
    const contents = await Promise.all(Array.from({ length: 40 }, async (_, n) => text(await source.open(`f${n}`))));
    assert.deepEqual(
      contents,
      Array.from({ length: 40 }, (_, n) => `content ${n}`),
    );
    assert.ok(server.tasks.length <= 3, `${server.tasks.length} tasks`);
    assert.deepEqual(filesBelow(landing), []);
    await source.close();
    assert.deepEqual(readdirSync(landing), []);
  });

  test("files that vanish fail alone; without an own collection none can be read", async (t) => {
    const { parts, lab, server } = await worldOf(t);
    fill(lab, { a: "a", b: "b", c: "c" });
    server.hold();
    const source = globusSource({ ...parts, place: at(LAB) });
    const [a, b, c] = [source.open("a"), source.open("b"), source.open("c")];
    for (const one of [a, c]) one.catch(() => {});
    await until("all are on their way", () => server.tasks[0]?.files === 3);
    execFileSync("rm", ["a", "c"], { cwd: lab });
    server.release();
    for (const one of [a, c]) await assert.rejects(one, { code: "object_missing" });
    assert.equal(await text(await b), "b");
    await source.close();
    const { own: _, ...others } = parts;
    await assert.rejects(globusSource({ ...others, place: at(LAB) }).open("b"), /LONGSHORE_GLOBUS_COLLECTION/);
  });
});

test("Endpoints: Globus collections are opened by their ids, and written where settings say", async (t) => {
  const { parts } = await worldOf(t);
  const { check } = openEndpoints({ globus: globusEndpoints(parts) });
  const targets = openTargets({ globus: globusTargets({ ...parts, writable: [`globus://${SHELF}/in`] }) });
  assert.equal(await check(`globus://${LAB.toUpperCase()}/`, ADA), `globus://${LAB}`);
  assert.equal(await check(`globus://${LAB}/a b/é/`, ADA), `globus://${LAB}/a%20b/%C3%A9`);
  assert.equal(await targets.check(`globus://${SHELF}/in/x`, "write", ADA), `globus://${SHELF}/in/x`);
  for (const url of [`globus://${SHELF}`, `globus://${SHELF}/inside`, `globus://${LAB}/in`])
    await assert.rejects(targets.check(url, "remove", ADA), { code: "endpoint_refused" }, url);
  for (const url of ["globus://lab/x", `globus://${LAB}/a//b`, `globus://${LAB}/%2e%2e%2fx`, `globus://${LAB}?x`])
    await assert.rejects(check(url, ADA), { code: "request_invalid" }, url);
});

describe("offload: Globus", () => {
  async function setUp(t: TestContext) {
    const world = await worldOf(t);
    const elsewhere = {
      endpoints: { globus: globusEndpoints(world.parts) },
      targets: {
        globus: globusTargets({ ...world.parts, writable: [`globus://${SHELF}`, `globus://${LAB}/scratch`] }),
      },
    };
    const offloading = await openOffloading(t, (stores) => stores, { elsewhere });
    return { ...world, ...offloading };
  }
  const FILES = { "a.txt": "a", "deep/er/b c.txt": "bb", "empty.bin": "", "é/日本": "name" };

  test("from one collection to another, files travel as one task whose checksums are compared", async (t) => {
    const { server, lab, shelf, offload } = await setUp(t);
    fill(join(lab, "data"), FILES);
    server.befall("damages");
    const { job, folder } = await offload({
      sources: [`globus://${LAB}/data`],
      target: `globus://${SHELF}/in`,
      mode: "copy",
    });
    assert.equal(job.state, "succeeded", job.error?.message);
    assert.deepEqual([job.result.files, job.result.bytes], [4, 7]);
    assert.deepEqual(
      server.tasks.map(({ type, files }) => [type, files]),
      [["TRANSFER", 4]],
    );
    execFileSync("diff", ["-r", join(lab, "data"), join(shelf, decodeURIComponent(new URL(folder).pathname))]);
  });

  test("a move removes what has arrived, and nothing else", async (t) => {
    const { server, lab, offload, offloads } = await setUp(t);
    fill(join(lab, "scratch/run"), FILES);
    const request = { sources: [`globus://${LAB}/scratch/run`], target: `globus://${SHELF}/in`, mode: "move" } as const;
    server.befall("loses");
    const { job } = await offload(request);
    assert.deepEqual([job.state, job.error?.code], ["failed", "offload_incomplete"]);
    assert.deepEqual(
      job.warnings.map(({ code, path }) => [code, path]),
      [["copy_mismatch", "a.txt"]],
    );
    assert.deepEqual(filesBelow(lab), ["scratch/run/a.txt"]);
    await assert.rejects(offloads.start(ADA, { ...request, sources: [`globus://${LAB}/data`] }), {
      code: "endpoint_refused",
    });
  });

  test("a file that changes on its way stays", async (t) => {
    const { server, lab, offloads, work, ended } = await setUp(t);
    fill(join(lab, "scratch/run"), FILES);
    server.hold();
    const { job: id } = await offloads.start(ADA, {
      sources: [`globus://${LAB}/scratch/run`],
      target: `globus://${SHELF}/in`,
      mode: "move",
    });
    work();
    await until("the task is under way", () => server.tasks.length === 1);
    // Of the same size, at another time.
    writeFileSync(join(lab, "scratch/run/a.txt"), "A");
    execFileSync("touch", ["-d", "2001-01-01", join(lab, "scratch/run/a.txt")]);
    server.release();
    const job = await ended(id);
    assert.equal(job.error?.code, "offload_incomplete");
    assert.deepEqual(
      job.warnings.map(({ code, path }) => [code, path]),
      [["source_changed", "a.txt"]],
    );
    assert.deepEqual(filesBelow(lab), ["scratch/run/a.txt"]);
  });

  for (const fault of ["fails", "expires"] as const)
    test(`a task that ${fault} is the offload's end, and nothing is removed`, async (t) => {
      const { server, lab, offload } = await setUp(t);
      fill(join(lab, "scratch/run"), FILES);
      server.befall(fault);
      const { job } = await offload({
        sources: [`globus://${LAB}/scratch/run`],
        target: `globus://${SHELF}/in`,
        mode: "move",
      });
      assert.deepEqual(
        [job.state, job.error?.code],
        ["failed", fault === "fails" ? "remote_refused" : "endpoint_refused"],
      );
      assert.equal(filesBelow(lab).length, 4);
    });

  test("an offload that is cancelled cancels its task", async (t) => {
    const { server, lab, offloads, jobs, work, ended } = await setUp(t);
    fill(join(lab, "data"), FILES);
    server.hold();
    const { job: id } = await offloads.start(ADA, {
      sources: [`globus://${LAB}/data`],
      target: `globus://${SHELF}/in`,
      mode: "copy",
    });
    work();
    await until("the task is under way", () => server.tasks.length === 1);
    await jobs.cancel(id, "ada");
    assert.equal((await ended(id)).state, "cancelled");
    assert.equal(server.tasks[0]?.fatal?.code, "CANCELED");
  });

  test("whoever takes over waits for the task of the one that died, and copies nothing twice", async (t) => {
    const { parts, server, lab, shelf, offloads, jobs, work, ended } = await setUp(t);
    fill(join(lab, "data"), FILES);
    server.hold();
    const { job: id, folder } = await offloads.start(ADA, {
      sources: [`globus://${LAB}/data`],
      target: `globus://${SHELF}/in`,
      mode: "copy",
    });
    // What a process has left that died when its task had begun.
    const left = new URL(folder).pathname;
    const orphan = parts.api.transfer(
      {
        source: LAB,
        destination: SHELF,
        files: [{ from: "/data/a.txt", to: `${left}/a.txt` }],
        label: `longshore offload ${id}`,
        isContinued: false,
      },
      new AbortController().signal,
    );
    await until("its task is under way", () => server.tasks.length === 1);
    await jobs.change(id, ["queued"], { attempts: 1 });
    work();
    await until("the worker asks for tasks", () => server.requests.some((one) => one.startsWith("GET /task_list")));
    assert.equal(server.tasks.length, 1);
    server.release();
    await orphan;
    const job = await ended(id);
    assert.equal(job.state, "succeeded", job.error?.message);
    assert.equal(job.result.files, 4);
    assert.equal(readFileSync(join(shelf, left, "a.txt"), "utf8"), "a");
  });

  test("files of a collection come to a folder of this machine, and those of this machine to a collection", async (t) => {
    const { lab, shelf, base, offload, landing } = await setUp(t);
    fill(join(lab, "scratch/run"), FILES);
    const here = await offload({
      sources: [`globus://${LAB}/scratch/run`],
      target: join(base, "shelf"),
      mode: "move",
    });
    assert.equal(here.job.state, "succeeded", here.job.error?.message);
    assert.deepEqual(filesBelow(lab), []);
    const there = await offload({ sources: [here.folder], target: `globus://${SHELF}/in`, mode: "copy" });
    assert.equal(there.job.state, "succeeded", there.job.error?.message);
    const shown = join(shelf, decodeURIComponent(new URL(there.folder).pathname));
    assert.deepEqual(filesBelow(shown), Object.keys(FILES).toSorted());
    for (const [path, content] of Object.entries(FILES)) assert.equal(readFileSync(join(shown, path), "utf8"), content);
    assert.deepEqual(filesBelow(landing), []);
  });
});
