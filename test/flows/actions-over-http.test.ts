import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import type { Principal } from "../../src/core/access/access.ts";
import { packaging } from "../support/packaging.ts";
import { definition } from "../support/scheduling.ts";
import { until } from "../support/until.ts";

const OPERATOR: Principal = { name: "olga", scopes: ["operate", "read", "deposit"], via: "token" };
const SECRET = "a secret that both know, long enough for all";

interface Call {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** All services, and another's that answers one call after the other with these statuses, then with 200. */
async function besideAService(t: TestContext, statuses: number[]) {
  const calls: Call[] = [];
  const service = createServer(async (request, response) => {
    const { method = "", url = "", headers } = request;
    calls.push({ method, url, headers, body: await text(request) });
    response.writeHead(statuses.shift() ?? 200).end(`answer ${calls.length}`);
  });
  await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
  t.after(() => service.close());
  const origin = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
  const here = await packaging(t, {
    env: { LONGSHORE_FETCH_ORIGINS: origin, LONGSHORE_WEBHOOK_SECRET: SECRET },
  });
  here.work();
  return { ...here, origin, calls };
}

test("a schedule's request goes out as declared, and its answer is the run's output or the reason that it failed", async (t) => {
  const { schedules, origin, calls } = await besideAService(t, [200, 404]);
  const { id } = await schedules.create(OPERATOR, {
    ...definition,
    name: "ping",
    action: { kind: "http", method: "POST", url: `${origin}/hook?a=1`, headers: { "x-team": "film" }, body: '{"n":1}' },
  });
  const ends = [];
  for (let n = 0; n < 2; n++) {
    const { number } = await schedules.runNow(OPERATOR, id, "manual");
    await until("the run is over", async () => (await schedules.run(id, number)).finishedAt !== null);
    const { state, reason } = await schedules.run(id, number);
    ends.push({ state, reason, output: await text(await schedules.output(id, number)) });
  }
  const [call] = calls;
  assert.deepEqual(
    [call?.method, call?.url, call?.headers["x-team"], call?.body],
    ["POST", "/hook?a=1", "film", '{"n":1}'],
  );
  assert.deepEqual([ends[0]?.state, ends[1]?.state], ["succeeded", "failed"]);
  assert.match(ends[0]?.output ?? "", /answer 1/);
  assert.match(ends[1]?.reason ?? "", /404/);
});

test("a register's webhook is signed, tried again under the same key, and settles the entry", async (t) => {
  const { registers, origin, calls } = await besideAService(t, [500]);
  await registers.declare(
    JSON.stringify({
      name: "films",
      title: "Films",
      fields: { title: { type: "string" } },
      statuses: {
        Requested: {
          action: {
            do: "webhook",
            url: `${origin}/films`,
            success: "Told",
            failure: "Failed",
            attempts: 3,
            backOff: "1s",
          },
        },
        Told: {},
        Failed: {},
      },
      initial: "Requested",
      permissions: { create: ["anyone"] },
    }),
  );
  const { id } = await registers.create(OPERATOR, "films", { title: "Ü" });
  await until("the service is told", async () => (await registers.entry(OPERATOR, "films", id)).status === "Told");
  assert.equal(calls.length, 2);
  const [first, second] = calls;
  assert.ok(first && second);
  assert.deepEqual(JSON.parse(second.body), {
    type: "register.action",
    register: "films",
    id,
    status: "Requested",
    owner: "olga",
    fields: { title: "Ü" },
  });
  assert.match(String(first.headers["idempotency-key"]), /^films\/1\/\d+$/);
  assert.equal(second.headers["idempotency-key"], first.headers["idempotency-key"]);
  // As docs/formats/notices.md has it: HMAC-SHA-256 of the time, a dot and the body.
  const [, at, signature] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(second.headers["longshore-signature"])) ?? [];
  assert.equal(signature, createHmac("sha256", SECRET).update(`${at}.${second.body}`).digest("hex"));
});
