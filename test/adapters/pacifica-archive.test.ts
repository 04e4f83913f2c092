import assert from "node:assert/strict";
import { once } from "node:events";
import { buffer } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { httpExchange } from "../../src/adapters/outbound/http-exchange.ts";
import { pacificaArchive } from "../../src/adapters/pacifica/archive.ts";
import { AppError } from "../../src/core/errors.ts";
import { cutAfter, hangUp, pacificaArchiveServer, silence, stallAfter, status } from "../support/pacifica-archive.ts";
import { until } from "../support/until.ts";

const server = await pacificaArchiveServer();
const exchange = httpExchange();
after(async () => {
  exchange.close();
  await server.close();
});
const archive = pacificaArchive({ url: server.url, exchange });
const hasty = pacificaArchive({ url: server.url, exchange, headMs: 200, silenceMs: 200 });
const signal = () => AbortSignal.timeout(20_000);

async function failure(asked: Promise<unknown>): Promise<AppError> {
  const error = await asked.catch((caught: unknown) => caught);
  assert.ok(error instanceof AppError, String(error));
  return error;
}

describe("a Pacifica archive interface", () => {
  const bytes = Buffer.from("some bytes\n".repeat(50_000));
  server.put("7", bytes, { modifiedAt: 1_459_203_299.5125 });

  test("a file is told of, with its time to the millisecond, and read", async () => {
    assert.deepEqual(await archive.state("7", signal()), {
      sizeBytes: bytes.length,
      modifiedAt: 1_459_203_299_513, // date -u -d @1459203299.5125 +%s%3N, rounded
      online: true,
    });
    assert.ok(bytes.equals(await buffer(await archive.open("7", signal()))));
  });

  test("a file on tape is offline until it has been asked for and has come up", async () => {
    server.put("8", bytes, { tape: 1 });
    const isOnline = async () => (await archive.state("8", signal())).online;
    assert.equal(await isOnline(), false);
    assert.equal(await isOnline(), false);
    await archive.request("8", signal());
    await archive.request("8", signal());
    assert.equal(await isOnline(), false);
    assert.equal(await isOnline(), true);
  });

  test("ids are put behind the address as one part of the path, whatever they look like", async () => {
    const id = "a/../b?c#d é";
    server.put(id, Buffer.from("odd"));
    assert.equal(String(await buffer(await archive.open(id, signal()))), "odd");
    for (const dots of ["", ".", ".."])
      assert.equal((await failure(archive.state(dots, signal()))).code, "file_unknown");
  });

  test("a missing file is file_unknown for every question, though the original answers 500 to all of them", async () => {
    for (const asked of [
      archive.request("99", signal()),
      archive.state("99", signal()),
      archive.open("99", signal()),
    ]) {
      const error = await failure(asked);
      assert.equal(error.code, "file_unknown");
      assert.equal(error.details.id, "99");
      assert.doesNotMatch(JSON.stringify(error.details), /Traceback|\/srv/);
    }
  });

  for (const code of [404, 410])
    test(`${code} is a missing file too`, async () => {
      for (const verb of ["HEAD", "GET", "POST"]) server.disturb(`${verb} 7`, status(code, "not here"));
      for (const asked of [archive.state("7", signal()), archive.open("7", signal()), archive.request("7", signal())])
        assert.equal((await failure(asked)).code, "file_unknown");
    });

  test("a missing file of another Longshore, which answers like the original, is one too", async () => {
    server.disturb("HEAD 7", status(500));
    server.disturb("POST 7", status(500, JSON.stringify({ message: "No file with this id is known. (id: 7)" })));
    assert.equal((await failure(archive.state("7", signal()))).code, "file_unknown");
  });

  test("a 500 of a file that is there is a service in trouble", async () => {
    for (const [verb, ask] of [
      ["HEAD", () => archive.state("7", signal())],
      ["GET", () => archive.open("7", signal())],
      ["POST", () => archive.request("7", signal())],
    ] as const) {
      server.disturb(`${verb} 7`, status(500, "KeyError"));
      const error = await failure(ask());
      assert.equal(error.code, "remote_unavailable");
      assert.equal(error.retryable, true);
    }
  });

  for (const [what, fault] of [
    ["a refusal", status(403)],
    ["a redirect", status(302, "", { location: "http://127.0.0.1:1/" })],
    ["no size", status(204, "", { "x-pacifica-file-storage-media": "disk" })],
    ["a size that is none", status(204, "", { "x-pacifica-file-storage-media": "disk", "x-content-length": "-5" })],
    ["no place", status(204, "", { "x-content-length": "5" })],
  ] as const)
    test(`${what} is remote_refused`, async () => {
      server.disturb("HEAD 7", fault);
      assert.equal((await failure(archive.state("7", signal()))).code, "remote_refused");
    });

  test("a place that is an error is a service in trouble", async () => {
    server.disturb("HEAD 7", status(204, "", { "x-pacifica-file-storage-media": "error", "x-content-length": "5" }));
    assert.equal((await failure(archive.state("7", signal()))).code, "remote_unavailable");
  });

  for (const [what, field, modifiedAt] of [
    ["seconds", "1459203299", 1_459_203_299_000],
    ["a date as HTTP has it", "Mon, 28 Mar 2016 22:14:59 GMT", 1_459_203_299_000], // date -u -d @1459203299
    ["no time at all", "some day", null],
  ] as const)
    test(`a time may be ${what}`, async () => {
      const fields = { "x-content-length": "5", "x-pacifica-file-storage-media": "disk", "last-modified": field };
      server.disturb("HEAD 7", status(204, "", fields));
      assert.equal((await archive.state("7", signal())).modifiedAt, modifiedAt);
    });

  test("a file that is coded on its way is refused, as its bytes would be others", async () => {
    server.disturb("GET 7", status(200, "abc", { "content-encoding": "gzip" }));
    assert.equal((await failure(archive.open("7", signal()))).code, "remote_refused");
  });

  test("a connection that is refused or breaks before the answer is a service in trouble", async () => {
    server.disturb("HEAD 7", hangUp);
    assert.equal((await failure(archive.state("7", signal()))).code, "remote_unavailable");
  });

  test("an answer that does not come in time is a service in trouble", async () => {
    server.disturb("HEAD 7", silence);
    assert.equal((await failure(hasty.state("7", signal()))).code, "remote_unavailable");
  });

  test("a file whose connection breaks half-way never looks complete", async () => {
    server.disturb("GET 7", cutAfter(100_000));
    const error = await failure(buffer(await archive.open("7", signal())));
    assert.equal(error.code, "remote_unavailable");
  });

  test("a file that comes to a halt is given up, but not one whose reader takes its time", async () => {
    server.disturb("GET 7", stallAfter(100_000));
    const error = await failure(buffer(await hasty.open("7", signal())));
    assert.equal(error.code, "remote_unavailable");
    assert.equal(error.details.reason, "silent for 0.2 s");

    const slow = await hasty.open("7", signal());
    slow.read(0); // the first bytes are on their way, and nobody takes them
    await once(slow, "readable");
    const waited = AbortSignal.timeout(300);
    await until("longer than the longest silence has passed", () => waited.aborted);
    assert.ok(bytes.equals(await buffer(slow)));
  });

  test("an abort ends what is under way with its reason, and closes the connection", async () => {
    const abort = new AbortController();
    server.pause();
    const reading = buffer(await archive.open("7", abort.signal));
    abort.abort(new AppError("job_cancelled"));
    await assert.rejects(reading, { code: "job_cancelled" });
    server.resume();
    await until("nothing is sent any more", () => server.sending === 0);
  });

  test("a file that nobody reads is let go of", async () => {
    server.put("large", Buffer.alloc(2 ** 26)); // more than the sockets hold
    (await archive.open("large", signal())).destroy();
    await until("nothing is sent any more", () => server.sending === 0);
  });
});
