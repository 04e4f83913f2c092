import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, type TestContext, test } from "node:test";
import { openSqlite } from "../../../src/adapters/db/stores.ts";
import { type Audit, audit, type ChainVerdict } from "../../../src/core/access/audit.ts";
import { movingClock } from "../../support/moving-clock.ts";
import { seededRandom } from "../../support/random.ts";

const ENTRIES = 8;
const folder = await mkdtemp(join(tmpdir(), "longshore-audit-"));
after(() => rm(folder, { recursive: true }));
let databases = 0;

/** A log in a database file, and a second connection to that file: the hand of somebody past Longshore. */
async function tampered(t: TestContext, tamper: (hand: DatabaseSync, log: Audit) => unknown): Promise<Audit> {
  const path = join(folder, `${++databases}.sqlite`);
  const clock = movingClock();
  const stores = await openSqlite({ path, clock });
  t.after(() => stores.close());
  const log = audit(stores.audit, clock, "Longshore/1.2.3");
  for (let i = 1; i <= ENTRIES; i++) {
    clock.pass(1_000);
    await log.record("ada", "job.cancel", `job/${i}`, { reason: "stuck", n: i });
  }
  const hand = new DatabaseSync(path);
  try {
    await tamper(hand, log);
  } finally {
    hand.close();
  }
  return log;
}

/** Every change of one row that SQL can make, and the place at which it shows. */
const EDITS: readonly (readonly [what: string, sql: string, brokenAt: number])[] = [
  ["another actor", "update audit set actor = 'eve' where seq = 3", 3],
  ["another action", "update audit set action = 'job.retry' where seq = 3", 3],
  ["another target", "update audit set target = 'job/99' where seq = 1", 1],
  ["another time", "update audit set at = at + 1 where seq = 8", 8],
  ["other details", `update audit set details = '{"reason":"stuck","n":4}' where seq = 3`, 3],
  ["details that are no JSON", "update audit set details = 'nothing' where seq = 5", 5],
  ["details that are null", "update audit set details = 'null' where seq = 5", 5],
  ["another version", "update audit set software = 'Longshore/1.2.4' where seq = 3", 3],
  ["no version", "update audit set software = null where seq = 3", 3],
  ["another outcome", "update audit set outcome = 'failure' where seq = 3", 3],
  ["no outcome", "update audit set outcome = null where seq = 3", 3],
  ["another hash", `update audit set hash = '${"0".repeat(64)}' where seq = 3`, 3],
  ["another previous hash", `update audit set previous_hash = '${"0".repeat(64)}' where seq = 3`, 3],
  ["the first removed", "delete from audit where seq = 1", 2],
  ["one removed", "delete from audit where seq = 4", 5],
  [
    "two in each other's place",
    "update audit set seq = -seq where seq in (3, 4); update audit set seq = 7 + seq where seq < 0",
    3,
  ],
  ["one at another place", "update audit set seq = 9 where seq = 4", 5],
  [
    "one put in before all",
    "insert into audit select 0, at, actor, action, target, details, previous_hash, hash, software, outcome from audit where seq = 1",
    0,
  ],
  [
    "one put in far below",
    "insert into audit select -7, at, actor, action, target, details, previous_hash, hash, software, outcome from audit where seq = 1",
    -7,
  ],
  [
    "one doubled at the end",
    "insert into audit select 9, at, actor, action, target, details, previous_hash, hash, software, outcome from audit where seq = 8",
    9,
  ],
];

describe("a log whose rows somebody has changed in the database", () => {
  for (const [what, sql, brokenAt] of EDITS)
    test(`is found broken at the place: ${what}`, async (t) => {
      const log = await tampered(t, (hand) => {
        hand.exec(sql);
        assert.notEqual(hand.prepare("select total_changes() as n").get()?.n, 0, "the edit changed nothing");
      });
      assert.equal((await log.verifyChain()).brokenAt, brokenAt);
    });

  test("is found broken by any single letter of any of its columns", async (t) => {
    const random = seededRandom(t);
    const columns = ["actor", "action", "target", "details", "previous_hash", "hash", "software"];
    const log = await tampered(t, () => {});
    const hand = new DatabaseSync(join(folder, `${databases}.sqlite`));
    for (let round = 0; round < 60; round++) {
      const column = columns[random(columns.length)] ?? "";
      const seq = 1 + random(ENTRIES);
      const before = String(hand.prepare(`select ${column} as text from audit where seq = ?`).get(seq)?.text);
      const at = random(before.length);
      const letter = before[at] === "x" ? "y" : "x";
      const change = hand.prepare(`update audit set ${column} = ? where seq = ?`);
      change.run(before.slice(0, at) + letter + before.slice(at + 1), seq);
      assert.equal((await log.verifyChain()).brokenAt, seq, `${column} of ${seq}, letter ${at}`);
      change.run(before, seq);
    }
    hand.close();
    assert.equal((await log.verifyChain()).brokenAt, null);
  });
});

describe("a noted head", () => {
  const facts = ({ entries, brokenAt, hasNoted }: ChainVerdict) => ({ entries, brokenAt, hasNoted });

  test("is found again in a log that has only grown", async (t) => {
    const log = await tampered(t, () => {});
    const { head } = await log.verifyChain();
    assert.equal(head?.seq, ENTRIES);
    await log.record("ada", "job.cancel", "job/9");
    assert.deepEqual(facts(await log.verifyChain(head ?? undefined)), { entries: 9, brokenAt: null, hasNoted: true });
  });

  for (const [what, sql] of [
    ["the end is cut off", "delete from audit where seq > 5"],
    ["everything is removed", "delete from audit"],
  ] as const)
    test(`is missed when ${what}, though what is left is in order`, async (t) => {
      let head: ChainVerdict["head"] = null;
      const log = await tampered(t, async (hand, before) => {
        head = (await before.verifyChain()).head;
        hand.exec(sql);
      });
      assert.ok(head);
      assert.deepEqual((await log.verifyChain()).brokenAt, null, "from inside, nothing can be seen");
      assert.equal((await log.verifyChain(head)).hasNoted, false);
      // Nor does the log grow over it unseen.
      for (let i = 0; i < ENTRIES; i++) await log.record("eve", "job.cancel", "job/1");
      assert.deepEqual((await log.verifyChain(head)).hasNoted, false);
    });

  test("is missed when it is behind the place where the log is broken", async (t) => {
    const log = await tampered(t, (hand) => hand.exec("update audit set actor = 'eve' where seq = 3"));
    const head = (await log.list(ENTRIES - 1, 1))[0];
    assert.ok(head);
    assert.deepEqual(facts(await log.verifyChain(head)), { entries: 2, brokenAt: 3, hasNoted: false });
  });
});
