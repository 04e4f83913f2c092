import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eachAtOnce, jsonLines, linesOf, mapInOrder } from "../../src/core/streams.ts";

async function* chunks(...parts: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

describe("linesOf", () => {
  for (const [what, parts, lines] of [
    ["whole lines", ["a\nb\n"], ["a", "b"]],
    ["a last line without an end", ["a\nb"], ["a", "b"]],
    ["lines in pieces", ["a", "b", "c\nd", "\n", "e"], ["abc", "d", "e"]],
    ["empty lines", ["\n\na\n\n"], ["", "", "a", ""]],
    ["nothing", [], []],
    ["a letter cut in two", [Buffer.from([0xc3]), Buffer.from([0xa4, 0x0a])], ["ä"]],
  ] as const)
    test(`yields ${what}`, async () => assert.deepEqual(await Array.fromAsync(linesOf(chunks(...parts))), lines));

  test("refuses what is not UTF-8", () =>
    assert.rejects(Array.fromAsync(linesOf(chunks(Buffer.from([0xff])))), TypeError));

  test("reads back what jsonLines wrote", async () => {
    const values = Array.from({ length: 20_000 }, (_, n) => ({ n, text: "line\nend" }));
    const read = await Array.fromAsync(linesOf(jsonLines(values)));
    assert.deepEqual(
      read.map((line) => JSON.parse(line)),
      values,
    );
  });
});

describe("mapInOrder", () => {
  /** Work that is done when it is told, in whatever order. */
  function workshop() {
    const jobs = new Map<number, PromiseWithResolvers<number>>();
    return {
      underWay: () => [...jobs.keys()],
      map(item: number): Promise<number> {
        const job = Promise.withResolvers<number>();
        jobs.set(item, job);
        return job.promise.finally(() => jobs.delete(item));
      },
      done: (item: number) => jobs.get(item)?.resolve(item * 10),
      fail: (item: number, error: Error) => jobs.get(item)?.reject(error),
    };
  }
  const turn = () => new Promise(setImmediate);

  test("keeps the order of its items, whichever is done first", async () => {
    const { map, done } = workshop();
    const all = Array.fromAsync(mapInOrder([1, 2, 3], 3, map));
    await turn();
    for (const item of [3, 1, 2]) {
      done(item);
      await turn();
    }
    assert.deepEqual(await all, [10, 20, 30]);
  });

  test("has no more under way than there is room for", async () => {
    const { map, done, underWay } = workshop();
    const all = Array.fromAsync(mapInOrder([1, 2, 3, 4], 2, map));
    await turn();
    assert.deepEqual(underWay(), [1, 2]);
    done(1);
    await turn();
    assert.deepEqual(underWay(), [2, 3]);
    for (const item of [2, 3, 4]) {
      done(item);
      await turn();
    }
    assert.deepEqual(await all, [10, 20, 30, 40]);
  });

  test("takes an item that is too heavy alone", async () => {
    const { map, done, underWay } = workshop();
    const all = Array.fromAsync(mapInOrder([1, 9, 2], 3, map, (item) => item));
    await turn();
    assert.deepEqual(underWay(), [1]);
    done(1);
    await turn();
    assert.deepEqual(underWay(), [9]);
    done(9);
    await turn();
    done(2);
    assert.deepEqual(await all, [10, 90, 20]);
  });

  test("throws a failure when its turn comes, and leaves nothing under way", async () => {
    const { map, done, fail, underWay } = workshop();
    const seen: number[] = [];
    const all = (async () => {
      for await (const value of mapInOrder([1, 2, 3], 3, map)) seen.push(value);
    })();
    await turn();
    fail(2, new Error("broken"));
    await turn();
    done(1);
    await turn();
    done(3);
    await assert.rejects(all, /broken/);
    assert.deepEqual([seen, underWay()], [[10], []]);
  });

  test("waits for what is under way when its reader leaves", async () => {
    const { map, done, underWay } = workshop();
    const first = (async () => {
      for await (const value of mapInOrder([1, 2], 2, map)) return value;
    })();
    await turn();
    done(1);
    await turn();
    assert.deepEqual(underWay(), [2]);
    done(2);
    assert.equal(await first, 10);
    assert.deepEqual(underWay(), []);
  });
});

describe("eachAtOnce", () => {
  const turn = () => new Promise(setImmediate);
  /** Work on items that ends when it is told to. */
  function workshop() {
    const jobs = new Map<number, PromiseWithResolvers<void>>();
    const stopped: unknown[] = [];
    return {
      stopped,
      underWay: () => [...jobs.keys()],
      async work(item: number, signal: AbortSignal): Promise<void> {
        const job = Promise.withResolvers<void>();
        signal.addEventListener("abort", () => stopped.push(signal.reason));
        jobs.set(item, job);
        await job.promise.finally(() => jobs.delete(item));
      },
      done: (item: number) => jobs.get(item)?.resolve(),
      fail: (item: number, error: unknown) => jobs.get(item)?.reject(error),
    };
  }

  test("an item that takes long does not hold up the others, of which no more than asked for are under way", async () => {
    const { work, underWay, done } = workshop();
    let room = 2;
    const all = eachAtOnce([1, 2, 3, 4, 5], () => room, work);
    await turn();
    assert.deepEqual(underWay(), [1, 2]);
    done(2);
    await turn();
    assert.deepEqual(underWay(), [1, 3]);
    room = 1;
    done(3);
    await turn();
    assert.deepEqual(underWay(), [1]);
    room = 9;
    done(1);
    await turn();
    assert.deepEqual(underWay(), [4, 5]);
    for (const item of [4, 5]) done(item);
    await all;
  });

  test("throws what the first failed with, when the others have been told and have ended", async () => {
    const { work, underWay, done, fail, stopped } = workshop();
    let isOver = false;
    const all = eachAtOnce([1, 2, 3], () => 2, work).finally(() => {
      isOver = true;
    });
    await turn();
    const error = new Error("no");
    fail(2, error);
    await turn();
    assert.deepEqual([underWay(), isOver], [[1], false]);
    assert.ok(stopped.includes(error));
    done(1);
    await assert.rejects(all, error);
  });

  test("throws what its items come to grief with, and nothing is under way any more", async () => {
    const { work, underWay, done } = workshop();
    async function* items() {
      yield 1;
      throw new Error("no more");
    }
    const all = eachAtOnce(items(), () => 2, work);
    await turn();
    assert.deepEqual(underWay(), [1]);
    done(1);
    await assert.rejects(all, /no more/);
    assert.deepEqual(underWay(), []);
  });

  test("does nothing where there is nothing", () =>
    eachAtOnce(
      [],
      () => 2,
      async () => assert.fail("no item"),
    ));
});
