import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import type { Principal } from "../../src/core/access/access.ts";
import type { Details } from "../../src/core/errors.ts";
import { orderId } from "../../src/core/ids.ts";
import { packaging } from "../support/packaging.ts";
import { definition } from "../support/scheduling.ts";
import { until } from "../support/until.ts";

const OPERATOR: Principal = { name: "olga", scopes: ["operate", "read", "deposit"], via: "token" };
const REGISTER = {
  name: "films",
  title: "Films",
  fields: { title: { type: "string" } },
  statuses: { Requested: { next: { Released: ["operate"] } }, Released: {} },
  initial: "Requested",
  permissions: { create: ["anyone"] },
};

/** All services, and one run of a schedule that has Longshore's own work done. */
async function routine(t: TestContext) {
  const here = await packaging(t);
  here.work();
  let count = 0;
  return {
    ...here,
    declare: (name: string, input: Details) =>
      here.schedules.create(OPERATOR, {
        ...definition,
        name: `${name} ${++count}`,
        action: { kind: "built-in", name, input },
      }),
    async ran(id: Awaited<ReturnType<typeof here.schedules.create>>["id"]) {
      const { number } = await here.schedules.runNow(OPERATOR, id, "manual");
      let run = await here.schedules.run(id, number);
      await until("the run is over", async () => {
        run = await here.schedules.run(id, number);
        return run.finishedAt !== null;
      });
      return run;
    },
  };
}

test("a schedule polls a register: the oldest entries of one status get the next one, and no more than it says", async (t) => {
  const { registers, declare, ran } = await routine(t);
  await registers.declare(JSON.stringify(REGISTER));
  for (const title of ["a", "b", "c"]) await registers.create(OPERATOR, "films", { title });
  const { id } = await declare("register", { register: "films", from: "Requested", to: "Released", limit: 2 });
  const statuses = async () =>
    (await Array.fromAsync(registers.each(OPERATOR, "films", {}))).map(({ status }) => status);
  assert.equal((await ran(id)).state, "succeeded");
  assert.deepEqual(await statuses(), ["Released", "Released", "Requested"]);
  await ran(id);
  assert.deepEqual(await statuses(), ["Released", "Released", "Released"]);
  for (const input of [{}, { register: "films", from: "Requested" }, { register: "films", from: "a", to: "b", of: 1 }])
    await assert.rejects(declare("register", input), { code: "schedule_invalid" });
});

test("a schedule orders a package, waits for it and tells whom the order names", async (t) => {
  const { packages, portal, mails, declare, ran, schedules } = await routine(t);
  const order = { kind: "datastore", resourceId: "r", apiUrl: portal.apiUrl };
  const { id } = await declare("package", { ...order, email: "ada@example.org" });
  const { state, number } = await ran(id);
  assert.equal(state, "succeeded");
  const said = await schedules.output(id, number);
  const [, made = ""] = /^package (\S+)$/m.exec(await text(said)) ?? [];
  const { package: ready, order: ordered } = await packages.get(OPERATOR, orderId(made));
  assert.deepEqual([ready.status, ready.rowCount, ordered.owner], ["ready", 100, "olga"]);
  await until("the mail is there", () => mails.received.some(({ to }) => to.includes("ada@example.org")));
  for (const input of [{ ...order, key: "secret" }, { ...order, kind: "table" }, {}])
    await assert.rejects(declare("package", input), { code: "schedule_invalid" });
});
