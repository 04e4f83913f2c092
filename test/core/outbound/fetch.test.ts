import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer, text } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { httpExchange } from "../../../src/adapters/outbound/http-exchange.ts";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import type { Clock } from "../../../src/core/clock.ts";
import { AppError } from "../../../src/core/errors.ts";
import { type FetchRequest, guardedFetch } from "../../../src/core/outbound/fetch.ts";
import { hostPace } from "../../../src/core/outbound/host-pace.ts";
import { allowedOrigins } from "../../../src/core/outbound/origins.ts";

const closers: (() => void)[] = [];
after(() => {
  for (const close of closers) close();
});

async function serve(respond: RequestListener): Promise<string> {
  const server = createServer(respond);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Pauses are over at once, and noted. */
function hasty(): { readonly clock: Clock; readonly pausesMs: number[] } {
  const pausesMs: number[] = [];
  let now = 0;
  const sleep = async (ms: number) => {
    now += ms;
    pausesMs.push(ms);
  };
  return { clock: { now: () => now, sleep }, pausesMs };
}

function fetchFrom(origins: readonly string[], clock: Clock = systemClock) {
  const exchange = httpExchange();
  closers.push(() => exchange.close());
  return guardedFetch({
    exchange,
    origins: allowedOrigins(origins),
    pace: hostPace({ connections: 4, rate: { calls: 1, perMs: 0.1 } }, clock),
    clock,
    userAgent: "longshore-test",
  });
}

const never = new AbortController().signal;
const get = (url: string, more: Partial<FetchRequest> = {}): FetchRequest => ({
  method: "GET",
  url,
  limits: { headMs: 5_000, silenceMs: 5_000, totalMs: 10_000, bodyBytes: 1_000_000 },
  signal: never,
  ...more,
});
const code = (expected: string) => (error: unknown) => {
  assert.ok(error instanceof AppError, String(error));
  assert.equal(error.code, expected, error.message);
  return true;
};

describe("a guarded fetch", () => {
  test("answers with status, headers and body of an origin that is configured", async () => {
    const origin = await serve((request, response) => {
      response.writeHead(404, { "x-seen": `${request.method} ${request.headers["user-agent"]}` }).end("nothing");
    });
    const answer = await fetchFrom([origin])(get(`${origin}/a`));
    assert.equal(answer.status, 404);
    assert.equal(answer.headers["x-seen"], "GET longshore-test");
    assert.equal(await text(answer.body), "nothing");
  });

  test("goes nowhere that no setting names", async () => {
    let asked = 0;
    const origin = await serve((_request, response) => {
      asked++;
      response.end();
    });
    await assert.rejects(fetchFrom([])(get(origin)), code("fetch_refused"));
    await assert.rejects(fetchFrom(["http://127.0.0.1:1"])(get(origin)), code("fetch_refused"));
    assert.equal(asked, 0);
  });

  test("follows redirects inside what is configured, and judges each hop", async () => {
    const secret = await serve((_request, response) => response.end("secret"));
    const origin = await serve((request, response) => {
      if (request.url === "/here") response.end("here");
      else response.writeHead(302, { location: request.url === "/in" ? "/here" : secret }).end();
    });
    const fetch = fetchFrom([origin]);
    const inside = await fetch(get(`${origin}/in`));
    assert.equal(inside.url, `${origin}/here`);
    assert.equal(await text(inside.body), "here");
    await assert.rejects(fetch(get(`${origin}/out`)), code("fetch_refused"));
  });

  test("drops credentials when a redirect leaves the origin, and keeps them inside it", async () => {
    const seen: (string | undefined)[] = [];
    const other = await serve((request, response) => {
      seen.push(request.headers.authorization);
      response.end();
    });
    const origin = await serve((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(307, { location: request.url === "/1" ? "/2" : other }).end();
    });
    const answer = await fetchFrom([origin, other])(get(`${origin}/1`, { headers: { Authorization: "key" } }));
    answer.body.resume();
    assert.deepEqual(seen, ["key", "key", undefined]);
  });

  test("a POST that is redirected by 303 becomes a GET without a body, by 307 stays what it is", async () => {
    const seen: string[] = [];
    const origin = await serve(async (request, response) => {
      seen.push(`${request.method} ${request.url} ${await text(request)}`);
      if (request.url === "/303") response.writeHead(303, { location: "/end" }).end();
      else if (request.url === "/307") response.writeHead(307, { location: "/end" }).end();
      else response.end();
    });
    const fetch = fetchFrom([origin]);
    for (const path of ["/303", "/307"])
      (await fetch(get(`${origin}${path}`, { method: "POST", body: "b" }))).body.resume();
    assert.deepEqual(seen, ["POST /303 b", "GET /end ", "POST /307 b", "POST /end b"]);
  });

  test("gives up on redirects without end", async () => {
    const origin = await serve((_request, response) => response.writeHead(302, { location: "/again" }).end());
    await assert.rejects(fetchFrom([origin])(get(origin)), code("remote_refused"));
  });

  test("waits as long as Retry-After says, and asks again after 429, 502, 503 and 504", async () => {
    const { clock, pausesMs } = hasty();
    const answers = [429, 502, 503, 504, 200];
    const origin = await serve((_request, response) => {
      const status = answers.shift() ?? 500;
      response.writeHead(status, status === 429 ? { "retry-after": "7" } : {}).end("done");
    });
    const answer = await fetchFrom([origin], clock)(get(origin));
    assert.equal(answer.status, 200);
    assert.equal(await text(answer.body), "done");
    assert.ok(pausesMs.includes(7_000), pausesMs.join());
    assert.deepEqual(answers, []);
  });

  test("asks a host again after five minutes that wants to be left alone for years", async () => {
    // 3 years; more than the 24.8 days that Node's timers can wait.
    const answers = ["99999999", "Sun, 01 Jan 2090 00:00:00 GMT"];
    const { clock, pausesMs } = hasty();
    const origin = await serve((_request, response) => {
      const retryAfter = answers.shift();
      response.writeHead(retryAfter ? 429 : 200, retryAfter ? { "retry-after": retryAfter } : {}).end();
    });
    const answer = await fetchFrom([origin], clock)(get(origin));
    assert.equal(answer.status, 200);
    assert.equal(Math.max(...pausesMs), 300_000);
  });

  test("says that a body broke off also to who begins to read it only then", async () => {
    const origin = await serve((_request, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("the beginning", () => response.destroy());
    });
    const { body } = await fetchFrom([origin])(get(origin));
    await once(body, "error");
    await assert.rejects(async () => {
      for await (const _ of body);
    }, code("remote_unavailable"));
  });

  test("returns the last answer of a host that stays busy", async () => {
    let asked = 0;
    const origin = await serve((_request, response) => {
      asked++;
      response.writeHead(503).end("busy");
    });
    const answer = await fetchFrom([origin], hasty().clock)(get(origin));
    assert.equal(answer.status, 503);
    assert.equal(await text(answer.body), "busy");
    assert.equal(asked, 6);
  });

  test("tries a connection that fails again, and says so in the end", async () => {
    let asked = 0;
    const origin = await serve((request) => {
      asked++;
      request.socket.destroy();
    });
    await assert.rejects(fetchFrom([origin], hasty().clock)(get(origin)), code("remote_unavailable"));
    assert.equal(asked, 6);
  });

  test("decodes a compressed body, and counts it as it is after decoding", async () => {
    const big = Buffer.alloc(3_000_000, "a");
    const origin = await serve((_request, response) =>
      response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(big)),
    );
    const fetch = fetchFrom([origin]);
    const limits = { ...get(origin).limits, bodyBytes: big.length };
    assert.deepEqual(await buffer((await fetch(get(origin, { limits }))).body), big);
    await assert.rejects(buffer((await fetch(get(origin))).body), code("remote_too_large"));
  });

  test("breaks off a body without end, a silent one, and one that is cut", async () => {
    const origin = await serve((request, response) => {
      if (request.url === "/endless") {
        const more = () => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536)));
        };
        response.on("drain", more);
        more();
      } else if (request.url === "/silent") response.write("begun");
      else {
        response.writeHead(200, { "content-length": 100 }).write("short");
        setImmediate(() => request.socket.destroy());
      }
    });
    const fetch = fetchFrom([origin]);
    await assert.rejects(buffer((await fetch(get(`${origin}/endless`))).body), code("remote_too_large"));
    const limits = { ...get(origin).limits, silenceMs: 50 };
    await assert.rejects(buffer((await fetch(get(`${origin}/silent`, { limits }))).body), code("remote_unavailable"));
    await assert.rejects(
      fetch(get(`${origin}/cut`)).then(({ body }) => buffer(body)),
      code("remote_unavailable"),
    );
  });

  test("breaks off when the time for all of it is over: before the head, in a pause, and in the body", async () => {
    const origin = await serve((request, response) => {
      if (request.url === "/busy") response.writeHead(503, { "retry-after": "3600" }).end();
      if (request.url === "/body") setInterval(() => response.write("."), 10).unref();
    });
    const fetch = fetchFrom([origin]);
    const limits = { ...get(origin).limits, totalMs: 200 };
    await assert.rejects(fetch(get(`${origin}/mute`, { limits })), code("remote_unavailable"));
    await assert.rejects(buffer((await fetch(get(`${origin}/body`, { limits }))).body), code("remote_unavailable"));
    await assert.rejects(fetch(get(`${origin}/busy`, { limits })), code("remote_unavailable"));
  });

  test("ends with the caller's own reason when the caller has had enough", async () => {
    const reason = new Error("enough");
    const origin = await serve((request, response) => {
      if (request.url === "/body") response.write("begun");
    });
    const fetch = fetchFrom([origin]);
    const before = new AbortController();
    const pending = fetch(get(`${origin}/head`, { signal: before.signal }));
    before.abort(reason);
    await assert.rejects(pending, reason);
    const during = new AbortController();
    const { body } = await fetch(get(`${origin}/body`, { signal: during.signal }));
    const read = buffer(body);
    during.abort(reason);
    await assert.rejects(read, reason);
  });

  test("repeats as its caller wants it, and takes every method", async () => {
    const seen: string[] = [];
    const origin = await serve((request, response) => {
      seen.push(request.method ?? "");
      if (request.url === "/moved") response.writeHead(303, { location: "/there" }).end();
      else response.writeHead(request.url === "/there" ? 200 : 418).end();
    });
    const { clock, pausesMs } = hasty();
    const fetch = fetchFrom([origin], clock);
    const retries = { attempts: 3, waits: [70], jitter: 0, retryAfterMs: 0, on: [418] };
    for (const method of ["PUT", "PATCH", "DELETE"] as const)
      (await fetch(get(`${origin}/`, { method, body: "x", retries }))).body.destroy();
    assert.deepEqual(seen, ["PUT", "PUT", "PUT", "PATCH", "PATCH", "PATCH", "DELETE", "DELETE", "DELETE"]);
    assert.equal(pausesMs.filter((ms) => ms === 70).length, 6);
    (await fetch(get(`${origin}/moved`, { method: "PUT", body: "x" }))).body.destroy();
    (await fetch(get(`${origin}/moved`, { method: "HEAD" }))).body.destroy();
    assert.deepEqual(seen.slice(9), ["PUT", "GET", "HEAD", "HEAD"], "RFC 9110 §15.4.4");
  });

  test("says when what answers does not speak HTTP", async () => {
    const { createServer: createTcp } = await import("node:net");
    const tcp = createTcp((socket) => socket.end("SSH-2.0-x\r\n"));
    await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
    closers.push(() => tcp.close());
    const origin = `http://127.0.0.1:${(tcp.address() as AddressInfo).port}`;
    await assert.rejects(fetchFrom([origin])(get(origin)), code("remote_refused"));
  });
});

describe("a host's pace", () => {
  test("lets a bounded number in at a time, in order, and gives up places that are left", async () => {
    const pace = hostPace({ connections: 2 }, hasty().clock);
    const ends = [await pace.turn("a", never), await pace.turn("a", never)];
    const order: string[] = [];
    const leaving = new AbortController();
    const third = pace.turn("a", never).then((end) => {
      order.push("third");
      return end;
    });
    const left = pace.turn("a", leaving.signal);
    const fourth = pace.turn("a", never).then((end) => {
      order.push("fourth");
      return end;
    });
    leaving.abort(new Error("left"));
    await assert.rejects(left, /left/);
    (await pace.turn("b", never))();
    assert.deepEqual(order, []);
    for (const end of ends) {
      end();
      end(); // no second place comes of it
    }
    await Promise.all([third, fourth]);
    assert.deepEqual(order, ["third", "fourth"]);
  });

  test("spreads requests over time, and holds all of them back when the host asks for it", async () => {
    const { clock } = hasty();
    const pace = hostPace({ connections: 10, rate: { calls: 1, perMs: 500 } }, clock);
    const begun: number[] = [];
    for (let n = 0; n < 3; n++) {
      await pace.turn("a", never);
      begun.push(clock.now());
    }
    pace.holdBack("a", 9_000);
    await pace.turn("a", never);
    begun.push(clock.now());
    assert.deepEqual(begun, [0, 500, 1_000, 9_000]);
  });
});
