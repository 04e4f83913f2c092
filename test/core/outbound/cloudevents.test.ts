import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import { AppError } from "../../../src/core/errors.ts";
import { cloudEvents } from "../../../src/core/outbound/cloudevents.ts";
import { httpSend } from "../../../src/core/outbound/send.ts";

const received: { readonly headers: IncomingHttpHeaders; readonly method: string; readonly body: string }[] = [];
let status = 204;
const subscriber = createServer(async (request, response) => {
  received.push({ headers: request.headers, method: request.method ?? "", body: await text(request) });
  response.writeHead(status).end();
});
let target = "";
before(async () => {
  await new Promise<void>((resolve) => subscriber.listen(0, "127.0.0.1", resolve));
  target = `http://127.0.0.1:${(subscriber.address() as AddressInfo).port}/hook?key=secret`;
});
after(() => {
  subscriber.close();
  subscriber.closeAllConnections();
});

describe("CloudEvents", () => {
  const channel = cloudEvents({ source: "https://archive.example", send: httpSend(systemClock) });
  const data = { transactionId: 42, files: 3 };
  const deliver = () =>
    channel.deliver(
      {
        key: "cloudevent:42:00",
        channel: "cloudevent",
        target,
        payload: { time: "2020-09-13T12:26:40.000Z", data },
      },
      AbortSignal.timeout(10_000),
    );

  test("an event is one JSON document with the attributes that CloudEvents 1.0 requires", async () => {
    await deliver();
    const [{ headers, method, body } = assert.fail("nothing came")] = received;
    assert.equal(method, "POST");
    // CloudEvents 1.0, HTTP protocol binding §3.2.1: the media type of structured content mode
    assert.match(headers["content-type"] ?? "", /^application\/cloudevents\+json\b/);
    // CloudEvents 1.0 §3.1 required (id, source, specversion, type) and §3.2 optional attributes
    assert.deepEqual(JSON.parse(body), {
      specversion: "1.0",
      id: "cloudevent:42:00",
      source: "https://archive.example",
      type: "org.longshore.transaction.accepted",
      time: "2020-09-13T12:26:40.000Z",
      datacontenttype: "application/json",
      data,
    });
  });

  for (const accepted of [200, 201, 202, 204])
    test(`an answer of ${accepted} is a delivery`, async () => {
      status = accepted;
      await deliver();
    });

  for (const refused of [301, 400, 404, 429, 500, 503])
    test(`an answer of ${refused} is none, and the address's query is not told`, async () => {
      status = refused;
      const error = await deliver().catch((caught: unknown) => caught);
      assert.ok(error instanceof AppError);
      assert.equal(error.code, "remote_refused");
      assert.match(error.message, new RegExp(`/hook; expected: any 2xx; found: ${refused}`));
      assert.doesNotMatch(error.message, /secret/);
    });
});
