import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { httpExchange } from "../../../src/adapters/outbound/http-exchange.ts";
import type { Clock } from "../../../src/core/clock.ts";
import { continued } from "../../../src/core/outbound/continued.ts";
import { type FetchRequest, guardedFetch } from "../../../src/core/outbound/fetch.ts";
import { hostPace } from "../../../src/core/outbound/host-pace.ts";
import { allowedOrigins } from "../../../src/core/outbound/origins.ts";

const exchange = httpExchange();
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const server = createServer((request, response) => answer(request, response));
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
after(() => {
  exchange.close();
  server.close();
  server.closeAllConnections();
});

/** Pauses are over at once. */
let time = 0;
const hasty: Clock = {
  now: () => time,
  sleep: async (ms) => {
    time += ms;
  },
};
const fetch = guardedFetch({
  exchange,
  origins: allowedOrigins([origin]),
  pace: hostPace({ connections: 4, rate: { calls: 1, perMs: 0.01 } }, hasty),
  clock: hasty,
  userAgent: "test",
});
const content = Buffer.from(Array.from({ length: 100_000 }, (_, n) => n % 251));

async function file(limit = 1_000_000): Promise<Buffer> {
  const request: FetchRequest = {
    method: "GET",
    url: `${origin}/file`,
    headers: { "accept-encoding": "identity" },
    limits: { headMs: 5_000, silenceMs: 5_000, totalMs: 30_000, bodyBytes: limit },
    signal: new AbortController().signal,
  };
  const pieces: Uint8Array[] = [];
  for await (const bytes of continued(fetch, request, await fetch(request), hasty)) pieces.push(bytes);
  return Buffer.concat(pieces);
}

/** Answers as RFC 9110 §14 has it, `most` bytes at a time; then the connection is cut. @returns the ranges asked for. */
function breaking(most: number, tags: { readonly first: string; readonly later?: string }): (string | undefined)[] {
  const ranges: (string | undefined)[] = [];
  answer = ({ headers }, response) => {
    const tag = ranges.length === 0 ? tags.first : (tags.later ?? tags.first);
    ranges.push(headers.range);
    const asked = headers["if-range"] === tag ? /^bytes=(\d+)-$/.exec(headers.range ?? "") : null;
    const from = Number(asked?.[1] ?? 0);
    const part = content.subarray(from, from + most);
    response.writeHead(asked ? 206 : 200, {
      etag: tag,
      "content-length": content.length - from,
      ...(asked && { "content-range": `bytes ${from}-${content.length - 1}/${content.length}` }),
    });
    response.write(part, () => (from + most < content.length ? response.destroy() : response.end()));
  };
  return ranges;
}

describe("a file that breaks off", () => {
  test("is gone on with where it broke, however often", async () => {
    const ranges = breaking(9_000, { first: '"v1"' });
    assert.ok(content.equals(await file()));
    assert.equal(ranges.length, 12);
    assert.deepEqual(ranges.slice(0, 3), [undefined, "bytes=9000-", "bytes=18000-"]);
  });

  test("breaks when nothing says that the rest is of the same file", async () => {
    for (const tags of [{ first: 'W/"v1"' }, { first: "" }, { first: '"v1"', later: '"v2"' }]) {
      const ranges = breaking(9_000, tags);
      await assert.rejects(file(), { code: "remote_unavailable" });
      assert.equal(ranges.length, tags.later === undefined ? 1 : 2, JSON.stringify(tags));
    }
  });

  test("breaks when another part comes than was asked for, or none for some tries", async () => {
    breaking(9_000, { first: '"v1"' });
    const honest = answer;
    answer = (request, response) => {
      if (request.headers.range === undefined) return honest(request, response);
      response.writeHead(206, { etag: '"v1"', "content-range": "bytes 0-99999/100000" }).end(content);
    };
    await assert.rejects(file(), { code: "remote_unavailable" });
    let requests = 0;
    answer = (_request, response) => {
      requests++;
      response.writeHead(requests === 1 ? 200 : 206, {
        etag: '"v1"',
        "content-length": content.length,
        "content-range": `bytes 0-${content.length - 1}/${content.length}`,
      });
      response.flushHeaders();
      response.write("", () => response.destroy());
    };
    await assert.rejects(file(), { code: "remote_unavailable" });
    assert.equal(requests, 5);
  });

  test("is not let grow beyond its limit by being asked for in parts", async () => {
    breaking(9_000, { first: '"v1"' });
    await assert.rejects(file(50_000), { code: "remote_too_large" });
  });
});
