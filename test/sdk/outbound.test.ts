import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { LongshoreError, type OutboundOptions, outboundClient } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";

const closers: (() => void)[] = [];
after(() => {
  for (const close of closers) close();
});

interface Seen {
  readonly url: string;
  /** What each request was, and when it came. */
  readonly requests: { readonly method: string; readonly body: string; readonly atMs: number }[];
}

/** A server on a free port of the loopback that answers the n-th request, from 1, by `respond`. */
async function serve(
  respond: (n: number, request: IncomingMessage, response: Parameters<RequestListener>[1]) => void,
): Promise<Seen> {
  const requests: Seen["requests"] = [];
  const server = createServer((request, response) => {
    const atMs = performance.now();
    const answer = async () => {
      requests.push({ method: request.method ?? "", body: await text(request), atMs });
      respond(requests.length, request, response);
    };
    answer().catch((error: Error) => response.destroy(error));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, requests };
}

const statuses = (...list: number[]) =>
  serve((n, _request, response) => response.writeHead(list[n - 1] ?? 200).end(`answer ${n}`));
const quick = { waits: [1], jitter: 0 } as const;
const known = (code: string) => (error: unknown) => error instanceof LongshoreError && error.code === code;

describe("an outbound client", () => {
  test("tries again what may pass, and gives the answer that comes of it", async () => {
    const { url, requests } = await statuses(503, 429, 500, 201);
    const response = await outboundClient({ retries: quick })(url, { method: "PUT", body: "x" });
    assert.deepEqual([response.status, await response.text()], [201, "answer 4"]);
    assert.deepEqual(
      requests.map(({ method, body }) => `${method} ${body}`),
      ["PUT x", "PUT x", "PUT x", "PUT x"],
    );
  });

  test("gives the last answer when its attempts are used up, and repeats no answer that will stay", async () => {
    const busy = await statuses(...Array<number>(9).fill(502));
    const client = outboundClient({ retries: { ...quick, attempts: 3 } });
    assert.equal((await client(busy.url)).status, 502);
    assert.equal(busy.requests.length, 3);
    for (const status of [200, 301, 400, 401, 404, 409, 422]) {
      const lasting = await statuses(status, status);
      assert.equal((await client(lasting.url, { redirect: "manual" })).status, status);
      assert.equal(lasting.requests.length, 1, String(status));
    }
    const chosen = await statuses(404, 500);
    const picky = outboundClient({ retries: { ...quick, on: [404] } });
    assert.equal((await picky(chosen.url)).status, 500);
  });

  test("connections that fail and answers that do not come are tried again, then told", async () => {
    const flaky = await serve((n, request, response) => {
      if (n === 1) request.socket.destroy();
      else if (n > 2) response.end("there");
    });
    const client = outboundClient({ retries: quick, timeoutMs: 500 });
    assert.equal(await (await client(flaky.url)).text(), "there");
    assert.ok(flaky.requests.length >= 3);

    const closed = await statuses();
    for (const close of closers.splice(-1)) close();
    await assert.rejects(client(closed.url), (error) => {
      assert.ok(error instanceof LongshoreError && error.code === "remote_unavailable" && error.transient);
      assert.match(error.message, /does not answer \(.*ECONNREFUSED/);
      return true;
    });
    const silent = await serve(() => undefined);
    await assert.rejects(outboundClient({ retries: { ...quick, attempts: 2 }, timeoutMs: 50 })(silent.url), (error) => {
      assert.ok(known("remote_unavailable")(error));
      assert.match(String(error), /no answer within 50 ms/);
      return true;
    });
    assert.equal(silent.requests.length, 2);
  });

  test("a POST is repeated after 429 alone, unless it has an idempotency key; a stream is sent once", async () => {
    const client = outboundClient({ retries: quick });
    const post = { method: "POST", body: "new" };
    const limited = await statuses(429, 201);
    assert.equal((await client(limited.url, post)).status, 201);
    const down = await statuses(500, 201);
    assert.equal((await client(down.url, post)).status, 500);
    const keyed = await statuses(500, 201);
    assert.equal((await client(keyed.url, { ...post, headers: { "Idempotency-Key": "1" } })).status, 201);
    const dead = await serve((_n, request) => request.socket.destroy());
    await assert.rejects(client(dead.url, post), known("remote_unavailable"));
    assert.equal(dead.requests.length, 1);
    const streamed = await statuses(503, 200);
    const init = { method: "PUT", body: new Blob(["bytes"]).stream(), duplex: "half" as const };
    assert.equal((await client(streamed.url, init)).status, 503);
    assert.equal(streamed.requests[0]?.body, "bytes");
  });

  test("waits as long as Retry-After says, up to a limit, unless it is not to be heeded", async () => {
    const asked = (seconds: string) =>
      serve((n, _request, response) => {
        if (n === 1) response.writeHead(429, { "retry-after": seconds }).end();
        else response.end();
      });
    const pauseMs = async ({ url, requests }: Seen, retries: OutboundOptions["retries"]) => {
      assert.equal((await outboundClient({ retries: { ...quick, ...retries } })(url)).status, 200);
      return (requests[1]?.atMs ?? 0) - (requests[0]?.atMs ?? 0);
    };
    assert.ok((await pauseMs(await asked("1"), {})) >= 990);
    // An hour, by seconds and by a date (RFC 9110 §10.2.3), would break the test's own time limit.
    await pauseMs(await asked("3600"), { retryAfterMs: 20 });
    await pauseMs(await asked(new Date(Date.now() + 3_600_000).toUTCString()), { retryAfterMs: 20 });
    await pauseMs(await asked("3600"), { retryAfterMs: 0 });
  });

  test("over its rate it throws at once when it is to raise: 15 calls in 900 s, as production's scripts have it", async () => {
    const { url, requests } = await statuses();
    const other = await statuses();
    const client = outboundClient({ rate: { calls: 15, perMs: 900_000 }, whenLimited: "raise" });
    const answers = await Promise.allSettled(Array.from({ length: 20 }, () => client(url)));
    assert.equal(answers.filter(({ status }) => status === "fulfilled").length, 15);
    assert.equal(requests.length, 15);
    await assert.rejects(client(url), (error) => {
      assert.ok(error instanceof LongshoreError && error.code === "rate_limited" && error.transient);
      assert.ok((error.retryAfterMs ?? 0) > 800_000 && (error.retryAfterMs ?? 0) <= 900_000);
      assert.match(error.message, /No more calls to 127\.0\.0\.1:\d+ for \d+ s/);
      return true;
    });
    assert.equal((await client(other.url)).status, 200, "the rate is each host's own");
  });

  test("waits for its rate when it is to wait, and can be one rate for all hosts", async () => {
    const [one, other] = [await statuses(503), await statuses()];
    const client = outboundClient({ rate: { calls: 2, perMs: 300 }, perHost: false, retries: quick });
    await Promise.all([client(one.url), client(other.url), client(other.url), client(one.url)]);
    const times = [...one.requests, ...other.requests].map(({ atMs }) => atMs).sort((a, b) => a - b);
    assert.equal(times.length, 5, "the repeated call counts as well");
    // Of any three, the first and the last were begun 300 ms apart; they may take a little longer or shorter to arrive.
    for (let n = 0; n + 2 < times.length; n++)
      assert.ok((times[n + 2] ?? 0) - (times[n] ?? 0) > 200, times.map((at) => at.toFixed()).join(" "));
  });

  test("stops when it is told to, between tries and before its turn, with the reason it is given", async () => {
    const { url, requests } = await statuses(503, 503);
    const reason = new Error("enough");
    const stopping = new AbortController();
    const { signal } = stopping;
    const patient = outboundClient({ retries: { waits: [3_600_000] } })(url, { signal });
    const limited = outboundClient({ rate: { calls: 1, perMs: 3_600_000 }, retries: { attempts: 1 } });
    assert.equal((await limited(url)).status, 503);
    const second = limited(url, { signal });
    await until("both have been answered", () => requests.length === 2);
    stopping.abort(reason);
    await assert.rejects(patient, reason);
    await assert.rejects(second, reason);
    await assert.rejects(limited(url, { signal }), reason);
    assert.equal(requests.length, 2);
  });

  test("refuses options that make no sense, and what is no request", async () => {
    for (const options of [
      { rate: { calls: 0, perMs: 1 } },
      { rate: { calls: 1, perMs: 0 } },
      { retries: { attempts: 0 } },
      { retries: { jitter: 2 } },
      { retries: { waits: [-1] } },
      { retries: { retryAfterMs: Number.NaN } },
    ])
      assert.throws(() => outboundClient(options), RangeError, JSON.stringify(options));
    await assert.rejects(outboundClient()("no address"), TypeError);
    await assert.rejects(outboundClient()("http://127.0.0.1/", { body: "GET has none" }), TypeError);
  });
});
