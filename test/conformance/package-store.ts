import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Outbox } from "../../src/core/catalogue/catalogue-store.ts";
import { AppError, errorRecord } from "../../src/core/errors.ts";
import { type JobId, jobId, type OrderId, orderId, packageId } from "../../src/core/ids.ts";
import type { JobStore } from "../../src/core/jobs/job-store.ts";
import type { Recipe } from "../../src/core/packages/package.ts";
import type { NewPackage, PackageStore, Tell } from "../../src/core/packages/package-store.ts";
import { DAY_MS, type RequestEntry, type StatisticsStore } from "../../src/core/packages/statistics.ts";

export interface OpenedPackages {
  readonly packages: PackageStore;
  readonly statistics: StatisticsStore;
  readonly jobs: JobStore;
  readonly outbox: Outbox;
  close(): Promise<void>;
}

const RECIPE: Recipe = {
  kind: "datastore",
  resourceId: "r",
  apiUrl: "http://portal.example/api",
  filters: { "ü 漢": ["x", 1, null] },
  format: "csv",
  manifest: true,
};
const MADE = {
  fileName: "a-1-2.zip",
  sizeBytes: 2 ** 40,
  digest: "d".repeat(64),
  rowCount: 7,
  members: [{ name: "resource.csv", sizeBytes: 2 ** 41, crc32: 2 ** 32 - 1 }],
  freshUntil: 5_000,
  linkExpiresAt: 9_000,
};
const nobody: Tell = () => ({ messages: [] });

/** What every PackageStore and StatisticsStore must do. One fresh database for each of its suites. */
export function packageStoreConformance(name: string, open: () => Promise<OpenedPackages>): void {
  describe(`PackageStore: ${name}`, () => {
    let opened: OpenedPackages;
    let store: PackageStore;
    let last = 0;
    before(async () => {
      opened = await open();
      store = opened.packages;
    });
    after(() => opened?.close());

    const fresh = () => `${++last}`;
    const wish = (given = {}) => ({
      id: orderId(`order-${fresh()}`),
      owner: "ada",
      email: "ada@x.org",
      webhook: null,
      door: false,
      ...given,
    });
    function candidate(cacheKey: string, given: Partial<NewPackage> = {}): NewPackage {
      const id = packageId(`package-${fresh()}`);
      const job = {
        id: jobId(++last),
        kind: "package",
        lane: "fast",
        owner: "ada",
        input: { package: id },
        idempotencyKey: null,
        fedUntil: null,
        now: 1_000,
      } as const;
      return { id, cacheKey, recipe: RECIPE, lane: "fast", sealedKey: "sealed", job, ...given };
    }
    const order = (cacheKey: string, now = 1_000, tell = nobody) =>
      store.order(wish(), candidate(cacheKey), 9_000, now, tell);
    const begin = (id: JobId) =>
      opened.jobs.update(id, ["queued", "running"], { state: "running", attempts: 1 }, 1_000);
    /** A package that is ready, with one order. */
    async function ready(cacheKey: string, more: Partial<typeof MADE> = {}) {
      const ordered = await order(cacheKey);
      await begin(ordered.package.job ?? assert.fail());
      const made = { ...MADE, fileName: `${cacheKey}.zip`, ...more };
      assert.ok(await store.ready(ordered.package.id, 1, made, 2_000, nobody));
      return (await store.get(ordered.order.id)) ?? assert.fail();
    }
    const message = (id: OrderId) => ({ key: `mail:${id}`, channel: "mail", target: "x", payload: { orderId: id } });

    test("the first order enters the package with its job, which is queued", async () => {
      const wanted = wish({ webhook: "https://x.org/hook", door: true });
      const given = candidate("first");
      const ordered = await store.order(wanted, given, 9_000, 1_000, () => assert.fail("there is nothing to tell yet"));
      assert.deepEqual(ordered, {
        order: {
          ...wanted,
          packageId: given.id,
          linkExpiresAt: null,
          linkGeneration: 0,
          downloads: 0,
          createdAt: 1_000,
          toldAt: null,
          refused: null,
        },
        package: {
          id: given.id,
          cacheKey: "first",
          recipe: RECIPE,
          status: "building",
          lane: "fast",
          job: given.job.id,
          fileName: null,
          sizeBytes: null,
          digest: null,
          rowCount: null,
          members: [],
          error: null,
          freshUntil: null,
          createdAt: 1_000,
          finishedAt: null,
          lastUsedAt: 1_000,
        },
      });
      assert.deepEqual(await store.get(wanted.id), ordered);
      assert.deepEqual(await store.package(given.id), ordered.package);
      const job = await opened.jobs.get(given.job.id);
      assert.deepEqual([job?.state, job?.input], ["queued", { package: given.id }]);
      assert.equal(await store.sealedKey(given.id), "sealed");
      assert.equal(await store.get(orderId("nobody's")), undefined);
    });

    test("of orders that come at the same time one enters the package, and all share it", async () => {
      const all = await Promise.all(Array.from({ length: 8 }, () => order("racing")));
      assert.equal(new Set(all.map((one) => one.package.id)).size, 1);
      const jobs = await opened.jobs.list({ kind: "package", limit: 100 });
      assert.equal(jobs.filter(({ input }) => input.package === all[0]?.package.id).length, 1);
    });

    test("when it is ready everyone who waits has a link and is told, and the key is forgotten", async () => {
      const one = await order("made");
      const other = await order("made");
      const { id, job } = one.package;
      await begin(job ?? assert.fail());
      const told: OrderId[] = [];
      const tell: Tell = (its, of) => {
        assert.equal(of.status, "ready");
        assert.equal(its.linkExpiresAt, MADE.linkExpiresAt);
        told.push(its.id);
        return { messages: [message(its.id)] };
      };
      assert.equal(await store.ready(id, 1, MADE, 2_000, tell), true);
      assert.deepEqual(told, [one.order.id, other.order.id]);
      const { linkExpiresAt, ...facts } = MADE;
      const made = { ...one.package, ...facts, status: "ready", finishedAt: 2_000, lastUsedAt: 2_000 };
      assert.deepEqual(await store.get(one.order.id), {
        order: { ...one.order, linkExpiresAt },
        package: made,
      });
      assert.equal(await store.sealedKey(id), null);
      const claimed = await opened.outbox.claim(2_000, 60_000, 10);
      assert.deepEqual(claimed.map(({ key }) => key).toSorted(), told.map((its) => `mail:${its}`).toSorted());
      assert.equal(await store.ready(id, 1, MADE, 3_000, () => assert.fail("told twice")), false);
    });

    test("a worker that has lost its job makes nothing ready", async () => {
      const { package: made } = await order("lost");
      const job = made.job ?? assert.fail();
      assert.equal(await store.ready(made.id, 1, MADE, 2_000, nobody), false, "the job has not begun");
      await begin(job);
      await opened.jobs.update(job, ["running"], { attempts: 2 }, 1_500);
      assert.equal(await store.ready(made.id, 1, MADE, 2_000, nobody), false);
      assert.equal((await store.package(made.id))?.status, "building");
    });

    test("what tell throws changes nothing: a package is never ready with nobody told", async () => {
      const { package: made } = await order("untold");
      await begin(made.job ?? assert.fail());
      const broken: Tell = () => {
        throw new Error("no template");
      };
      await assert.rejects(store.ready(made.id, 1, MADE, 2_000, broken), /no template/);
      assert.equal((await store.package(made.id))?.status, "building");
      assert.equal(await store.ready(made.id, 1, MADE, 2_000, nobody), true);
    });

    test("a ready package is given to whoever orders it while it is fresh, and told of at once", async () => {
      const { package: made } = await ready("fresh");
      const tell: Tell = (its) => ({ messages: [message(its.id)] });
      const next = await store.order(wish({ owner: "bob" }), candidate("fresh"), 12_000, 4_999, tell);
      assert.equal(next.package.id, made.id);
      assert.equal(next.order.linkExpiresAt, 12_000);
      assert.ok((await opened.outbox.claim(5_000, 60_000, 10)).some(({ key }) => key === `mail:${next.order.id}`));
      assert.equal((await store.live("fresh", 4_999))?.id, made.id);
      assert.equal(await store.live("fresh", 5_000), undefined);
      const stale = await order("fresh", 5_000);
      assert.notEqual(stale.package.id, made.id);
      assert.equal((await store.live("fresh", 5_000))?.id, stale.package.id);
    });

    test("a package whose job is over, or to be cancelled, is shared no more", async () => {
      for (const change of [
        { state: "failed" as const, finishedAt: 1 },
        { state: "running" as const, cancelRequested: true },
      ]) {
        const one = await order(`doomed ${change.state}`);
        await opened.jobs.update(one.package.job ?? assert.fail(), ["queued"], change, 1_000);
        const next = await order(`doomed ${change.state}`);
        assert.notEqual(next.package.id, one.package.id);
      }
    });

    test("when it fails everyone who waits is told, it is logged, and the next order begins anew", async () => {
      const one = await order("failing");
      await order("failing");
      const error = errorRecord(new AppError("portal_refused", { found: 403 }));
      const tell: Tell = (its, of) => ({
        messages: [message(its.id)],
        error: { order: its.id, at: 2_000, resourceId: "failed-r", email: its.email, message: of.error?.message ?? "" },
      });
      assert.equal(await store.fail(one.package.id, error, 2_000, tell), true);
      assert.equal(await store.fail(one.package.id, error, 2_000, tell), false);
      const made = await store.package(one.package.id);
      assert.deepEqual([made?.status, made?.error, made?.finishedAt], ["failed", error, 2_000]);
      assert.equal(await store.sealedKey(one.package.id), null);
      const logged = await opened.statistics.errors({ resourceId: "failed-r", offset: 0, limit: 10 });
      assert.deepEqual(
        logged.map((entry) => entry.message),
        [error.message, error.message],
      );
      assert.notEqual((await order("failing")).package.id, one.package.id);
    });

    test("whether its requester was told stands on the order", async () => {
      const one = await order("telling");
      const error = errorRecord(new AppError("mail_refused"));
      await store.told(one.order.id, error, 3_000);
      assert.deepEqual((await store.get(one.order.id))?.order, { ...one.order, refused: error });
      await store.told(one.order.id, null, 3_000);
      assert.equal((await store.get(one.order.id))?.order.toldAt, 3_000);
    });

    test("links are renewed while the package is there, and revoked", async () => {
      const { order: its, package: made } = await ready("links");
      const renewed = await store.renew(its.id, 20_000, 9_500);
      assert.equal(renewed?.order.linkExpiresAt, 20_000);
      assert.equal(await store.expire(made.id, 15_000, true), false, "a link leads to it still");
      const revoked = await store.revoke(its.id);
      assert.deepEqual(revoked?.order, { ...its, linkExpiresAt: null, linkGeneration: 1 });
      assert.equal(await store.expire(made.id, 20_000, true), true);
      assert.equal(await store.renew(its.id, 30_000, 21_000), undefined);
      assert.equal(await store.revoke(orderId("nobody's")), undefined);
    });

    test("packages are due when the last of their links has expired, and leave by their last use", async () => {
      const [one, two] = [
        await ready("due 1", { linkExpiresAt: 100_000 }),
        await ready("due 2", { linkExpiresAt: 90_000 }),
      ];
      const due = async (now: number) =>
        (await store.due(now, 100)).map(({ id }) => id).filter((id) => id === one.package.id || id === two.package.id);
      assert.deepEqual(await due(89_999), []);
      assert.deepEqual(await due(100_000), [two.package.id, one.package.id]);
      await store.keep(two.package.id, 200_000, 50_000);
      assert.deepEqual(await due(100_000), [one.package.id]);
      await store.countDownload(one.order.id, 60_000);
      assert.equal((await store.get(one.order.id))?.order.downloads, 1);
      const byUse = (await store.leastUsed(100)).map(({ id }) => id);
      assert.deepEqual(byUse.slice(-2), [two.package.id, one.package.id]);
      const before = await store.usedBytes();
      assert.ok(await store.holds("due 1.zip"));
      assert.equal(await store.expire(one.package.id, 1, false), true);
      assert.equal(await store.expire(one.package.id, 1, false), false);
      assert.equal(before - (await store.usedBytes()), MADE.sizeBytes);
      assert.equal(await store.holds("due 1.zip"), false);
      assert.equal((await store.get(one.order.id))?.package.status, "expired");
    });

    test("once all are retired, the same order makes a new package", async () => {
      const { package: made } = await ready("retired");
      await store.retireAll();
      assert.notEqual((await order("retired")).package.id, made.id);
      assert.equal((await store.package(made.id))?.status, "ready");
    });

    test("orders are listed newest first, of one owner or all, from one on", async () => {
      const ids = [];
      for (const owner of ["eve", "eve", "ivy", "eve"])
        ids.push((await store.order(wish({ owner }), candidate("listed"), 1, 1, nobody)).order.id);
      const listed = async (filter: Parameters<PackageStore["list"]>[0]) =>
        (await store.list(filter)).map((one) => one.order.id);
      const [first = assert.fail(), second = assert.fail(), third, fourth = assert.fail()] = ids;
      assert.deepEqual(await listed({ owner: "eve", limit: 10 }), [fourth, second, first]);
      assert.deepEqual(await listed({ owner: "eve", limit: 1, before: fourth }), [second]);
      assert.deepEqual(await listed({ limit: 2 }), [fourth, third]);
      assert.deepEqual(await listed({ owner: "nobody", limit: 2 }), []);
      await assert.rejects(store.list({ limit: 1, before: orderId("x") }), { code: "package_unknown" });
    });

    test("packages that are long over are forgotten with their orders; others are not", async () => {
      const old = await ready("old");
      const young = await ready("young");
      const building = await order("building");
      await store.expire(old.package.id, 10, false);
      await store.expire(young.package.id, 1_000_000, false);
      while (await store.forget(11));
      assert.equal(await store.get(old.order.id), undefined);
      assert.equal(await store.package(old.package.id), undefined);
      for (const { order: its } of [young, building]) assert.ok(await store.get(its.id));
    });
  });

  describe(`StatisticsStore: ${name}`, () => {
    let opened: OpenedPackages;
    before(async () => {
      opened = await open();
    });
    after(() => opened?.close());
    let orders = 0;
    const request = (given: Partial<RequestEntry> = {}): RequestEntry => ({
      order: orderId(`o${++orders}`),
      at: DAY_MS,
      resourceId: "r",
      email: "ada@x.org",
      domain: "x.org",
      count: null,
      sizeBytes: 10,
      rowCount: 3,
      ...given,
    });

    test("nothing counted, nothing shown", async () => {
      const { statistics } = opened;
      assert.deepEqual(await statistics.totals(), {});
      assert.deepEqual(await statistics.totals("r"), {});
      assert.deepEqual(await statistics.days({ from: 0, until: 10 * DAY_MS }), []);
    });

    test("requests, errors, and addresses seen for the first time, by resource and in all", async () => {
      // The totals are those that ckanpackager would show (contract, section 9), worked out by hand.
      const { statistics } = opened;
      const once = request();
      await statistics.addRequest(once);
      await statistics.addRequest(once); // told twice, counted once
      await statistics.addRequest(request({ at: 2 * DAY_MS - 1, count: "50" }));
      await statistics.addRequest(request({ at: 2 * DAY_MS, resourceId: "s", sizeBytes: 2 ** 50 }));
      await statistics.addRequest(request({ at: 3 * DAY_MS, resourceId: "s", email: "Ada@x.org" }));
      await statistics.addRequest(request({ at: 3 * DAY_MS, email: null, domain: null }));
      const error = {
        order: orderId("e1"),
        at: 3 * DAY_MS,
        resourceId: "s",
        email: "bob@x.org",
        message: "gone\nfor good",
      };
      await statistics.addError(error);
      await statistics.addError(error);

      const r = { emails: 1, requests: 3, errors: 0, bytes: 30, rows: 9 };
      const s = { emails: 2, requests: 2, errors: 1, bytes: 2 ** 50 + 10, rows: 6 };
      const all = { emails: 2, requests: 5, errors: 1, bytes: 2 ** 50 + 40, rows: 15 };
      assert.deepEqual(await statistics.totals(), { "*": all, r, s });
      assert.deepEqual(await statistics.totals("s"), { s });

      const day = (n: number, given: object) => ({ day: n * DAY_MS, emails: 0, errors: 0, ...given });
      assert.deepEqual(await statistics.days({ from: 0, until: 3 * DAY_MS }), [
        day(1, { emails: 1, requests: 2, bytes: 20, rows: 6 }),
        day(2, { requests: 1, bytes: 2 ** 50, rows: 3 }),
      ]);
      assert.deepEqual(await statistics.days({ resourceId: "s", from: 3 * DAY_MS, until: 9 * DAY_MS }), [
        day(3, { emails: 1, requests: 1, errors: 1, bytes: 10, rows: 3 }),
      ]);

      assert.deepEqual(await statistics.errors({ offset: 0, limit: 10 }), [error]);
      assert.deepEqual(await statistics.errors({ email: "ada@x.org", offset: 0, limit: 10 }), []);
      const page = await statistics.requests({ offset: 1, limit: 2 });
      assert.deepEqual(
        page.map(({ at, resourceId, email }) => [at / DAY_MS, resourceId, email]),
        [
          [3, "s", "Ada@x.org"],
          [2, "s", "ada@x.org"],
        ],
      );
      const ofAda = await statistics.requests({ email: "ada@x.org", resourceId: "r", offset: 0, limit: 10 });
      assert.deepEqual(
        ofAda.map(({ count }) => count),
        ["50", null],
      );
      assert.deepEqual(ofAda.at(-1), once);
    });

    test("requests that are logged at the same time are all counted", async () => {
      const { statistics } = opened;
      await Promise.all(Array.from({ length: 20 }, () => statistics.addRequest(request({ resourceId: "busy" }))));
      assert.deepEqual(await statistics.totals("busy"), {
        busy: { emails: 1, requests: 20, errors: 0, bytes: 200, rows: 60 },
      });
    });
  });
}
