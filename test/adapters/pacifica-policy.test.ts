import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { after, describe, test } from "node:test";
import { pacificaPolicy } from "../../src/adapters/pacifica/policy.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { AppError } from "../../src/core/errors.ts";
import type { Submission } from "../../src/core/ingest/policy/policy.ts";
import { httpSend } from "../../src/core/outbound/send.ts";
import { answer, hangUp, loseAnswer, never, PERMITTED, pacificaServices } from "../support/pacifica-services.ts";

const services = await pacificaServices();
const { policy: remote } = services;
after(() => services.close());

/** As a client wrote it: blanks and escapes included. */
const entries = (fields: object) =>
  Object.entries(fields).map(([field, value]) => ({ destinationTable: `Transactions.${field}`, value }));
const GOOD = `${JSON.stringify(entries(PERMITTED), null, 4)}\n`.replace("1234a", "1234\\u0061");
const BAD = JSON.stringify(entries({ ...PERMITTED, project: "no such", instrument: 1 }));

function submission(text: string, owner = "root"): Submission {
  const document = async () => Readable.from([Buffer.from(text.slice(0, 7)), Buffer.from(text.slice(7))]);
  const metadata = { submitter: null, project: null, instrument: null, keyValues: [], files: [] };
  return { owner, metadata, document };
}

describe("a Pacifica policy service", () => {
  const signal = () => AbortSignal.timeout(20_000);
  const send = httpSend({ ...systemClock, sleep: async () => {} });
  const options = { userHeader: "X-Http-Authed-User", send };
  const url = `${remote.url}/ingest`;
  const policy = pacificaPolicy({ url, ...options });

  test("agrees when the service does, which is sent the document byte by byte and the user's name", async () => {
    assert.deepEqual(await policy.judge(submission(GOOD), signal()), []);
    const received = remote.requests.at(-1);
    assert.equal(received?.body.toString(), GOOD);
    assert.equal(received?.headers["x-http-authed-user"], "root");
    assert.equal(received?.headers["content-length"], String(GOOD.length));
  });

  test("an address without a path means the service's own", async () => {
    const bare = pacificaPolicy({ url: remote.url, ...options });
    assert.deepEqual(await bare.judge(submission(GOOD), signal()), []);
    assert.equal(remote.requests.at(-1)?.url.pathname, "/ingest");
  });

  test("a name goes as UTF-8", async () => {
    await policy.judge(submission(GOOD, "Jürgen 漢"), signal());
    const field = String(remote.requests.at(-1)?.headers["x-http-authed-user"]);
    assert.equal(Buffer.from(field, "latin1").toString(), "Jürgen 漢");
  });

  test("objects with the service's message, and never with its traceback", async () => {
    const [objection, ...others] = await policy.judge(submission(BAD), signal());
    assert.deepEqual(others, []);
    assert.equal(objection?.code, "policy_refused");
    assert.equal(objection?.found, "Precondition Failed: Invalid values for project, instrument");
    assert.match(objection?.message ?? "", /^The policy refuses this bundle\. \(found: Precondition Failed/);
    assert.doesNotMatch(JSON.stringify(objection), /Traceback|rest\.py/);
  });

  test("a refusal that repeats a document of many megabytes is still read", async () => {
    const long = entries({ ...PERMITTED, submitter: 1 });
    const text = JSON.stringify([
      ...long,
      { destinationTable: "TransactionKeyValue", key: "k", value: "x".repeat(5e6) },
    ]);
    const [objection] = await policy.judge(submission(text), signal());
    assert.equal(objection?.found, "Precondition Failed: Invalid values for submitter");
  });

  test("an answer that is JSON but says nothing is a refusal with its status", async () => {
    remote.disturb(answer(200, '{"status": "ok"}'), answer(418, "{}"));
    assert.equal((await policy.judge(submission(GOOD), signal()))[0]?.found, "status 200");
    assert.equal((await policy.judge(submission(GOOD), signal()))[0]?.found, "status 418");
  });

  test("a message of any length is cut", async () => {
    remote.disturb(answer(412, JSON.stringify({ status: "412", message: "no ".repeat(5_000) })));
    const [objection] = await policy.judge(submission(GOOD), signal());
    assert.equal(String(objection?.found).length, 1_001);
  });

  test("an unexpected failure inside the service is its word too, as it is JSON", async () => {
    const [objection] = await policy.judge(submission('[{"no": "table"}]'), signal());
    assert.match(String(objection?.found), /^The server encountered an unexpected condition/);
  });

  for (const [what, disturbance, code] of [
    ["a proxy's error page", answer(502, "<html>Bad Gateway</html>"), "remote_unavailable"],
    ["an empty server error", answer(500, ""), "remote_unavailable"],
    ["a page of something else", answer(200, "<html>It works!</html>"), "remote_refused"],
    ["JSON that is no object", answer(200, "[1]"), "remote_refused"],
    ["JSON that breaks off", answer(200, '{"status": "succ'), "remote_refused"],
    ["a redirect", answer(302, "", { location: "/elsewhere" }), "remote_refused"],
    ["megabytes of something else", answer(200, "x".repeat(3e6)), "remote_refused"],
  ] as const)
    test(`${what} is ${code}`, async () => {
      remote.disturb(disturbance);
      const error = await policy.judge(submission(GOOD), signal()).catch((caught: unknown) => caught);
      assert.ok(error instanceof AppError);
      assert.equal(error.code, code);
      assert.equal(error.retryable, code === "remote_unavailable");
      assert.ok(error.message.length < 400, "the answer is not repeated at length");
    });

  test("a connection that breaks twice is tried again", async () => {
    remote.disturb(hangUp, loseAnswer);
    assert.deepEqual(await policy.judge(submission(GOOD), signal()), []);
  });

  test("a service that is gone is remote_unavailable, so that the job is tried again", async () => {
    remote.disturb(hangUp, hangUp, hangUp);
    await assert.rejects(policy.judge(submission(GOOD), signal()), { code: "remote_unavailable", retryable: true });
  });

  test("a service that does not answer in time is remote_unavailable", async () => {
    remote.disturb(never);
    const hasty = pacificaPolicy({ url, ...options, timeoutMs: 100 });
    await assert.rejects(hasty.judge(submission(GOOD), signal()), { code: "remote_unavailable" });
  });

  test("a job that is cancelled meanwhile does not wait for the answer", async () => {
    const abort = new AbortController();
    remote.disturb(() => abort.abort("cancelled"));
    const reason = await policy.judge(submission(GOOD), abort.signal).catch((caught: unknown) => caught);
    assert.equal(reason, "cancelled");
  });
});
