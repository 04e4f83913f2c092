import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Principal } from "../../../src/core/access/access.ts";
import { AppError } from "../../../src/core/errors.ts";
import { jobId } from "../../../src/core/ids.ts";
import { declaredRegisters } from "../../../src/core/registers/declared-registers.ts";
import type { ActionContext, ActionOutcome } from "../../../src/core/registers/register-job.ts";
import { registerJob } from "../../../src/core/registers/register-job.ts";
import { registerService } from "../../../src/core/registers/registers.ts";
import { tidyRegisters } from "../../../src/core/registers/tidy-registers.ts";
import { REGISTER_JOB } from "../../../src/core/registers/transitions.ts";
import { openJobs } from "../../support/jobs.ts";
import { until } from "../../support/until.ts";

const ADA: Principal = { name: "ada", scopes: ["admin"], via: "local" };

const WORK = {
  name: "work",
  title: "Work",
  fields: { kind: { type: "string" } },
  statuses: {
    Requested: {
      next: { Cancelled: ["owner"] },
      expires: { after: "1d", to: "Expired" },
      action: {
        do: "webhook",
        url: "https://nowhere.example",
        when: { kind: ["work"] },
        otherwise: "Idle",
        during: "Working",
        success: "Done",
        failure: "Failed",
        cancelled: "Cancelled",
        attempts: 3,
        backOff: "10s",
      },
    },
    Working: { next: { Cancelled: ["owner"] } },
    Done: { keep: "1h" },
    Idle: {},
    Failed: { next: { Requested: ["owner"] } },
    Cancelled: {},
    Expired: {},
  },
  initial: "Requested",
  permissions: { create: ["anyone"] },
};

/** The register `work`, whose action is what the test does. */
async function working(t: TestContext, run: (context: ActionContext) => Promise<ActionOutcome>) {
  const handlers: Parameters<typeof openJobs>[1] & object = {};
  const fixture = await openJobs(t, handlers);
  const { clock, stores, jobs } = fixture;
  const parts = {
    store: stores.registers,
    declared: declaredRegisters({ store: stores.registers, clock }),
    clock,
    mailFrom: "",
    nextJobId: async () => jobId(await stores.sequences.reserve("upload_job", 1)),
    jobs,
  };
  const never = () => Promise.reject(new Error("Only webhooks are declared here."));
  Object.assign(handlers, {
    [REGISTER_JOB]: registerJob({ ...parts, runners: { cart: never, ingest: never, command: never, webhook: run } }),
  });
  const registers = registerService(parts);
  await registers.declare(JSON.stringify(WORK));
  const statusOf = async (id: number) => (await registers.entry(ADA, "work", id)).status;
  return {
    ...fixture,
    registers,
    request: (kind = "work") => registers.create(ADA, "work", { kind }),
    statusOf,
    reaches: (id: number, status: string) =>
      fixture.passUntil(`the entry is ${status}`, async () => (await statusOf(id)) === status),
    statuses: async (id: number) => (await registers.history(ADA, "work", id, 0, 100)).map(({ to }) => to),
    tidy: () => tidyRegisters(parts, new AbortController().signal),
  };
}

test("what fails is tried as often as declared, between attempts as it was asked for, and has failed then", async (t) => {
  let tries = 0;
  const { request, reaches, registers, statuses, worker } = await working(t, async () => {
    tries++;
    throw new AppError("action_failed", { found: `try ${tries}` });
  });
  worker();
  const { id } = await request();
  await reaches(id, "Failed");
  assert.equal(tries, 3);
  const once = ["Working", "Requested"];
  assert.deepEqual(await statuses(id), ["Requested", ...once, ...once, "Working", "Failed"]);
  const { reason, attempts, job } = await registers.entry(ADA, "work", id);
  assert.match(reason ?? "", /try 3/);
  assert.deepEqual([attempts, job], [0, null]);
  const { status, job: next } = await registers.change(ADA, "work", id, { to: "Requested" });
  assert.deepEqual([status, next === null], ["Requested", false], "it can be asked for again");
});

test("an entry that the action is not for goes on at once", async (t) => {
  const { request, reaches, worker } = await working(t, () => assert.fail("it was begun"));
  worker();
  const { id } = await request("nothing");
  await reaches(id, "Idle");
});

test("a cancel is honoured until the point of no return, and refused after it", async (t) => {
  const go = Promise.withResolvers<void>();
  const reached: string[] = [];
  const { request, reaches, registers, worker, jobs } = await working(t, async ({ entry, settle, signal }) => {
    reached.push(`begun ${entry.id}`);
    if (entry.id === 1) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      signal.throwIfAborted();
    }
    await settle();
    reached.push(`settled ${entry.id}`);
    await go.promise;
    return { reason: "well done" };
  });
  worker();
  const first = await request();
  await reaches(first.id, "Working");
  await until("it is begun", () => reached.includes("begun 1"));
  await registers.change(ADA, "work", first.id, { to: "Cancelled" });
  await until("its job is over", async () => (await jobs.get(jobId(Number(first.job)))).state === "cancelled");
  const second = await request();
  await until("the next is past its point of no return", () => reached.includes("settled 2"));
  await assert.rejects(registers.change(ADA, "work", second.id, { to: "Cancelled" }), { code: "entry_conflict" });
  await assert.rejects(registers.remove(ADA, "work", second.id), { code: "entry_conflict" });
  go.resolve();
  await reaches(second.id, "Done");
  assert.equal((await registers.entry(ADA, "work", first.id)).status, "Cancelled");
});

test("when the job itself is cancelled, its entry says so", async (t) => {
  const { request, jobs, registers } = await working(t, () => assert.fail("there is no worker"));
  const { id, job } = await request();
  await jobs.cancel(jobId(Number(job)), "ops");
  const { status, reason } = await registers.entry(ADA, "work", id);
  assert.deepEqual([status, reason], ["Cancelled", "The job was cancelled. (by: ops)"]);
});

test("nothing stays for ever: what was asked for expires, and what is kept for a time goes", async (t) => {
  const { request, clock, tidy, statusOf, registers, jobs, worker, reaches } = await working(t, async () => ({
    reason: "done",
  }));
  const { id, job } = await request();
  await tidy();
  assert.equal(await statusOf(id), "Requested");
  clock.pass(86_400_000);
  await tidy();
  assert.equal(await statusOf(id), "Expired");
  assert.equal((await jobs.get(jobId(Number(job)))).state, "cancelled");
  worker();
  const next = await request();
  await reaches(next.id, "Done");
  clock.pass(3_600_000);
  await tidy();
  await assert.rejects(registers.entry(ADA, "work", next.id), { code: "entry_unknown" });
});

test("entries whose status is given an action have it done", async (t) => {
  const { registers, tidy, worker } = await working(t, async () => ({ reason: "done" }));
  const { Requested: _, ...others } = WORK.statuses;
  await registers.declare(JSON.stringify({ ...WORK, name: "later", statuses: { ...others, Requested: {} } }));
  const { id, job } = await registers.create(ADA, "later", { kind: "work" });
  assert.equal(job, null);
  await registers.declare(JSON.stringify({ ...WORK, name: "later" }));
  await tidy();
  worker();
  await until("it is done", async () => (await registers.entry(ADA, "later", id)).status === "Done");
});
