import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { inflateRawSync } from "node:zlib";
import { type Longshore, longshore, type NewPackage } from "../../src/sdk/index.ts";
import { type Ckan, ckan } from "../support/ckan.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { countedCsv, countedTable } from "../support/packaging.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const ROWS = 2_500;

const codeOf = async (answer: Response) => ((await answer.json()) as { readonly code: string }).code;

describe("packages of the SDK", () => {
  let portal: Ckan;
  let server: ServerProcess;
  let client: Longshore;
  let order: NewPackage;
  /** Pages are held back until this is resolved. */
  let gate = Promise.resolve();
  before(async () => {
    portal = await ckan({
      tables: { r: countedTable(ROWS), secret: countedTable(3, { key: "key of ada" }) },
      fault: async () => {
        await gate;
        return false;
      },
    });
    server = await startServer({ env: { LONGSHORE_FETCH_ORIGINS: portal.origin } });
    client = longshore({ url: server.url });
    order = { kind: "datastore", resourceId: "r", apiUrl: portal.apiUrl };
  });
  after(async () => {
    await server.stop();
    await portal.close();
  });

  test("a package is ordered, waited for, listed and downloaded in parts", async () => {
    const ordered = await client.packages.order({ ...order, filters: { name: ["row 7", "row 9"] }, fields: "name" });
    const one = await client.packages.wait(ordered.id);
    assert.deepEqual([one.id, one.status, one.rows, one.error], [ordered.id, "ready", 2, null]);
    assert.deepEqual(one.recipe, {
      ...order,
      filters: { name: ["row 7", "row 9"] },
      fields: "name",
      format: "csv",
      manifest: true,
    });
    assert.deepEqual(
      one.members.map(({ name }) => name),
      ["resource.csv", "manifest.json"],
    );
    assert.equal((await client.packages.list({ limit: 1 }).page()).items[0]?.id, one.id);

    const { sizeBytes, etag } = await client.packages.stat(one.id);
    assert.equal(sizeBytes, one.sizeBytes);
    const bytes = await buffer((await client.packages.download(one.id)).bytes);
    assert.equal(createHash("sha256").update(bytes).digest("hex"), one.sha256);
    const ranged = { from: 10, to: 29, ...(etag === null ? {} : { ifRange: etag }) };
    const part = await client.packages.download(one.id, ranged);
    assert.deepEqual([part.from, part.sizeBytes, part.etag], [10, sizeBytes, etag]);
    assert.ok((await buffer(part.bytes)).equals(bytes.subarray(10, 30)));
    assert.equal((await client.packages.get(one.id)).downloads, 1);
    // APPNOTE 6.3 §4.3.7: the first member's name and bytes follow a header of 30 bytes.
    const [nameBytes, extraBytes] = [bytes.readUInt16LE(26), bytes.readUInt16LE(28)];
    const csv = inflateRawSync(bytes.subarray(30 + nameBytes + extraBytes)).toString();
    assert.equal(csv, "name\nrow 7\nrow 9\n");
  });

  test("an equal order shares what is made, with a link of its own", async () => {
    const [a, b] = await Promise.all([client.packages.order(order), client.packages.order(order)]);
    assert.notEqual(a.id, b.id);
    const [one, other] = [await client.packages.wait(a.id), await client.packages.wait(b.id)];
    assert.deepEqual([one.fileName, one.job, one.rows], [other.fileName, other.job, ROWS]);
    assert.notEqual(one.link, other.link);
    const csv = one.members.find(({ name }) => name === "resource.csv");
    assert.equal(csv?.sizeBytes, countedCsv(ROWS).length);
  });

  test("a link is revoked for good, and a renewal makes another one", async () => {
    const { id } = await client.packages.order(order);
    const { link } = await client.packages.wait(id);
    assert.equal((await fetch(link ?? "")).status, 200);
    assert.equal((await client.packages.revoke(id)).link, null);
    const refused = await fetch(link ?? "");
    assert.equal(await codeOf(refused), "package_gone");
    const renewed = await client.packages.renew(id);
    assert.ok(renewed.link !== null && renewed.link !== link);
    assert.equal((await fetch(renewed.link)).status, 200);
    assert.equal((await fetch(link ?? "")).status, refused.status);
  });

  test("what cannot be made is refused at once, or fails with the reason", async () => {
    await assert.rejects(client.packages.order({ ...order, apiUrl: "http://127.0.0.1:1/datastore_search" }), {
      code: "fetch_refused",
    });
    await assert.rejects(client.packages.order({ ...order, kind: "dwca", format: "xlsx" }), {
      code: "request_invalid",
    });
    const hidden = await client.packages.wait((await client.packages.order({ ...order, resourceId: "secret" })).id);
    assert.deepEqual([hidden.status, hidden.error?.code], ["failed", "portal_refused"]);
    await assert.rejects(client.packages.download(hidden.id), { code: "package_failed" });
    await assert.rejects(client.packages.get("unknown"), { code: "package_unknown", status: 404 });
    const shown = await client.packages.order({ ...order, resourceId: "secret", key: "key of ada" });
    assert.equal((await client.packages.wait(shown.id)).rows, 3);
    assert.doesNotMatch(JSON.stringify(await client.packages.get(shown.id)), /key of ada/);
  });

  test("waiting tells how it goes, and outlasts a server that goes away for a while", async () => {
    const open = Promise.withResolvers<void>();
    gate = open.promise;
    const proxy = await faultyProxy(server.url);
    try {
      const { id, status } = await client.packages.order({ ...order, limit: 11 });
      assert.equal(status, "building");
      await assert.rejects(client.packages.download(id), { code: "package_not_ready" });
      proxy.cutAfter(() => 100);
      let retries = 0;
      const seen: string[] = [];
      const waiting = longshore({ url: proxy.url }).packages.wait(id, {
        onRetry: () => retries++,
        onProgress: ({ status }) => seen.push(status),
      });
      await until("it has tried again", () => retries >= 2);
      proxy.heal();
      await until("it has looked", () => seen.length > 0);
      open.resolve();
      assert.equal((await waiting).status, "ready");
      assert.deepEqual([seen[0], seen.at(-1)], ["building", "ready"]);
    } finally {
      open.resolve();
      await proxy.close();
    }
  });

  test("statistics count what was made; clearing drops it, and links lead nowhere", async () => {
    const today = new Date().toISOString().slice(0, 10);
    const { id } = await client.packages.order({ ...order, limit: 5 });
    const { link, sizeBytes } = await client.packages.wait(id);
    const { totals, days } = await client.packages.statistics({ resourceId: "r", from: "2020-01-01" });
    assert.ok(totals.requests >= 1 && totals.bytes >= (sizeBytes ?? 0) && totals.rows >= 5, JSON.stringify(totals));
    assert.ok(days.length > 0 && days.every(({ day }) => day >= today), JSON.stringify(days));
    assert.deepEqual((await client.packages.statistics({ resourceId: "r", to: "2020-01-01" })).days, []);
    assert.ok((await client.packages.clear()).removed >= 1);
    assert.equal((await client.packages.get(id)).status, "expired");
    assert.equal(await codeOf(await fetch(link ?? "")), "package_gone");
    await assert.rejects(client.packages.renew(id), { code: "package_gone" });
  });
});
