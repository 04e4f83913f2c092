import assert from "node:assert/strict";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import type { Clock } from "../../../src/core/clock.ts";
import { AppError } from "../../../src/core/errors.ts";
import { httpSend, MAX_ANSWER_BYTES, type OutboundBody, serviceName } from "../../../src/core/outbound/send.ts";
import { until } from "../../support/until.ts";

const servers: Server[] = [];
after(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

async function serve(respond: RequestListener): Promise<string> {
  const server = createServer(respond);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** An address where nobody listens. */
async function deadAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}/x`;
}

/** Real time, but pauses are only noted. */
function hasty(): { readonly clock: Clock; readonly pausesMs: number[] } {
  const pausesMs: number[] = [];
  const sleep = async (ms: number) => void pausesMs.push(ms);
  return { clock: { now: systemClock.now, sleep }, pausesMs };
}

/** Counts how often it is opened, and how many of these were closed again. */
function countedBody(pieces: readonly string[], sizeBytes = pieces.join("").length) {
  const counts = { opened: 0, closed: 0 };
  async function* generate() {
    counts.opened++;
    try {
      for (const piece of pieces) yield Buffer.from(piece);
    } finally {
      counts.closed++;
    }
  }
  const body: OutboundBody = { sizeBytes, open: async () => generate() };
  return { body, counts };
}

const send = httpSend(systemClock);
const timeoutMs = 10_000;

describe("sending a request", () => {
  test("a body goes out in pieces under its announced length", async () => {
    const url = await serve(async (request, response) => {
      const { "content-length": length, "transfer-encoding": encoding = "none", "x-name": name } = request.headers;
      response.end(`${request.method} ${length} ${encoding} ${name} ${await buffer(request)}`);
    });
    const { body } = countedBody(["abc", "", "def"]);
    const answer = await send({ method: "PUT", url, headers: { "x-name": "n" }, body, timeoutMs });
    assert.deepEqual(answer, { status: 200, text: "PUT 6 none n abcdef", isWhole: true });
  });

  test("every status is an answer, and a redirect is not followed", async () => {
    const asked: string[] = [];
    const url = await serve((request, response) => {
      asked.push(request.url ?? "");
      response.writeHead(307, { location: "/elsewhere" }).end("go away");
    });
    assert.deepEqual(await send({ method: "GET", url, timeoutMs }), { status: 307, text: "go away", isWhole: true });
    assert.deepEqual(asked, ["/"]);
  });

  test("a connection that breaks is tried again with the body made anew", async () => {
    let breaks = 2;
    const url = await serve(async (request, response) => {
      const text = await buffer(request);
      if (breaks-- > 0) request.socket.destroy();
      else response.end(text);
    });
    const { clock, pausesMs } = hasty();
    const { body, counts } = countedBody(["again"]);
    const { text } = await httpSend(clock)({ method: "POST", url, body, timeoutMs });
    assert.equal(text, "again");
    assert.deepEqual(counts, { opened: 3, closed: 3 });
    assert.deepEqual(pausesMs, [200, 1_000]);
  });

  test("nobody at the address is remote_unavailable after three tries", async () => {
    const { clock, pausesMs } = hasty();
    const url = await deadAddress();
    await assert.rejects(httpSend(clock)({ method: "GET", url, timeoutMs }), (error) => {
      assert.ok(error instanceof AppError);
      assert.equal(error.code, "remote_unavailable");
      assert.deepEqual(error.details, { service: url, reason: "ECONNREFUSED" });
      assert.equal(error.retryable, true);
      return true;
    });
    assert.equal(pausesMs.length, 2);
  });

  test("an answer that does not come within the time limit is remote_unavailable, and is not asked for again", async () => {
    let asked = 0;
    const url = await serve(() => {
      asked++;
    });
    await assert.rejects(send({ method: "GET", url, timeoutMs: 100 }), {
      code: "remote_unavailable",
      details: { service: `${url}/`, reason: "no answer within 0.1 s" },
    });
    assert.equal(asked, 1);
  });

  test("an answer that stops half-way counts against the time limit", async () => {
    const url = await serve((_, response) => void response.write("the beginn"));
    await assert.rejects(send({ method: "GET", url, timeoutMs: 100 }), { code: "remote_unavailable" });
  });

  test("whoever asked can break it off, with their own reason", async () => {
    const asked = Promise.withResolvers<void>();
    const url = await serve(() => asked.resolve());
    const abort = new AbortController();
    const sending = send({ method: "GET", url, timeoutMs, signal: abort.signal });
    await asked.promise;
    abort.abort("shutdown");
    assert.equal(await sending.catch((reason) => reason), "shutdown");
  });

  test("a failure of the body's source is passed on as it is", async () => {
    const url = await serve((request, response) => {
      request.on("error", () => {});
      request.resume().on("end", () => response.end());
    });
    const failure = new AppError("object_missing", { path: "a" });
    async function* broken() {
      yield Buffer.from("abc");
      throw failure;
    }
    const { clock, pausesMs } = hasty();
    const body: OutboundBody = { sizeBytes: 6, open: async () => broken() };
    const caught = await httpSend(clock)({ method: "PUT", url, body, timeoutMs }).catch((error) => error);
    assert.equal(caught, failure);
    assert.deepEqual(pausesMs, []);
  });

  test("a body that turns out shorter than announced is never taken for a whole one", async () => {
    const url = await serve((request, response) => {
      request.on("error", () => {});
      request.resume().on("end", () => response.end());
    });
    const { clock } = hasty();
    const { body } = countedBody(["abc"], 6);
    await assert.rejects(httpSend(clock)({ method: "PUT", url, body, timeoutMs }), { code: "remote_unavailable" });
  });

  test("an answer that comes before the body is through closes the body's source", async () => {
    const url = await serve((_, response) => response.writeHead(415, { connection: "close" }).end("no"));
    const counts = { opened: 0, closed: 0 };
    async function* endless() {
      counts.opened++;
      try {
        for (;;) yield Buffer.alloc(65_536);
      } finally {
        counts.closed++;
      }
    }
    const body: OutboundBody = { sizeBytes: 2 ** 40, open: async () => endless() };
    const { clock } = hasty();
    await httpSend(clock)({ method: "PUT", url, body, timeoutMs }).catch((error: unknown) => {
      // Whether the answer or the broken connection is seen first is a race that the sender cannot decide.
      assert.ok(error instanceof AppError && error.code === "remote_unavailable");
    });
    await until("the source is closed", () => counts.opened > 0 && counts.closed === counts.opened);
  });

  test("of a long answer only the beginning is read, and the connection is closed", async () => {
    const closed = Promise.withResolvers<void>();
    const url = await serve((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write("x".repeat(65_536)));
      };
      response.on("drain", more).on("close", closed.resolve);
      more();
    });
    const answer = await send({ method: "GET", url, timeoutMs });
    assert.equal(answer.isWhole, false);
    assert.equal(answer.text.length, MAX_ANSWER_BYTES);
    await closed.promise;
  });

  test("credentials in the address become Basic authorization and are not shown", async () => {
    const url = await serve((request, response) => response.end(request.headers.authorization));
    const secret = url.replace("//", "//me:s%40cret@");
    // printf 'me:s@cret' | base64
    assert.equal((await send({ method: "GET", url: secret, timeoutMs })).text, "Basic bWU6c0BjcmV0");
    assert.equal(serviceName(`${secret}/a?token=b`), `${url}/a`);
  });
});
