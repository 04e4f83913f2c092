import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { pacificaIdSource } from "../../src/adapters/pacifica/id-source.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { httpSend } from "../../src/core/outbound/send.ts";
import { answer, hangUp, loseAnswer, never, pacificaServices } from "../support/pacifica-services.ts";

const services = await pacificaServices();
const { uniqueid: remote } = services;
after(() => services.close());

describe("a Pacifica uniqueid service", () => {
  const send = httpSend({ ...systemClock, sleep: async () => {} });
  const ids = pacificaIdSource({ url: remote.url, send });

  test("gives ranges of its own for each mode, beginning with 1", async () => {
    assert.equal(await ids.reserve("upload_job", 1), 1);
    assert.equal(await ids.reserve("file", 10), 1);
    assert.equal(await ids.reserve("file", 1), 11);
    assert.equal(await ids.reserve("upload_job", 1), 2);
    assert.equal(remote.requests.at(-1)?.url.href.replace(/^.*pacifica/, ""), "/getid?range=1&mode=upload_job");
  });

  test("an address may end with a slash", async () => {
    assert.equal(await pacificaIdSource({ url: `${remote.url}/`, send }).reserve("file", 1), 12);
  });

  test("reservations at the same time never overlap", async () => {
    const firsts = await Promise.all(Array.from({ length: 20 }, () => ids.reserve("file", 5)));
    const all = firsts.flatMap((first) => Array.from({ length: 5 }, (_, i) => first + i));
    assert.equal(new Set(all).size, 100);
  });

  test("a connection that breaks is tried again; ids whose answer was lost are never given out", async () => {
    const before = await ids.reserve("file", 1);
    remote.disturb(hangUp, loseAnswer);
    assert.equal(await ids.reserve("file", 3), before + 1 + 3);
  });

  for (const [what, body] of [
    ["not JSON", "hello"],
    ["a list", "[1, 10]"],
    ["no range", "{}"],
    ["the answer to an empty range", '{"startIndex": -1, "endIndex": -3}'],
    ["zero", '{"startIndex": 0, "endIndex": 9}'],
    ["a range too short", '{"startIndex": 5, "endIndex": 13}'],
    ["a range too long", '{"startIndex": 5, "endIndex": 15}'],
    ["text", '{"startIndex": "5", "endIndex": "14"}'],
    ["a fraction", '{"startIndex": 5.5, "endIndex": 14.5}'],
    ["numbers beyond what can be counted", '{"startIndex": 9007199254740993, "endIndex": 9007199254741002}'],
  ] as const)
    test(`${what} is not taken for ids`, async () => {
      remote.disturb(answer(200, body));
      await assert.rejects(ids.reserve("file", 10), { code: "remote_refused" });
    });

  test("an error of the service is remote_unavailable, an unknown address remote_refused", async () => {
    remote.disturb(
      answer(500, '{"status": "500 Internal Server Error"}'),
      answer(404, '{"startIndex": 1, "endIndex": 1}'),
    );
    await assert.rejects(ids.reserve("file", 1), { code: "remote_unavailable" });
    await assert.rejects(ids.reserve("file", 1), { code: "remote_refused" });
  });

  test("a service that is gone or silent is remote_unavailable", async () => {
    remote.disturb(hangUp, hangUp, hangUp);
    await assert.rejects(ids.reserve("file", 1), { code: "remote_unavailable" });
    remote.disturb(never);
    const hasty = pacificaIdSource({ url: remote.url, send, timeoutMs: 100 });
    await assert.rejects(hasty.reserve("file", 1), { code: "remote_unavailable" });
  });

  test("a range of nothing is a defect of the caller and asks nobody", async () => {
    const asked = remote.requests.length;
    await assert.rejects(ids.reserve("file", 0), RangeError);
    assert.equal(remote.requests.length, asked);
  });
});
