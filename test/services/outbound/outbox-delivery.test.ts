import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, test } from "node:test";
import { openSqlite, type Stores } from "../../../src/adapters/db/stores.ts";
import type { Outbox, OutboxMessage, Transaction } from "../../../src/core/catalogue/catalogue-store.ts";
import { AppError } from "../../../src/core/errors.ts";
import { transactionId } from "../../../src/core/ids.ts";
import { announcements } from "../../../src/core/outbound/announcements.ts";
import {
  LEASE_MS,
  type OutboxChannel,
  type OutboxDelivery,
  outboxDelivery,
} from "../../../src/core/outbound/outbox-delivery.ts";
import { type MovingClock, movingClock } from "../../support/moving-clock.ts";
import { until } from "../../support/until.ts";

const HOUR_MS = 3_600_000;

const folder = await mkdtemp(join(tmpdir(), "outbox-"));
after(() => rm(folder, { recursive: true }));

/** What a test has opened and must close, last first. */
const opened: (() => Promise<void>)[] = [];
afterEach(async () => {
  while (opened.length > 0) await opened.pop()?.();
});

let files = 0;
const freshPath = () => join(folder, `${++files}.db`);

async function open(path: string, clock: MovingClock): Promise<Stores> {
  const stores = await openSqlite({ path, clock });
  opened.push(() => stores.close());
  return stores;
}

let transactions = 0;
const transaction = (): Transaction => ({
  id: transactionId(++transactions),
  submitter: "10",
  project: "1234a",
  instrument: null,
  owner: "someone",
  fileCount: 0,
  sizeBytes: 0,
  objectPath: "abc/def",
  inventoryDigest: "00",
  createdAt: 1_600_000_000_000,
});

const message = (key: string, channel = "test"): OutboxMessage => ({ key, channel, target: "t", payload: { key } });

/** Puts messages into the outbox in the only way there is: with a transaction. */
async function put(stores: Stores, clock: MovingClock, ...messages: readonly OutboxMessage[]): Promise<void> {
  await stores.catalogue.add(transaction(), none(), [], messages, clock.now());
}
async function* none() {}

/** A receiver whose answers the test decides. */
function receiver(answer: (message: OutboxMessage) => Promise<void> | void) {
  const received: string[] = [];
  const channel: OutboxChannel = {
    async deliver(one) {
      received.push(one.key);
      await answer(one);
    },
  };
  return { channel, received };
}

interface Running {
  readonly delivery: OutboxDelivery;
  readonly troubles: string[];
  /** How often the outbox has been asked for what is due, and has answered. */
  looks(): number;
}

function run(stores: Stores, clock: MovingClock, channels: Readonly<Record<string, OutboxChannel>>): Running {
  let looks = 0;
  const outbox: Outbox = {
    ...stores.outbox,
    async claim(...args) {
      const claimed = await stores.outbox.claim(...args);
      looks++;
      return claimed;
    },
  };
  const troubles: string[] = [];
  const onTrouble = (error: unknown, during: string) =>
    troubles.push(`${during}: ${error instanceof Error ? error.message : String(error)}`);
  const delivery = outboxDelivery({ outbox, channels, clock, onTrouble });
  opened.push(() => delivery.stop());
  return {
    delivery,
    troubles,
    looks: () => looks,
  };
}

describe("delivery of the outbox", () => {
  test("each message goes to its channel once, and is gone", async () => {
    const clock = movingClock();
    const stores = await open(freshPath(), clock);
    const a = receiver(() => {});
    const b = receiver(() => {});
    const { delivery } = run(stores, clock, { a: a.channel, b: b.channel });
    await put(stores, clock, message("1", "a"), message("2", "b"), message("3", "a"));
    clock.pass(1_000);
    await until("all are delivered", () => delivery.counts().delivered === 3);
    assert.deepEqual([a.received.toSorted(), b.received], [["1", "3"], ["2"]]);
    assert.equal(await stores.outbox.depth(), 0);
  });

  test("more messages than are carried at a time all arrive, never more than eight at once", async () => {
    const clock = movingClock();
    const stores = await open(freshPath(), clock);
    let underWay = 0;
    let most = 0;
    const { channel, received } = receiver(async () => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setImmediate(resolve));
      underWay--;
    });
    await put(stores, clock, ...Array.from({ length: 50 }, (_, i) => message(`m${i}`)));
    const { delivery } = run(stores, clock, { test: channel });
    await until("all are delivered", () => delivery.counts().delivered === 50);
    assert.equal(new Set(received).size, 50);
    assert.ok(most > 1 && most <= 8, `${most} at once`);
  });

  test("a failure is tried again after 1, 2, 4 … seconds, then hourly, and after a day it counts as overdue", async () => {
    const clock = movingClock();
    const stores = await open(freshPath(), clock);
    let isDown = true;
    const { channel, received } = receiver(() => {
      if (isDown) throw new AppError("remote_unavailable", { service: "s" });
    });
    await put(stores, clock, message("m"));
    let notedDown = 0;
    let looksBefore = 0;
    const outbox: Outbox = {
      ...stores.outbox,
      async failed(...args) {
        await stores.outbox.failed(...args);
        notedDown++;
        looksBefore = running.looks();
      },
    };
    const running = run({ ...stores, outbox }, clock, { test: channel });
    const { delivery, troubles } = running;
    const startedAt = clock.now();

    const triesAt: number[] = [];
    while (clock.now() - startedAt < 26 * HOUR_MS) {
      const tries = triesAt.length + 1;
      // And looked at once more: then the delivery sleeps, and the clock may go on.
      await until("it is tried and put off", () => notedDown === tries && running.looks() > looksBefore);
      triesAt.push(clock.now() - startedAt);
      const wait = Math.min(3_600_000, 1_000 * 2 ** (tries - 1));
      clock.pass(wait - 1_000);
      assert.equal(received.length, tries, "it was tried too early");
      assert.equal(delivery.counts().overdue, (triesAt.at(-1) ?? 0) >= 24 * HOUR_MS ? 1 : 0);
      clock.pass(1_000);
    }
    // 1 + 2 + … + 2048 s, then every 3600 s
    assert.deepEqual(triesAt.slice(0, 5), [0, 1_000, 3_000, 7_000, 15_000]);
    assert.deepEqual(triesAt.slice(12, 15), [4_095_000, 4_095_000 + HOUR_MS, 4_095_000 + 2 * HOUR_MS]);
    assert.equal(troubles.length, received.length);
    assert.match(troubles[0] ?? "", /^message m: A remote service does not answer/);

    isDown = false;
    clock.pass(HOUR_MS);
    await until("it is delivered at last", () => delivery.counts().delivered === 1);
    assert.equal(delivery.counts().overdue, 0);
    assert.equal(await stores.outbox.depth(), 0);
  });

  test("an overdue message that another process takes over is no longer counted here", async () => {
    const clock = movingClock();
    const stores = await open(freshPath(), clock);
    await put(stores, clock, message("m"));
    for (let tries = 0; tries < 40; tries++) {
      await stores.outbox.claim(clock.now(), 0, 1);
      await stores.outbox.failed("m", clock.now(), "down");
    }
    const { channel } = receiver(() => {
      throw new AppError("remote_unavailable");
    });
    const { delivery } = run(stores, clock, { test: channel });
    await until("it has failed here", () => delivery.counts().overdue === 1);
    await stores.outbox.delivered("m");
    clock.pass(3 * HOUR_MS);
    assert.equal(delivery.counts().overdue, 0);
  });

  test("a receiver that fails or hangs does not hold up the others", async () => {
    const clock = movingClock();
    const stores = await open(freshPath(), clock);
    const bad = receiver(() => {
      throw new Error("a defect");
    });
    const hanging = Promise.withResolvers<void>();
    const slow = receiver(() => hanging.promise);
    const good = receiver(() => {});
    const { delivery, troubles } = run(stores, clock, { bad: bad.channel, slow: slow.channel, good: good.channel });
    await put(stores, clock, message("1", "bad"), message("2", "slow"), message("3", "good"), message("4", "good"));
    clock.pass(1_000);
    await until("the good are delivered", () => delivery.counts().delivered === 2);
    await until("the bad is reported", () => troubles.length === 1);
    assert.equal(troubles[0], "message 1: a defect");
    hanging.resolve();
    await until("the slow one too", () => delivery.counts().delivered === 3);
  });

  test("a message for a channel that is not configured stays, and is reported", async () => {
    const clock = movingClock();
    const stores = await open(freshPath(), clock);
    await put(stores, clock, message("m", "metadata"));
    const { troubles } = run(stores, clock, {});
    await until("it is reported", () => troubles.length === 1);
    assert.match(troubles[0] ?? "", /channel: metadata; reason: not configured/);
    assert.equal(await stores.outbox.depth(), 1);
  });

  test("what a dead process held is delivered by the next one when its lease has run out, not before", async () => {
    const clock = movingClock();
    const path = freshPath();
    const first = await openSqlite({ path, clock });
    await put(first, clock, message("m"));
    // The process claims it, and dies before anything is delivered or noted down.
    assert.equal((await first.outbox.claim(clock.now(), LEASE_MS, 8)).length, 1);
    await first.close();

    const stores = await open(path, clock);
    const { channel, received } = receiver(() => {});
    clock.pass(LEASE_MS - 1);
    const { delivery, looks } = run(stores, clock, { test: channel });
    await until("the outbox is looked at", () => looks() === 1);
    assert.deepEqual(received, []);
    clock.pass(1_000);
    await until("it is delivered", () => delivery.counts().delivered === 1);
    assert.deepEqual(received, ["m"]);
    assert.equal(await stores.outbox.depth(), 0);
  });

  test("what was delivered while the database was away is noted down later, and not delivered again", async () => {
    const clock = movingClock();
    const stores = await open(freshPath(), clock);
    await put(stores, clock, message("m"), message("n"));
    let isAway = true;
    const needed = () => {
      if (isAway) throw new AppError("database_unavailable");
    };
    const outbox: Outbox = {
      ...stores.outbox,
      async failed(...args) {
        needed();
        await stores.outbox.failed(...args);
      },
    };
    let failures = 1;
    const { channel, received } = receiver(({ key }) => {
      if (key === "n" && failures-- > 0) throw new AppError("remote_unavailable");
    });
    const taken: string[] = [];
    const noting: OutboxChannel = {
      ...channel,
      async taken({ key }) {
        needed();
        taken.push(key);
      },
    };
    const { troubles, delivery } = run({ ...stores, outbox }, clock, { test: noting });
    // Of the delivery that failed there are two: why, and that it cannot be noted.
    await until("the database is missed", () => troubles.length === 3);
    isAway = false;
    clock.pass(250);
    await until("one is noted down", () => delivery.counts().delivered === 1);
    await until("the other one is tried again a second later, as ever", () => {
      clock.pass(250);
      return delivery.counts().delivered === 2;
    });
    assert.deepEqual(received, ["m", "n", "n"]);
    assert.deepEqual(taken, ["m", "n"]);
    assert.equal(troubles.length, 3, "it is said once");
    assert.equal(await stores.outbox.depth(), 0);
  });

  test("what was delivered by a process that ends before it could note it is delivered again", async () => {
    const clock = movingClock();
    const stores = await open(freshPath(), clock);
    await put(stores, clock, message("m"));
    const away: Outbox = {
      ...stores.outbox,
      async delivered() {
        throw new AppError("database_unavailable");
      },
    };
    const { channel, received } = receiver(() => {});
    const first = run({ ...stores, outbox: away }, clock, { test: channel });
    await until("the database fails", () => first.troubles.length === 1);
    await first.delivery.stop();
    clock.pass(LEASE_MS);
    const second = run(stores, clock, { test: channel });
    await until("it is noted down", () => second.delivery.counts().delivered === 1);
    assert.deepEqual(received, ["m", "m"]);
  });

  test("a database that fails for a while is asked again", async () => {
    const clock = movingClock();
    const stores = await open(freshPath(), clock);
    await put(stores, clock, message("m"));
    let failures = 3;
    const outbox: Outbox = {
      ...stores.outbox,
      async claim(...args) {
        if (failures-- > 0) throw new AppError("database_unavailable");
        return stores.outbox.claim(...args);
      },
    };
    const { channel } = receiver(() => {});
    const { delivery, troubles } = run({ ...stores, outbox }, clock, { test: channel });
    await until("it is delivered", () => {
      clock.pass(1_000);
      return delivery.counts().delivered === 1;
    });
    assert.deepEqual(troubles, Array(3).fill("claiming messages: The database does not answer."));
  });

  test("stopping breaks off what is under way, and the next process has it at once", async () => {
    const clock = movingClock();
    const stores = await open(freshPath(), clock);
    await put(stores, clock, message("m"));
    const channel: OutboxChannel = {
      deliver: (_, signal) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true })),
    };
    const begun = Promise.withResolvers<void>();
    const { delivery, troubles } = run(stores, clock, {
      test: {
        deliver: (one, signal) => {
          begun.resolve();
          return channel.deliver(one, signal);
        },
      },
    });
    await begun.promise;
    await delivery.stop();
    assert.deepEqual(troubles, []);
    const next = receiver(() => {});
    const second = run(stores, clock, { test: next.channel });
    await until("it is delivered", () => second.delivery.counts().delivered === 1);
    assert.deepEqual(next.received, ["m"]);
  });
});

describe("announcements", () => {
  const one: Transaction = {
    ...transaction(),
    id: transactionId(42),
    fileCount: 3,
    sizeBytes: 99,
    inventoryDigest: "ab12",
  };

  test("nothing configured announces nothing", () => {
    assert.deepEqual(announcements({ eventsUrls: [] })(one), []);
  });

  test("there is one message for the metadata service and one for each subscriber", () => {
    const eventsUrls = ["http://a.example/x?token=secret", "http://b.example/", "http://b.example/"];
    const messages = announcements({ metadataUrl: "http://m.example/ingest", eventsUrls })(one);
    assert.deepEqual(
      messages.map(({ channel, target }) => [channel, target]),
      [
        ["metadata", "http://m.example/ingest"],
        ["cloudevent", "http://a.example/x?token=secret"],
        ["cloudevent", "http://b.example/"],
      ],
    );
    assert.deepEqual(messages[0]?.payload, { transactionId: 42 });
    assert.deepEqual(messages[1]?.payload, {
      time: "2020-09-13T12:26:40.000Z", // date -u -d @1600000000
      data: {
        transactionId: 42,
        submitter: "10",
        project: "1234a",
        instrument: null,
        files: 3,
        bytes: 99,
        objectPath: "abc/def",
        inventoryDigest: "ab12",
      },
    });
  });

  test("keys are one for each transaction and target, the same every time, and tell no address", () => {
    const announce = announcements({
      metadataUrl: "http://a.example/",
      eventsUrls: ["http://a.example/", "http://b/"],
    });
    const keys = [one, { ...one, id: transactionId(43) }].flatMap(announce).map(({ key }) => key);
    assert.equal(new Set(keys).size, 6);
    assert.deepEqual(
      announce(one).map(({ key }) => key),
      keys.slice(0, 3),
    );
    // printf http://b/ | sha256sum
    assert.equal(keys[2], "cloudevent:42:bec77edc4d194853");
  });
});

describe("a channel that gives up", () => {
  test("forgets what is refused for good at once, and says so; the others are tried on", async () => {
    const clock = movingClock();
    const stores = await open(freshPath(), clock);
    const given: string[] = [];
    const channel: OutboxChannel = {
      giveUpMs: 2 * HOUR_MS,
      async deliver({ key }) {
        throw new AppError(key === "refused" ? "mail_refused" : "remote_unavailable");
      },
      gaveUp: async ({ key }, { code }) => void given.push(`${key} ${code}`),
    };
    const patient = receiver(() => {
      throw new AppError("mail_refused");
    });
    run(stores, clock, { test: channel, patient: patient.channel });
    await put(stores, clock, message("refused"), message("down"), message("kept", "patient"));
    await until("it is given up", () => {
      clock.pass(1_000);
      return given.length === 1;
    });
    assert.deepEqual(given, ["refused mail_refused"]);
    await until("the other is given up", () => {
      clock.pass(600_000);
      return given.length === 2;
    });
    assert.deepEqual(given[1], "down remote_unavailable");
    assert.equal(await stores.outbox.depth(), 1);
    assert.ok(patient.received.length > 1);
  });
});
