import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { Recipe } from "../../../src/core/packages/package.ts";
import type { OrderedPackage } from "../../../src/core/packages/packages.ts";
import { countedCsv, countedTable, memberNames, type Packaging, packaging, unzipped } from "../../support/packaging.ts";
import { until } from "../../support/until.ts";

const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const pathOf = (here: Packaging, { package: made }: OrderedPackage) => join(here.storeDir, made.fileName ?? "");

async function made(here: Packaging, recipe: Partial<Recipe>, key?: string): Promise<OrderedPackage> {
  const { order } = await here.order({ recipe: here.recipe(recipe), ...(key !== undefined && { key }) });
  const settled = await here.settled(order.id);
  assert.equal(settled.package.status, "ready", JSON.stringify(settled.package.error));
  return settled;
}

async function failed(here: Packaging, recipe: Partial<Recipe>, given: { key?: string; door?: boolean } = {}) {
  const { order } = await here.order({ recipe: here.recipe(recipe), ...given });
  const settled = await here.settled(order.id);
  assert.equal(settled.package.status, "failed");
  assert.deepEqual(await here.stored(), []);
  return settled.package.error;
}

/** A web server beside the portal. @returns its origin. */
async function elsewhere(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("packages of rows", () => {
  test("every format has the member that consumers expect", async (t) => {
    const here = await packaging(t);
    for (const format of ["csv", "tsv", "xlsx", "jsonl", "parquet"] as const) {
      const one = await made(here, { format });
      assert.deepEqual(memberNames(pathOf(here, one)), [`resource.${format}`]);
      assert.equal(one.package.rowCount, 100);
      assert.deepEqual(
        one.package.members.map(({ name }) => name),
        [`resource.${format}`],
      );
    }
  });

  test("a Darwin Core Archive has its core, and meta.xml that names it", async (t) => {
    const here = await packaging(t);
    const one = await made(here, { kind: "dwca", eml: "<eml>{package_id}</eml>", forGbif: true });
    const path = pathOf(here, one);
    assert.deepEqual(memberNames(path), ["occurrence.csv", "meta.xml", "eml.xml", "gbif.json"]);
    assert.equal(unzipped(path, "occurrence.csv").toString().split("\n").length, 100 + 2);
    assert.match(unzipped(path, "meta.xml").toString(), /<location>occurrence\.csv<\/location>/);
  });

  test("the manifest tells the query, the rows, and digests that sha256sum would tell", async (t) => {
    const here = await packaging(t);
    const one = await made(here, { manifest: true, limit: 20, offset: 5, sort: "_id" });
    const path = pathOf(here, one);
    assert.deepEqual(memberNames(path), ["resource.csv", "manifest.json"]);
    const csv = unzipped(path, "resource.csv");
    const manifest = JSON.parse(unzipped(path, "manifest.json").toString());
    assert.deepEqual(manifest, {
      package: one.package.id,
      createdAt: manifest.createdAt,
      query: {
        kind: "datastore",
        resourceId: "r",
        apiUrl: here.portal.apiUrl,
        format: "csv",
        limit: 20,
        offset: 5,
        sort: "_id",
      },
      rows: 20,
      members: [{ name: "resource.csv", sizeBytes: csv.length, sha256: sha256(csv) }],
    });
    assert.match(manifest.createdAt, /^\d{4}-.*Z$/);
  });

  test("a portal that gives fewer rows than it declared gets no package", async (t) => {
    const here = await packaging(t, { total: (real) => real + 1 });
    assert.equal((await failed(here, {}))?.code, "package_short");
  });

  test("another worker goes on after the last checkpoint, to the same bytes", async (t) => {
    // Small pages, and between any two of them more time than a checkpoint waits.
    const rows = 4_000;
    const asked: number[] = [];
    let stopAt = 12;
    let reached = Promise.withResolvers<void>();
    let goOn = Promise.withResolvers<void>();
    const here = await packaging(t, {
      version: "2.12",
      rowsMax: 100,
      tables: { r: countedTable(rows) },
      async fault(n, { body }) {
        const filters = body.filters as { readonly _id?: { readonly gt: number } } | undefined;
        if (body.limit !== 0) asked.push(filters?._id?.gt ?? 0);
        here.pass(6_000);
        if (n !== stopAt) return false;
        reached.resolve();
        await goOn.promise;
        return false;
      },
    });
    const { order } = await here.order({ recipe: here.recipe({ manifest: true }) });
    for (const next of [25, -1]) {
      const worker = here.work();
      await reached.promise;
      const stopped = worker.stop();
      stopAt = next;
      goOn.resolve();
      await stopped;
      reached = Promise.withResolvers<void>();
      goOn = Promise.withResolvers<void>();
    }
    const settled = await here.settled(order.id);
    assert.equal(settled.package.status, "ready", JSON.stringify(settled.package.error));
    assert.equal(settled.package.rowCount, rows);
    const path = pathOf(here, settled);
    const csv = unzipped(path, "resource.csv");
    assert.equal(sha256(csv), sha256(countedCsv(rows)));
    const manifest = JSON.parse(unzipped(path, "manifest.json").toString());
    assert.deepEqual(manifest.members, [{ name: "resource.csv", sizeBytes: csv.length, sha256: sha256(csv) }]);
    const begun = asked.filter((after) => after === 0).length;
    assert.equal(begun, 1, `the first page was asked for ${begun} times: ${asked}`);
  });

  test("a resource that changed meanwhile is begun anew", async (t) => {
    let rows = 1_000;
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const here = await packaging(t, {
      version: "2.12",
      rowsMax: 100,
      tables: {
        get r() {
          return countedTable(rows);
        },
      },
      async fault(n) {
        here.pass(6_000);
        if (n !== 8) return false;
        reached.resolve();
        await goOn.promise;
        return false;
      },
    });
    const { order } = await here.order();
    const worker = here.work();
    await reached.promise;
    const stopped = worker.stop();
    goOn.resolve();
    await stopped;
    rows = 1_200;
    const settled = await here.settled(order.id);
    assert.equal(settled.package.rowCount, 1_200, JSON.stringify(settled.package.error));
    assert.equal(unzipped(pathOf(here, settled), "resource.csv").toString(), countedCsv(1_200));
  });
});

describe("packages of a file by URL", () => {
  const content = Buffer.from("a,b\n1,2\n".repeat(50_000));

  test("the file comes as it is, under the last part of its path", async (t) => {
    const here = await packaging(t, {
      fault(_n, { path }, response) {
        if (!path.startsWith("/files/")) return false;
        response.writeHead(200, { "content-length": content.length, "content-type": "text/csv" });
        response.end(content);
        return true;
      },
    });
    const one = await made(here, { kind: "url", resourceUrl: `${here.portal.origin}/files/my%20table.csv?x=1` });
    assert.deepEqual(memberNames(pathOf(here, one)), ["my%20table.csv"]);
    // By CRC-32 and bytes: unzip's own patterns have no percent signs to fear.
    assert.ok(content.equals(unzipped(pathOf(here, one), "my%20table.csv")));
    assert.equal(one.package.rowCount, null);
    assert.equal(one.package.lane, "fast");
    const nameless = await made(here, { kind: "url", resourceUrl: `${here.portal.origin}/files/` });
    assert.deepEqual(memberNames(pathOf(here, nameless)), ["files"]);
  });

  test("the key goes to the portal it is of, and is left behind by a redirect to another host", async (t) => {
    const seen: (string | undefined)[] = [];
    const other = await elsewhere(t, (request, response) => {
      seen.push(request.headers.authorization, request.headers["x-ckan-api-key"] as string | undefined);
      response.end("signed elsewhere");
    });
    const atPortal: (string | undefined)[] = [];
    const here = await packaging(t, {
      env: {},
      fault(_n, { path, headers }, response) {
        if (!path.startsWith("/download")) return false;
        atPortal.push(headers.authorization);
        response.writeHead(302, { location: `${other}/blob` }).end();
        return true;
      },
    });
    const resourceUrl = `${here.portal.origin}/download/x.bin`;
    // The other host is not among those that may be fetched.
    const refused = await failed(here, { kind: "url", resourceUrl }, { key: "k" });
    assert.equal(refused?.code, "fetch_refused");
    assert.deepEqual(atPortal, ["k"]);
    assert.deepEqual(seen, []);

    const open = await packaging(t, {
      env: { LONGSHORE_FETCH_ORIGINS: `${other},${here.portal.origin}` },
    });
    const one = await made(
      open,
      { kind: "url", resourceUrl, apiUrl: `${here.portal.origin}/api/action/datastore_search` },
      "k",
    );
    assert.equal(unzipped(pathOf(open, one), "x.bin").toString(), "signed elsewhere");
    assert.deepEqual(atPortal, ["k", "k"]);
    assert.deepEqual(seen, [undefined, undefined]);
    // Of another origin than the API's: through the door it goes without.
    const { order } = await open.order({
      recipe: open.recipe({ kind: "url", resourceUrl: `${other}/f`, apiUrl: here.portal.apiUrl }),
      key: "k",
      door: true,
    });
    assert.equal((await open.settled(order.id)).package.status, "ready");
    assert.deepEqual(seen, [undefined, undefined, undefined, undefined]);
  });

  test("a page to log in is no file; nor is a status that says so", async (t) => {
    const here = await packaging(t, {
      fault(_n, { path }, response) {
        if (path === "/gone.csv") response.writeHead(404).end("no");
        else if (path === "/page.csv")
          response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("<html>");
        else if (path === "/report") response.writeHead(302, { location: "/user/login?came_from=x" }).end();
        else if (path.startsWith("/user/login")) response.writeHead(200, { "content-type": "text/html" }).end("<html>");
        else if (path === "/page.html") response.writeHead(200, { "content-type": "text/html" }).end("<html>");
        else return false;
        return true;
      },
    });
    for (const [path, found] of [
      ["/gone.csv", 404],
      ["/page.csv", "a page to log in"],
      ["/report", "a page to log in"],
    ] as const) {
      const error = await failed(here, { kind: "url", resourceUrl: `${here.portal.origin}${path}` });
      assert.equal(error?.code, "portal_refused");
      assert.equal(error?.details.found, found);
    }
    await made(here, { kind: "url", resourceUrl: `${here.portal.origin}/page.html` });
  });

  test("a file that breaks off is fetched anew; one that is larger than there is room for is refused", async (t) => {
    let tries = 0;
    const here = await packaging(t, {
      env: { LONGSHORE_PACKAGE_STORE_SIZE: "1MiB" },
      fault(_n, { path }, response) {
        if (path === "/half.csv") {
          response.writeHead(200, { "content-length": content.length });
          if (++tries > 2) response.end(content);
          else response.write(content.subarray(0, 1_000), () => response.destroy());
        } else if (path === "/huge") response.end(Buffer.alloc(2 ** 20 + 1));
        else return false;
        return true;
      },
    });
    const one = await made(here, { kind: "url", resourceUrl: `${here.portal.origin}/half.csv` });
    assert.equal(tries, 3);
    assert.ok(content.equals(unzipped(pathOf(here, one), "half.csv")));
    await here.packages.clear();
    const error = await failed(here, { kind: "url", resourceUrl: `${here.portal.origin}/huge` });
    assert.equal(error?.code, "remote_too_large");
  });
});

describe("what packages leave", () => {
  test("a package that was published by a worker that died is made once more, and the first ZIP goes", async (t) => {
    const here = await packaging(t);
    const { order, package: ordered } = await here.order();
    const job = ordered.job ?? assert.fail();
    // As after a crash between publishing the ZIP and saying so: its name is in the checkpoint.
    const fileName = `${ordered.cacheKey.slice(0, 32)}-${job}-1.zip`;
    const workspace = await here.workspace(ordered.id);
    const file = await workspace.append("x", 0);
    await file.write(Buffer.from("of the dead"));
    await file.close();
    await workspace.publish("x", fileName);
    await here.foundation.stores.jobs.update(job, ["queued"], { checkpoint: { fileName } }, 1);
    assert.deepEqual(await here.stored(), [fileName]);
    const settled = await here.settled(order.id);
    assert.equal(settled.package.status, "ready");
    assert.deepEqual(await here.stored(), [settled.package.fileName]);
    await until("the job is over", async () => (await here.jobs.get(job)).state === "succeeded");
  });
});
