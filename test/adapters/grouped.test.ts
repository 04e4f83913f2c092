import assert from "node:assert/strict";
import { test } from "node:test";
import { grouped } from "../../src/adapters/db/grouped.ts";
import { AppError } from "../../src/core/errors.ts";

const KEYS = { atOnce: 1, keyOf: (item: string) => item, isUndone: (error: unknown) => !(error instanceof AppError) };

test("what is asked for at one moment is done together, what comes meanwhile together after it, each with its own answer", async () => {
  const groups: (readonly string[])[] = [];
  const go = Promise.withResolvers<void>();
  const shout = grouped(async (items: readonly string[]) => {
    groups.push(items);
    if (groups.length === 1) await go.promise;
    return items.map((item) => item.toUpperCase());
  }, KEYS);
  const first = [shout("a"), shout("b")];
  await new Promise(setImmediate);
  const second = [shout("c"), shout("d"), shout("e")];
  go.resolve();
  assert.deepEqual(await Promise.all([...first, ...second]), ["A", "B", "C", "D", "E"]);
  assert.deepEqual(groups, [
    ["a", "b"],
    ["c", "d", "e"],
  ]);
});

test("two with the same key are done one after the other, in the order they came", async () => {
  const groups: (readonly string[])[] = [];
  const same = grouped(
    async (items: readonly string[]) => {
      groups.push(items);
      await new Promise(setImmediate);
      return items;
    },
    { ...KEYS, atOnce: 3, keyOf: ([letter]: string) => letter },
  );
  await Promise.all(["a1", "b1", "a2", "a3", "b2"].map(same));
  assert.deepEqual(
    groups.flat().filter((item) => item.startsWith("a")),
    ["a1", "a2", "a3"],
  );
  assert.ok(groups.every((items) => new Set(items.map(([letter]) => letter)).size === items.length));
});

test("one that cannot be done fails alone, with its own error", async () => {
  const refuseBad = grouped(async (items: readonly string[]) => {
    for (const item of items) if (item.startsWith("bad")) throw new Error(item);
    return items;
  }, KEYS);
  const answers = await Promise.allSettled(["good", "bad 1", "fine", "bad 2"].map(refuseBad));
  assert.deepEqual(
    answers.map((answer) => (answer.status === "fulfilled" ? answer.value : String(answer.reason))),
    ["good", "Error: bad 1", "fine", "Error: bad 2"],
  );
  assert.equal(await refuseBad("afterwards"), "afterwards");
});

test("what may have happened is not tried again: all are told", async () => {
  let runs = 0;
  const lost = grouped(async (): Promise<string[]> => {
    runs++;
    throw new AppError("database_unavailable");
  }, KEYS);
  const answers = await Promise.allSettled([lost("a"), lost("b")]);
  assert.ok(answers.every((answer) => answer.status === "rejected" && answer.reason.code === "database_unavailable"));
  assert.equal(runs, 1);
});

test("a key is asked for once, so that what was entered under it is let go under it", async () => {
  let asked = 0;
  const answer = grouped(async (items: readonly string[]) => items, { ...KEYS, keyOf: () => `key ${++asked}` });
  await Promise.all(["a", "b", "c"].map(answer));
  assert.equal(asked, 3);
});
