import assert from "node:assert/strict";
import { buffer } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { composeServices } from "../../src/compose/services.ts";
import type { Principal } from "../../src/core/access/access.ts";
import type { Cart, CartEntry } from "../../src/core/carts/cart.ts";
import type { CartRequest, Carts, Download } from "../../src/core/carts/carts.ts";
import { transactionId } from "../../src/core/ids.ts";
import { loadConfig } from "../../src/settings/config.ts";
import { type TestArchive, testArchive } from "./archive.ts";
import { type MovingClock, movingClock } from "./moving-clock.ts";
import { until } from "./until.ts";

export interface CartsFixture {
  readonly archive: TestArchive;
  readonly carts: Carts;
  readonly clock: MovingClock;
  /** Deposits files. @returns the transaction's id. */
  deposit(files: Readonly<Record<string, string>>, owner?: string): Promise<ReturnType<typeof transactionId>>;
  /** Ids of a transaction's files, by path below `data/`. */
  idsOf(transaction: number): Promise<Record<string, number>>;
  /** A cart of ada's. */
  create(request: CartRequest): Promise<Cart>;
  entries(cart: Cart): Promise<readonly CartEntry[]>;
  paths(cart: Cart): Promise<readonly string[]>;
  /** As it stands now, to an operator. */
  again(cart: Cart): Promise<Cart>;
  /** Does what a process does every minute, once, until the condition holds. */
  upkeepUntil(what: string, condition: () => Promise<boolean>): Promise<void>;
  /** Runs jobs until the cart is in this status; the clock moves on meanwhile. */
  reaches(cart: Cart, status: Cart["status"]): Promise<Cart>;
}

export const ada: Principal = { name: "ada", scopes: ["read", "deposit"], via: "token" };
export const beth: Principal = { name: "beth", scopes: ["read", "deposit"], via: "token" };
export const operator: Principal = { name: "op", scopes: ["operate"], via: "token" };

/** Carts as `serve` composes them, over a real archive and database, by a clock of the test's own. */
export async function openCarts(
  t: TestContext,
  settings: Readonly<Record<string, string>> = {},
): Promise<CartsFixture> {
  const archive = await testArchive(settings);
  t.after(() => archive.close());
  const clock = movingClock();
  const config = loadConfig({ LONGSHORE_DATA_DIR: archive.dataDir, ...settings });
  const services = await composeServices(config, clock, archive);
  const { carts } = services;
  const failing = (error: unknown) => assert.fail(error instanceof Error ? error : String(error));
  const log = { jobEnded: () => {}, trouble: failing };

  return {
    archive,
    carts,
    clock,
    async deposit(files, owner) {
      const job = await archive.deposit(files, owner);
      assert.equal(job.state, "succeeded", job.error?.message);
      return transactionId(job.id);
    },
    async idsOf(transaction) {
      const files = await archive.stores.catalogue.listFiles(transactionId(transaction), { limit: 10_000 });
      return Object.fromEntries(files.map(({ path, id }) => [path.replace("data/", ""), id]));
    },
    create: (request) => carts.create(ada, request),
    entries: (cart) => carts.entries(operator, cart.id, 0, 100_000),
    async paths(cart) {
      return (await carts.entries(operator, cart.id, 0, 100_000)).map(({ path }) => path);
    },
    again: (cart) => carts.get(operator, cart.id),
    async upkeepUntil(what, condition) {
      const upkeep = services.startUpkeep(log);
      try {
        await until(what, condition);
      } finally {
        await upkeep.stop();
      }
    },
    async reaches(cart, status) {
      const worker = services.startWorker(log);
      try {
        await until(`the cart is ${status}`, async () => {
          clock.pass(500);
          return (await archive.stores.carts.get(cart.id))?.status === status;
        });
      } finally {
        await worker.stop();
      }
      return carts.get(operator, cart.id);
    },
  };
}

/** The whole of a download. */
export async function bytesOf(download: Download): Promise<Buffer> {
  return buffer(download.read(undefined, new AbortController().signal));
}
