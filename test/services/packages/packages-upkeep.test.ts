import assert from "node:assert/strict";
import { readdir, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { packageId } from "../../../src/core/ids.ts";
import { ADA, countedTable, type Packaging, packaging } from "../../support/packaging.ts";

const HOUR_MS = 3_600_000;
const signal = new AbortController().signal;

async function ready(here: Packaging, resourceId = "r") {
  const { order } = await here.order({ recipe: here.recipe({ resourceId }) });
  return here.settled(order.id);
}

const ids = (...some: readonly Awaited<ReturnType<typeof ready>>[]) => some.map(({ package: made }) => made.id);

describe("eviction", () => {
  test("a package goes when the last link to it has expired, and not before", async (t) => {
    const here = await packaging(t, { env: { LONGSHORE_PACKAGE_KEEP_HOURS: "10" } });
    const one = await ready(here);
    here.pass(6 * HOUR_MS);
    const later = await here.order();
    assert.equal(later.package.id, one.package.id);
    here.pass(6 * HOUR_MS);
    assert.deepEqual(await here.packages.evict(signal), [], "the later order has a link still");
    assert.equal((await here.stored()).length, 1);
    here.pass(5 * HOUR_MS);
    assert.deepEqual(await here.packages.evict(signal), ids(one));
    assert.deepEqual(await here.stored(), []);
    assert.equal((await here.packages.get(ADA, one.order.id)).package.status, "expired");
    await assert.rejects(here.packages.renew(ADA, one.order.id), { code: "package_gone" });
    assert.equal((await here.order()).package.status, "building");
    here.pass(31 * 24 * HOUR_MS);
    await here.packages.evict(signal);
    await assert.rejects(here.packages.get(ADA, one.order.id), { code: "package_unknown" });
  });

  test("when space is short, the least recently used go until the rest fits", async (t) => {
    const names = ["a", "b", "c", "d"];
    const tables = Object.fromEntries(names.map((name) => [name, countedTable(100)]));
    const here = await packaging(t, { tables, env: { LONGSHORE_PACKAGE_STORE_SIZE: "2000" } });
    const [a, b, c] = [await ready(here, "a"), await ready(here, "b"), await ready(here, "c")];
    const sizes = [a, b, c].map((one) => one.package.sizeBytes ?? 0);
    assert.ok(
      sizes.every((size) => size > 666 && size <= 1_000),
      `two fit, three do not: ${sizes}`,
    );
    here.pass(1_000);
    await here.packages.counted(a.order.id);
    assert.deepEqual(await here.packages.evict(signal), ids(b));
    assert.deepEqual((await here.stored()).toSorted(), [a.package.fileName, c.package.fileName].toSorted());
    assert.deepEqual(await here.packages.evict(signal), []);
  });

  test("a file that somebody links to in the folder is kept, and foreign files are nobody's business", async (t) => {
    const here = await packaging(t, { env: { LONGSHORE_PACKAGE_KEEP_HOURS: "10" } });
    const one = await ready(here);
    const name = one.package.fileName ?? "";
    await symlink(name, join(here.storeDir, "gbif.zip"));
    const stray = `${"0".repeat(32)}-7-1600000000.zip`;
    for (const file of [stray, "someone-else.zip"]) {
      await writeFile(join(here.storeDir, file), "x");
      await utimes(join(here.storeDir, file), 1_600_000_000, 1_600_000_000);
    }
    await writeFile(join(here.storeDir, stray.replace("-7-", "-8-")), "just written");
    here.pass(1 * HOUR_MS);
    assert.deepEqual(await here.packages.evict(signal), []);
    assert.deepEqual(
      (await here.stored()).toSorted(),
      [name, "gbif.zip", "someone-else.zip", stray.replace("-7-", "-8-")].toSorted(),
    );
    here.pass(200 * HOUR_MS);
    assert.deepEqual(await here.packages.evict(signal), []);
    assert.ok((await here.stored()).includes(name));
  });

  test("workspaces of packages that nobody makes any more are swept; of those being made, they stay", async (t) => {
    const here = await packaging(t);
    const { package: building } = await here.order();
    for (const name of [building.id, packageId("of-a-dead-job")]) {
      const file = await (await here.workspace(name)).append("1.part", 0);
      await file.close();
    }
    await here.packages.tidyWork(signal);
    assert.deepEqual(await readdir(join(here.storeDir, ".longshore")), [building.id]);
  });
});

describe("statistics of packages", () => {
  test("an order is counted when its requester has been told, and not before", async (t) => {
    const here = await packaging(t);
    const { order } = await here.order({ email: "Ada@x.org", recipe: here.recipe({ limit: 30 }) });
    assert.deepEqual(await here.statistics.totals(), {});
    const { package: made } = await here.settled(order.id);
    await here.told(order.id);
    const totals = { emails: 1, requests: 1, errors: 0, bytes: made.sizeBytes, rows: 30 };
    assert.deepEqual(await here.statistics.totals(), { "*": totals, r: totals });
    const [entry] = await here.statistics.requests({ email: "Ada@x.org", offset: 0, limit: 10 });
    assert.deepEqual([entry?.email, entry?.domain, entry?.count], ["Ada@x.org", "x.org", "30"]);
    assert.deepEqual(await here.statistics.requests({ email: "ada@x.org", offset: 0, limit: 10 }), []);
  });

  test("who leaves no address is counted when the package is ready", async (t) => {
    const here = await packaging(t);
    const { order } = await here.order();
    await here.settled(order.id);
    await here.order();
    const { r } = await here.statistics.totals("r");
    assert.deepEqual([r?.emails, r?.requests], [0, 2]);
  });

  test("anonymous statistics hold no address, and are still searched by it", async (t) => {
    const here = await packaging(t, { env: { LONGSHORE_PACKAGE_ANONYMIZE: "true" } });
    for (const email of ["Ada@x.org", "ada@X.org"]) {
      const { order } = await here.order({ email });
      await here.settled(order.id);
      await here.told(order.id);
    }
    const entries = await here.statistics.requests({ email: "ADA@x.org", offset: 0, limit: 10 });
    assert.equal(entries.length, 2);
    for (const { email, domain } of entries) {
      assert.match(email ?? "", /^[0-9a-f]{64}$/);
      assert.equal(domain, "x.org");
    }
    assert.equal((await here.statistics.totals("r")).r?.emails, 1);
  });
});
