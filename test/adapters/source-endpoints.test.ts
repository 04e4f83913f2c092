import assert from "node:assert/strict";
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { httpExchange } from "../../src/adapters/outbound/http-exchange.ts";
import {
  archiveEndpoints,
  folderEndpoints,
  httpEndpoints,
  openEndpoints,
} from "../../src/adapters/source/open-endpoint.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { guardedFetch } from "../../src/core/outbound/fetch.ts";
import { hostPace } from "../../src/core/outbound/host-pace.ts";
import { allowedOrigins } from "../../src/core/outbound/origins.ts";
import { entriesOf, walkAll } from "../conformance/source.ts";
import { testArchive } from "../support/archive.ts";
import { ADA, fill, OPERATOR } from "../support/crawling.ts";

describe("Endpoints: folders", () => {
  let base: string;
  before(async () => {
    base = await realpath(await mkdtemp(join(tmpdir(), "longshore-endpoints-")));
    fill(base, { "root/in/a b#?%.txt": "1", "rootless/secret.txt": "2", "linked/root/c.txt": "3" });
    symlinkSync(join(base, "rootless"), join(base, "root/out"));
    symlinkSync(join(base, "linked"), join(base, "link"));
    symlinkSync("loop", join(base, "root/loop"));
  });
  after(() => rm(base, { recursive: true }));
  const endpoints = (...roots: readonly string[]) =>
    openEndpoints({ file: folderEndpoints({ roots: roots.map((root) => join(base, root)) }) });
  const url = (path: string) => `file://${base}/${path}`;
  const pathsAt = async (path: string, ...roots: readonly string[]) => {
    const source = await endpoints(...roots).open({ url: url(path) });
    return entriesOf(await walkAll(source)).map((entry) => entry.path);
  };

  test("a root and what lies below it can be used, whatever the names", async () => {
    const { check } = endpoints("root", "link");
    assert.equal(await check(url("root"), ADA), url("root"));
    assert.equal(await check(url("root/in/"), ADA), url("root/in"));
    assert.equal(await check(url("root//in/../in"), ADA), url("root/in"));
    assert.deepEqual(await pathsAt("root/in", "root"), ["a b#?%.txt"]);
    // The root is a link, and so is named; what it leads to may be named as well.
    assert.deepEqual(await pathsAt("link/root", "link"), ["c.txt"]);
    assert.deepEqual(await pathsAt("linked/root", "link"), ["c.txt"]);
  });

  test("nothing else can, by no way there, and nothing is said about it", async () => {
    const { check, open } = endpoints("root", "nowhere");
    for (const path of ["", "rootless", "root/../rootless", "root/out", "missing", "link"])
      for (const refused of [check(url(path), ADA), open({ url: url(path) })])
        await assert.rejects(refused, { code: "endpoint_refused" }, path);
    await assert.rejects(check(url("root/in/..%2f../rootless"), ADA), { code: "request_invalid" });
    await assert.rejects(check(url("root/in%00"), ADA), { code: "request_invalid" });
    await assert.rejects(check("file://example.org/root", ADA), { code: "request_invalid" });
    await assert.rejects(check(`${url("root")}?x`, ADA), { code: "request_invalid" });
    await assert.rejects(endpoints().check(url("root"), ADA), /LONGSHORE_CRAWL_ROOTS is not set/);
  });

  test("what is missing below a root is said to be that, and a file is no folder", async () => {
    const { check } = endpoints("root");
    await assert.rejects(check(url("root/missing"), ADA), { code: "endpoint_unreachable" });
    await assert.rejects(check(url("root/loop"), ADA), { code: "endpoint_unreachable" });
    writeFileSync(join(base, "root/file.txt"), "x");
    await assert.rejects(check(url("root/file.txt"), ADA), { code: "request_invalid" });
  });

  test("a folder that is exchanged for a link after it was checked is not opened", async () => {
    const { check, open } = endpoints("root");
    mkdirSync(join(base, "root/later"));
    const checked = await check(url("root/later"), ADA);
    renameSync(join(base, "root/later"), join(base, "root/was"));
    symlinkSync(join(base, "rootless"), join(base, "root/later"));
    await assert.rejects(open({ url: checked }), { code: "endpoint_refused" });
  });
});

test("Endpoints: the archive is opened whole to operators, and to others as far as it is theirs", async (t) => {
  const archive = await testArchive();
  t.after(() => archive.close());
  await archive.deposit({ "a.txt": "a" }, "ada");
  await archive.deposit({ "b.txt": "b" }, "b & c");
  const { stores, archive: ocfl } = archive;
  const { check, open } = openEndpoints({
    archive: archiveEndpoints({ catalogue: stores.catalogue, storage: ocfl.storage }),
  });
  const filesAt = async (url: string) =>
    entriesOf(await walkAll(await open({ url }))).flatMap(({ kind, path }) => (kind === "file" ? [path] : []));
  assert.deepEqual(await filesAt(await check("archive:", OPERATOR)), ["1/data/a.txt", "2/data/b.txt"]);
  assert.deepEqual(await filesAt(await check("archive:", ADA)), ["1/data/a.txt"]);
  const other = { ...ADA, name: "b & c" };
  assert.deepEqual(await filesAt(await check("archive:", other)), ["2/data/b.txt"]);
  const named = await check("archive:?owner=ada", OPERATOR);
  assert.equal(named, await check("archive:", ADA));
  await assert.rejects(check(named, other), { code: "endpoint_refused" });
  for (const url of ["archive:/1", "archive://x/", "archive:?of=ada", "archive:#a"])
    await assert.rejects(check(url, OPERATOR), { code: "request_invalid" }, url);
});

test("Endpoints: web servers are those that may be fetched from", async (t) => {
  const exchange = httpExchange();
  t.after(() => exchange.close());
  const origins = allowedOrigins(["https://data.example.org"]);
  const pace = hostPace({ connections: 1, rate: { calls: 1, perMs: 100 } }, systemClock);
  const fetch = guardedFetch({ exchange, origins, pace, clock: systemClock, userAgent: "test" });
  const http = httpEndpoints({ origins, fetch, clock: systemClock });
  const { check } = openEndpoints({ http, https: http });
  assert.equal(await check("https://data.example.org", ADA), "https://data.example.org/");
  assert.equal(await check("HTTPS://Data.example.org:443/a%20b?x#y", ADA), "https://data.example.org/a%20b/");
  for (const url of ["http://data.example.org/", "https://example.org/", "https://me:secret@data.example.org/"])
    await assert.rejects(check(url, ADA), { code: "endpoint_refused" }, url);
});

test("Endpoints: stores that no setting opens are refused by that setting's name", async () => {
  const { check, open } = openEndpoints({});
  for (const [url, setting] of [
    ["s3://bucket/prefix", "LONGSHORE_CRAWL_BUCKETS"],
    ["globus://6c54cade-bde5-45c1-bdea-f4bd71dba2cc/share", "LONGSHORE_GLOBUS_TOKEN"],
    ["file:///data", "LONGSHORE_CRAWL_ROOTS"],
  ] as const) {
    await assert.rejects(check(url, ADA), {
      code: "endpoint_refused",
      details: { url, hint: `${setting} is not set` },
    });
    await assert.rejects(open({ url }), { code: "endpoint_refused" });
  }
  for (const url of ["ftp://example.org/", "data", "", "https://["])
    await assert.rejects(check(url, ADA), { code: "request_invalid" });
});
