import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { describe, test } from "node:test";
import { headOf, smtpError } from "../../support/mail-server.ts";
import {
  ADA,
  countedCsv,
  countedTable,
  memberNames,
  PUBLIC_URL,
  packaging,
  unzipped,
} from "../../support/packaging.ts";
import { until } from "../../support/until.ts";

const HOUR_MS = 3_600_000;
const tokenOf = (link: string | null) => /\/links\/([^/]+)\/[^/]+\.zip$/.exec(link ?? "")?.[1] ?? "";

describe("packages", () => {
  test("an order becomes a ZIP with the rows, a link that leads to it, and a mail with the link", async (t) => {
    const here = await packaging(t);
    const ordered = await here.order({ email: "ada@example.org", door: true });
    assert.equal(ordered.package.status, "building");
    assert.equal(ordered.link, null);
    assert.equal(here.portal.requests.length, 0, "nothing is fetched by the order itself");
    await assert.rejects(here.packages.file(ADA, ordered.order.id), { code: "package_not_ready" });

    const { package: made, order, link } = await here.settled(ordered.order.id);
    assert.equal(made.status, "ready", JSON.stringify(made.error));
    assert.equal(made.rowCount, 100);
    // Contract of ckanpackager's consumers: <md5 hex>-<number>-<seconds>.zip, flat.
    assert.match(made.fileName ?? "", /^[0-9a-f]{32}-\d+-\d{10}\.zip$/);
    assert.deepEqual(await here.stored(), [made.fileName]);
    const path = join(here.storeDir, made.fileName ?? "");
    assert.deepEqual(memberNames(path), ["resource.csv"]);
    assert.equal(unzipped(path, "resource.csv").toString(), countedCsv(100));
    const bytes = await readFile(path);
    assert.equal(made.digest, createHash("sha256").update(bytes).digest("hex"));
    assert.equal(made.sizeBytes, bytes.length);

    assert.ok(link?.startsWith(`${PUBLIC_URL}/links/`) && link.endsWith(`/${made.fileName}`), String(link));
    const { file } = await here.packages.follow(tokenOf(link));
    assert.equal(file.etag, `"${made.digest}"`);
    assert.ok(bytes.equals(await buffer(await file.open())));
    assert.ok(bytes.subarray(3, 9).equals(await buffer(await file.open({ start: 3, end: 8 }))));

    await here.told(order.id);
    const [mail] = here.mails.received;
    assert.deepEqual(mail?.to, ["ada@example.org"]);
    assert.equal(headOf(mail ?? assert.fail(), "subject"), `Resource from ${new URL(here.portal.origin).host}`);
    assert.ok(mail?.source.replaceAll("=\r\n", "").includes(tokenOf(link)), "the mail has the link");
  });

  test("equal orders share one job and one package, and each has a link of its own", async (t) => {
    const here = await packaging(t);
    const orders = await Promise.all(
      ["a@x.org", "b@x.org", undefined, "a@x.org"].map((email) => here.order(email === undefined ? {} : { email })),
    );
    assert.equal(new Set(orders.map((one) => one.package.id)).size, 1);
    assert.equal((await here.jobs.list({ kind: "package", limit: 10 })).length, 1);
    for (const { order } of orders) await here.settled(order.id);
    const shown = await here.packages.list(ADA, { limit: 10 });
    assert.equal(new Set(shown.map(({ link }) => link)).size, 4);
    await until("three mails have come", () => here.mails.received.length === 3);

    const asked = here.portal.requests.length;
    const later = await here.order({ email: "c@x.org" });
    assert.equal(later.package.status, "ready");
    assert.ok(later.link);
    await here.told(later.order.id);
    assert.equal(here.portal.requests.length, asked, "a fresh package costs the portal nothing");

    here.pass(25 * HOUR_MS);
    const stale = await here.order();
    assert.equal(stale.package.status, "building");
    assert.notEqual(stale.package.id, later.package.id);
    assert.ok(await here.packages.follow(tokenOf(later.link)), "the earlier one is kept for those who have its link");
  });

  test("what differs in recipe or key is another package; an address, and the order of names, make no difference", async (t) => {
    const here = await packaging(t);
    const one = { filters: { a: ["x"], b: 1 } };
    const orders = [
      await here.order({ recipe: here.recipe(one), email: "a@x.org" }),
      await here.order({ recipe: here.recipe({ filters: { b: 1, a: ["x"] } }), email: "b@x.org", owner: "bob" }),
      await here.order({ recipe: here.recipe(one), key: "k1" }),
      await here.order({ recipe: here.recipe(one), key: "k2" }),
      await here.order({ recipe: here.recipe({ ...one, kind: "dwca" }) }),
      await here.order({ recipe: here.recipe({ ...one, doi: "10.5519/1" }) }),
    ];
    const [first, same, ...others] = orders.map((ordered) => ordered.package.cacheKey);
    assert.equal(first, same);
    assert.equal(new Set([first, ...others]).size, 5);
  });

  test("the user's key reaches the portal, and lies nowhere in clear; afterwards nowhere at all", async (t) => {
    const key = "s3cret-of-ada-0123456789";
    const here = await packaging(t, { tables: { r: countedTable(10, { key }) } });
    const { order, package: made } = await here.order({ key });
    const sealed = await here.foundation.stores.packages.sealedKey(made.id);
    assert.ok(sealed !== null && !sealed.includes(key));
    const settled = await here.settled(order.id);
    assert.equal(settled.package.status, "ready", JSON.stringify(settled.package.error));
    assert.equal(await here.foundation.stores.packages.sealedKey(made.id), null);
    for (const file of ["longshore.sqlite", "longshore.sqlite-wal"])
      assert.ok(!(await readFile(join(here.dataDir, file))).includes(key), `${file} has the key in clear`);
    const jobs = await here.jobs.list({ kind: "package", limit: 1 });
    assert.ok(!JSON.stringify([jobs, settled]).includes(key));
  });

  test("when the portal refuses, all who wait are told why, and nothing of it stays", async (t) => {
    const here = await packaging(t, { tables: { r: countedTable(10, { key: "another's" }) } });
    const orders = [await here.order({ email: "a@x.org" }), await here.order({ email: "b@x.org" })];
    for (const { order } of orders) {
      const { package: made } = await here.settled(order.id);
      assert.equal(made.status, "failed");
      assert.equal(made.error?.code, "portal_refused");
      await here.told(order.id);
      await assert.rejects(here.packages.file(ADA, order.id), { code: "package_failed" });
    }
    assert.deepEqual(here.mails.received.flatMap(({ to }) => to).toSorted(), ["a@x.org", "b@x.org"]);
    for (const mail of here.mails.received) assert.match(headOf(mail, "subject") ?? "", /could not be packed/);
    assert.deepEqual(await here.stored(), []);
    assert.deepEqual(await readdir(join(here.storeDir, ".longshore")), [], "no workspace is left");
    const totals = await here.statistics.totals();
    assert.deepEqual(totals["*"], { emails: 0, requests: 0, errors: 2, bytes: 0, rows: 0 });
    const again = await here.order();
    assert.notEqual(again.package.id, orders[0]?.package.id, "a package that failed is shared with nobody");
    await assert.rejects(here.jobs.retry(orders[0]?.package.job ?? assert.fail(), "ada"), {
      code: "job_state_conflict",
    });
  });

  test("trouble that passes is tried again, and nobody is told of it", async (t) => {
    const here = await packaging(t, {
      fault: (n, _request, response) => {
        if (n > 8) return false;
        response.socket?.destroy();
        return true;
      },
    });
    const { order } = await here.order({ email: "a@x.org" });
    const { package: made } = await here.settled(order.id);
    assert.equal(made.status, "ready");
    await here.told(order.id);
    assert.equal(here.mails.received.length, 1);
  });

  test("a cancelled job tells those who waited, and the next order is made anew", async (t) => {
    const here = await packaging(t);
    const { order, package: made } = await here.order({ email: "a@x.org" });
    await here.jobs.cancel(made.job ?? assert.fail(), "ada");
    const { package: over } = await here.told(order.id).then(({ order: { id } }) => here.packages.get(ADA, id));
    assert.equal(over.status, "failed");
    assert.equal(over.error?.code, "job_cancelled");
    const next = await here.order();
    assert.notEqual(next.package.id, made.id);
    assert.equal((await here.settled(next.order.id)).package.status, "ready");
  });

  test("links expire, are renewed and revoked; a signature that is not ours leads nowhere", async (t) => {
    const here = await packaging(t);
    const { order } = await here.order();
    const { link } = await here.settled(order.id);
    await here.packages.counted(order.id);
    assert.equal((await here.packages.get(ADA, order.id)).order.downloads, 1);

    here.pass(169 * HOUR_MS);
    await assert.rejects(here.packages.follow(tokenOf(link)), { code: "package_gone" });
    const renewed = await here.packages.renew(ADA, order.id);
    assert.notEqual(renewed.link, link);
    assert.ok(await here.packages.follow(tokenOf(link)), "the link that was sent works again");

    const revoked = await here.packages.revoke(ADA, order.id);
    assert.equal(revoked.link, null);
    for (const one of [link, renewed.link])
      await assert.rejects(here.packages.follow(tokenOf(one)), { code: "package_gone" });
    const anew = await here.packages.renew(ADA, order.id);
    assert.ok(await here.packages.follow(tokenOf(anew.link)));
    await assert.rejects(here.packages.follow(tokenOf(link)), { code: "package_gone" });
    await assert.rejects(
      here.packages.follow(
        tokenOf(link).replace(/\.(.)([^.]+)$/, (_, first, rest) => `.${first === "A" ? "B" : "A"}${rest}`),
      ),
      { code: "link_invalid" },
    );

    const bob = { ...ADA, name: "bob" };
    for (const attempt of [here.packages.get, here.packages.renew, here.packages.revoke, here.packages.file])
      await assert.rejects(attempt(bob, order.id), { code: "package_unknown" });
  });

  test("a mail that is refused for good shows on the order, and is an error, not a request", async (t) => {
    const here = await packaging(t, {
      mail: {
        refuse: () => {
          throw smtpError(550, "no such mailbox");
        },
      },
    });
    const { order } = await here.order({ email: "nobody@x.org" });
    await here.settled(order.id);
    const told = await here.told(order.id);
    assert.equal(told.order.refused?.code, "mail_refused");
    assert.equal(told.order.toldAt, null);
    assert.ok(told.link, "the package is there all the same");
    assert.deepEqual((await here.statistics.totals()).r, { emails: 0, requests: 0, errors: 1, bytes: 0, rows: 0 });
  });

  test("a webhook is told instead of, or beside, the mail; one that wants no more stands on the order", async (t) => {
    const told: Readonly<Record<string, unknown>>[] = [];
    const here = await packaging(t, {
      env: { LONGSHORE_WEBHOOK_SECRET: "a secret of more than 32 characters" },
      fault(_n, { path, body }, response) {
        if (!path.startsWith("/hook")) return false;
        if (path === "/hook") told.push(body);
        response.writeHead(path === "/hook" ? 204 : 410).end();
        return true;
      },
    });
    const both = await here.order({ email: "a@x.org", webhook: `${here.portal.origin}/hook` });
    const closed = await here.order({ webhook: `${here.portal.origin}/hook-that-is-gone` });
    const { link } = await here.settled(both.order.id);
    await here.told(closed.order.id);
    await until("the mail has come", () => here.mails.received.length === 1);
    await until("the webhook was called", () => told.length === 1);
    assert.equal(told[0]?.link, link);
    assert.equal((await here.packages.get(ADA, closed.order.id)).order.refused?.code, "notice_refused");
    // Told in two ways, counted once; and one that was not told is an error.
    await until("the one order is counted", async () => (await here.statistics.totals("r")).r?.requests === 1);
    assert.equal((await here.statistics.totals("r")).r?.errors, 1);
  });

  test("orders that cannot be served are refused at once", async (t) => {
    const here = await packaging(t, { env: { LONGSHORE_SMTP_URL: "" } });
    const refused = async (given: Parameters<typeof here.order>[0], code: string) =>
      assert.rejects(here.order(given), { code });
    await refused({ recipe: here.recipe({ apiUrl: "http://127.0.0.1:1/x" }) }, "fetch_refused");
    await refused({ recipe: here.recipe({ apiUrl: "file:///etc/passwd" }) }, "fetch_refused");
    await refused({ recipe: here.recipe({ apiUrl: "nonsense" }) }, "request_invalid");
    await refused({ recipe: here.recipe({ kind: "url" }) }, "request_invalid");
    await refused({ recipe: here.recipe({ kind: "dwca", format: "xlsx" }) }, "request_invalid");
    await refused({ recipe: here.recipe({ limit: -1 }) }, "request_invalid");
    for (const resourceId of ["*", "", "a\r\nb", "a\0b", "r".repeat(256)])
      await refused({ recipe: here.recipe({ resourceId }), door: true }, "request_invalid");
    await refused({ recipe: here.recipe({ doi: "10.1/\n" }), door: true }, "request_invalid");
    await refused({ email: "a@x.org\r\nBcc: b@x.org", door: true }, "request_invalid");
    await refused({ email: "a@x.org" }, "request_invalid");
    await refused({ webhook: `${here.portal.origin}/hook` }, "request_invalid");
    await refused(
      { recipe: here.recipe({ kind: "url", resourceUrl: "http://localhost/f" }), key: "k" },
      "request_invalid",
    );
    assert.deepEqual(await here.jobs.list({ kind: "package", limit: 1 }), []);
  });

  test("clear drops what is ready, and lets go of nothing that is being made", async (t) => {
    const here = await packaging(t, {
      tables: { r: countedTable(10), s: countedTable(5) },
    });
    const { order } = await here.order();
    const { link } = await here.settled(order.id);
    const waiting = await here.order({ recipe: here.recipe({ resourceId: "s" }) });
    assert.equal(await here.packages.clear(), 1);
    assert.deepEqual(await here.stored(), []);
    await assert.rejects(here.packages.follow(tokenOf(link)), { code: "package_gone" });
    assert.equal((await here.settled(waiting.order.id)).package.status, "ready");
    assert.equal((await here.order({ recipe: here.recipe({ resourceId: "s" }) })).package.status, "building");
  });

  test("a package whose file somebody removed is made anew for the next who orders it", async (t) => {
    const here = await packaging(t);
    const { order } = await here.order();
    const { package: made } = await here.settled(order.id);
    await rm(join(here.storeDir, made.fileName ?? ""));
    await assert.rejects(here.packages.file(ADA, order.id), { code: "package_gone" });
    const next = await here.order();
    assert.notEqual(next.package.id, made.id);
    assert.equal((await here.settled(next.order.id)).package.status, "ready");
  });
});
