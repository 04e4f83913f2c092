import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AppError } from "../../src/core/errors.ts";
import { jobId } from "../../src/core/ids.ts";
import type { JobQueue } from "../../src/core/jobs/job-queue.ts";
import type { Entry } from "../../src/core/registers/entry.ts";
import {
  type EntryChange,
  type Judge,
  type NewEntry,
  type RegisterStore,
  STALE,
} from "../../src/core/registers/register-store.ts";

interface Opened {
  readonly registers: RegisterStore;
  readonly queue: JobQueue;
  readonly outbox: { depth(): Promise<number> };
  close(): Promise<void>;
}

const NOW = 1_700_000_000_000;
const LENIENT: Judge = { keysOf: () => [], end: () => undefined };

/** What every RegisterStore must do. One fresh database for the whole suite. */
export function registerStoreConformance(name: string, open: () => Promise<Opened>): void {
  describe(`RegisterStore: ${name}`, () => {
    let opened: Opened;
    let store: RegisterStore;
    before(async () => {
      opened = await open();
      store = opened.registers;
    });
    after(() => opened?.close());

    let last = 0;
    async function declared(judge = LENIENT): Promise<string> {
      const register = `register-${++last}`;
      await store.declare({ name: register, text: "{}", source: "api", view: null }, judge, NOW);
      return register;
    }
    const given = (one: Partial<NewEntry> = {}): NewEntry => ({
      owner: "ada",
      status: "Requested",
      fields: { fname: "a.mkv", size: 3 },
      keys: [],
      dueAt: null,
      job: null,
      actor: "ada",
      reason: null,
      tell: () => [],
      ...one,
    });
    async function made(register: string, ...entries: Partial<NewEntry>[]): Promise<readonly Entry[]> {
      const found = await store.create(register, 1, entries.map(given), NOW);
      assert.ok(found !== STALE);
      return found;
    }
    async function one(register: string, entry: Partial<NewEntry> = {}): Promise<Entry> {
      const [found] = await made(register, entry);
      assert.ok(found);
      return found;
    }
    const change = (fields: Partial<EntryChange>): EntryChange => ({ actor: "ada", isNoted: true, ...fields });
    const ids = (entries: readonly Entry[]) => entries.map(({ id }) => id);

    test("entries are counted from 1 in each register and come back as they were made", async () => {
      const register = await declared();
      const other = await declared();
      const fields = { text: "it's 漢🚢 \u0000", list: [1, "2", null], none: null, yes: true };
      const entry = await one(register, { fields, reason: "why", dueAt: NOW + 5 });
      assert.deepEqual(entry, {
        register,
        id: 1,
        owner: "ada",
        status: "Requested",
        version: 1,
        attempts: 0,
        reason: "why",
        fields,
        job: null,
        settled: false,
        dueAt: NOW + 5,
        createdAt: NOW,
        updatedAt: NOW,
      });
      assert.deepEqual(await store.get(register, 1), entry);
      assert.deepEqual(Object.keys((await store.get(register, 1))?.fields ?? {}), ["text", "list", "none", "yes"]);
      assert.deepEqual(ids(await made(register, {}, {})), [2, 3]);
      assert.deepEqual(ids(await made(other, {})), [1]);
      assert.equal(await store.get(register, 9), undefined);
    });

    test("entries are found by fields, type and all, by status and by owner, page by page", async () => {
      const register = await declared();
      const long = "x".repeat(5_000);
      await made(
        register,
        { fields: { a: "1", b: long } },
        { fields: { a: 1, b: `${long}y` } },
        { fields: { a: "1", b: null }, status: "Done" },
        { fields: { a: "1" }, owner: "eve" },
      );
      const list = async (query: object) => ids(await store.list({ register, limit: 10, ...query }));
      assert.deepEqual(await list({}), [1, 2, 3, 4]);
      assert.deepEqual(await list({ fields: { a: "1" } }), [1, 3, 4]);
      assert.deepEqual(await list({ fields: { a: 1 } }), [2]);
      assert.deepEqual(await list({ fields: { a: "1", b: long } }), [1]);
      assert.deepEqual(await list({ fields: { b: `${long}y` } }), [2]);
      assert.deepEqual(await list({ fields: { a: "1" }, status: "Done" }), [3]);
      assert.deepEqual(await list({ owner: "eve" }), [4]);
      assert.deepEqual(await list({ afterId: 2, limit: 1 }), [3]);
      assert.deepEqual(await list({ id: 2, fields: { a: "1" } }), []);
      assert.deepEqual(await store.counts(register), { Done: 1, Requested: 3 });
    });

    test("of ten who change the same entry at once one does, and the history says who", async () => {
      const register = await declared();
      const { id, version } = await one(register);
      const guard = { register, id, revision: 1, version };
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, n) => store.change(guard, change({ status: `By ${n}`, actor: `c${n}` }), NOW)),
      );
      const [winner, ...others] = answers.filter((answer) => answer !== undefined);
      assert.ok(winner && winner !== STALE);
      assert.deepEqual(others, []);
      const events = await store.history(register, id, 0, 100);
      assert.deepEqual(
        events.map(({ from, to, actor }) => [from, to, actor]),
        [
          [null, "Requested", "ada"],
          ["Requested", winner.status, winner.status.replace("By ", "c")],
        ],
      );
      assert.deepEqual(await store.history(register, id, events[0]?.seq ?? 0, 100), events.slice(1));
    });

    test("fields that change are found by their new values alone, and named in the history", async () => {
      const register = await declared();
      const { id } = await one(register, { fields: { a: 1, b: 2 } });
      const changed = await store.change({ register, id, revision: 1 }, change({ fields: { a: 5, b: 2 } }), NOW + 1);
      assert.ok(changed && changed !== STALE);
      assert.deepEqual([changed.version, changed.updatedAt, changed.fields], [2, NOW + 1, { a: 5, b: 2 }]);
      assert.deepEqual(await store.list({ register, fields: { a: 1 }, limit: 1 }), []);
      assert.deepEqual(ids(await store.list({ register, fields: { a: 5 }, limit: 1 })), [id]);
      assert.deepEqual((await store.history(register, id, 0, 9)).at(-1)?.changed, ["a"]);
    });

    test("no two entries have the same key; a change, or a removal, frees the old one", async () => {
      const register = await declared();
      const first = await one(register, { keys: ["k1"] });
      const taken = { code: "entry_exists", details: { register, entry: first.id, at: 1, key: "k1" } };
      await assert.rejects(made(register, { keys: ["k2"] }, { keys: ["k1"] }), taken);
      assert.deepEqual(ids(await store.list({ register, limit: 9 })), [first.id], "all or none");
      const guard = { register, id: first.id };
      await store.change({ ...guard, revision: 1 }, change({ keys: ["k3"] }), NOW);
      const second = await one(register, { keys: ["k1", "k2"] });
      assert.equal(await store.remove({ register, id: second.id }, "ada", null, NOW), true);
      assert.equal(await store.remove({ register, id: second.id }, "ada", null, NOW), false);
      await one(register, { keys: ["k2"] });
      assert.equal((await store.history(register, second.id, 0, 9)).at(-1)?.to, null, "its history stays");
    });

    test("a request that is repeated gives the entry it made", async () => {
      const register = await declared();
      const twice = await Promise.all([1, 2].map(() => store.create(register, 1, [given()], NOW, "ada request")));
      assert.deepEqual(twice[0], twice[1]);
      assert.equal((await store.list({ register, limit: 9 })).length, 1);
    });

    test("an entry's job is queued with it, and a change is the job's as long as the entry is", async () => {
      const register = await declared();
      const job = (n: number) => ({
        id: jobId(n),
        kind: "register-action",
        lane: "slow" as const,
        owner: "ada",
        input: { register },
        idempotencyKey: null,
        fedUntil: null,
        now: NOW,
      });
      const before = (await opened.queue.depth()).slow;
      const { id, job: own } = await one(register, { job: job(7_001) });
      assert.equal(own, 7_001);
      const guard = { register, id, revision: 1, job: jobId(7_001) };
      assert.ok(await store.change(guard, change({ job: job(7_002), status: "Next" }), NOW));
      assert.equal(await store.change(guard, change({ status: "Too late" }), NOW), undefined);
      assert.equal((await opened.queue.depth()).slow - before, 2);
      assert.deepEqual(await store.idle(register, "Next", 9), []);
      await store.change({ ...guard, job: jobId(7_002) }, change({ job: null, settled: true }), NOW);
      assert.deepEqual(
        (await store.idle(register, "Next", 9)).map((entry) => [entry.job, entry.settled]),
        [[null, true]],
      );
    });

    test("what is told goes into the outbox with the change, and not without it", async () => {
      const register = await declared();
      const before = await opened.outbox.depth();
      const tell = ({ id, version }: Entry) => [
        { key: `${register} ${id} ${version}`, channel: "mail", target: "a@b.example", payload: {} },
      ];
      const { id } = await one(register, { tell });
      assert.equal((await opened.outbox.depth()) - before, 1);
      assert.equal(await store.change({ register, id, revision: 1, version: 99 }, change({ tell }), NOW), undefined);
      assert.ok(await store.change({ register, id, revision: 1 }, change({ tell }), NOW));
      assert.equal((await opened.outbox.depth()) - before, 2);
    });

    test("entries are due when their time has come, the longest due first", async () => {
      const register = await declared();
      await made(register, { dueAt: NOW + 20 }, { dueAt: NOW + 10 }, { dueAt: NOW + 30 }, {});
      const due = async (at: number) => ids((await store.due(at, 10)).filter((one) => one.register === register));
      assert.deepEqual(await due(NOW + 20), [2, 1]);
      await store.change({ register, id: 2, revision: 1 }, change({ dueAt: null }), NOW);
      assert.deepEqual(await due(NOW + 99), [1, 3]);
    });

    test("a declaration judges what is there, and whoever judged by the one before is told so", async () => {
      const register = await declared();
      const { id } = await one(register);
      const text = '{"new":true}';
      const contradicting: Judge = {
        keysOf: () => [],
        end: () => {
          throw new AppError("register_contradicted");
        },
      };
      const declaration = { name: register, text, source: "file" as const, view: null };
      await assert.rejects(store.declare(declaration, contradicting, NOW), { code: "register_contradicted" });
      assert.equal((await store.declaration(register))?.text, "{}");
      const judged: number[] = [];
      const keeping: Judge = {
        keysOf(entries) {
          judged.push(...ids(entries));
          return entries.map((entry) => ({ entry: entry.id, key: "new key" }));
        },
        end: () => undefined,
      };
      const kept = await store.declare(declaration, keeping, NOW);
      assert.deepEqual(kept, { name: register, text, source: "file", revision: 2 });
      assert.deepEqual(judged, [id]);
      assert.equal(await store.create(register, 1, [given()], NOW), STALE);
      assert.equal(await store.change({ register, id, revision: 1 }, change({ status: "x" }), NOW), STALE);
      await assert.rejects(store.create(register, 2, [given({ keys: ["new key"] })], NOW), { code: "entry_exists" });
      assert.ok((await store.declarations()).some(({ name: known }) => known === register));
    });

    test("a register without entries can be forgotten", async () => {
      const register = await declared();
      const { id } = await one(register);
      assert.equal(await store.forget(register), false);
      await store.remove({ register, id }, "ada", null, NOW);
      assert.equal(await store.forget(register), true);
      assert.equal(await store.declaration(register), undefined);
      assert.equal(await store.forget(register), false);
    });
  });
}
