import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import type { ObjectStorage } from "../../src/core/archive/object-storage.ts";
import { until } from "../support/until.ts";
import { archived, problem } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

const run = promisify(execFile);

/** 26 bytes. */
const LETTERS = "abcdefghijklmnopqrstuvwxyz";
// printf abcdefghijklmnopqrstuvwxyz | sha512sum
const LETTERS_SHA512 =
  "4dbff86cc2ca1bae1e16468a05cb9881c97f1753bce3619034898faa1aabe429955a1bf8ec483d7421fe3c1646613a59ed5441fb0f321389f77f48a879c7b1f1";
// printf abcdefghijklmnopqrstuvwxyz | openssl dgst -sha512 -binary | base64 -w0
const LETTERS_SHA512_BASE64 =
  "Tb/4bMLKG64eFkaKBcuYgcl/F1O842GQNImPqhqr5CmVWhv47Eg9dCH+PBZGYTpZ7VRB+w8yE4n3f0ioecex8Q==";

describe("file content", () => {
  let server: RealServer;
  let url: string;
  const etag = `"${LETTERS_SHA512}"`;
  const date = "Sun, 13 Sep 2020 12:26:40 GMT";

  before(async () => {
    server = await realServer();
    url = await archived(server, "letters.txt", LETTERS);
  });
  after(() => server.stop());

  const get = (headers: Record<string, string> = {}) => fetch(url, { headers });

  test("is whole, described, and harmless to a browser", async () => {
    const response = await get();
    assert.equal(response.status, 200);
    assert.equal(await response.text(), LETTERS);
    const expected = {
      "content-length": "26",
      "content-type": "text/plain",
      "accept-ranges": "bytes",
      etag,
      "last-modified": date,
      "repr-digest": `sha-512=:${LETTERS_SHA512_BASE64}:`,
      "content-digest": `sha-512=:${LETTERS_SHA512_BASE64}:`,
      "content-disposition": `attachment; filename="letters.txt"; filename*=UTF-8''letters.txt`,
      "x-content-type-options": "nosniff",
      "content-security-policy": "sandbox; default-src 'none'",
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(response.headers.get(name), value, name);
  });

  test("HEAD says the same without the bytes, whatever range is asked for", async () => {
    const response = await fetch(url, { method: "HEAD", headers: { range: "bytes=0-1" } });
    assert.deepEqual([response.status, response.headers.get("content-length")], [200, "26"]);
    assert.equal(response.headers.get("etag"), etag);
    assert.equal(await response.text(), "");
  });

  // RFC 9110 §14.1.2 and §14.2; expected bytes counted by hand in the alphabet.
  const ranges: readonly (readonly [range: string, body: string, contentRange: string])[] = [
    ["bytes=0-0", "a", "bytes 0-0/26"],
    ["bytes=0-4", "abcde", "bytes 0-4/26"],
    ["bytes=23-", "xyz", "bytes 23-25/26"],
    ["bytes=25-25", "z", "bytes 25-25/26"],
    ["bytes=-3", "xyz", "bytes 23-25/26"],
    ["bytes=-26", LETTERS, "bytes 0-25/26"],
    ["bytes=-999", LETTERS, "bytes 0-25/26"],
    ["bytes=20-999", "uvwxyz", "bytes 20-25/26"],
    ["BYTES=1-2", "bc", "bytes 1-2/26"],
  ];
  for (const [range, body, contentRange] of ranges)
    test(`${range} is ${contentRange}`, async () => {
      const response = await get({ range });
      assert.equal(response.status, 206);
      assert.equal(response.headers.get("content-range"), contentRange);
      assert.equal(response.headers.get("content-length"), String(body.length));
      assert.equal(response.headers.get("content-digest"), null, "the digest of a part is not known");
      assert.equal(response.headers.get("repr-digest"), `sha-512=:${LETTERS_SHA512_BASE64}:`);
      assert.equal(await response.text(), body);
    });

  for (const range of ["bytes=5-2", "bytes=-", "bytes=a-b", "items=0-1", "bytes 0-1", "bytes=0-1-2"])
    test(`${range} is passed over: the whole is the answer`, async () => {
      const response = await get({ range });
      assert.deepEqual([response.status, await response.text()], [200, LETTERS]);
    });

  for (const range of ["bytes=26-", "bytes=26-30", "bytes=-0", "bytes=999999999999999999999-"])
    test(`${range} is 416 with the size`, async () => {
      const response = await get({ range });
      assert.equal(response.headers.get("content-range"), "bytes */26");
      assert.equal(response.headers.get("etag"), null);
      await problem(response, 416, "range_not_satisfiable");
    });

  test("If-Range keeps the range only for the very same file", async () => {
    const range = "bytes=0-1";
    for (const [ifRange, status] of [
      [etag, 206],
      [date, 206],
      ['"other"', 200],
      [`W/${etag}`, 200],
      ["Sun, 13 Sep 2020 12:26:41 GMT", 200],
      ["nonsense", 200],
    ] as const)
      assert.equal((await get({ range, "if-range": ifRange })).status, status, ifRange);
    const void_ = await get({ range: "bytes=99-", "if-range": '"other"' });
    assert.equal(void_.status, 200, "a range that does not apply cannot be unsatisfiable");
  });

  test("conditions are judged in the order of RFC 9110", async () => {
    const cases: readonly (readonly [Record<string, string>, number])[] = [
      [{ "if-none-match": etag }, 304],
      [{ "if-none-match": `"x", W/${etag}` }, 304],
      [{ "if-none-match": "*" }, 304],
      [{ "if-none-match": '"x"' }, 200],
      [{ "if-none-match": '"x"', "if-modified-since": date }, 200],
      [{ "if-modified-since": date }, 304],
      [{ "if-modified-since": "Sun, 13 Sep 2020 12:26:39 GMT" }, 200],
      [{ "if-match": etag }, 200],
      [{ "if-match": "*" }, 200],
      [{ "if-match": '"x"' }, 412],
      [{ "if-match": `W/${etag}` }, 412],
      [{ "if-unmodified-since": "Sun, 13 Sep 2020 12:26:39 GMT" }, 412],
      [{ "if-unmodified-since": date }, 200],
      [{ "if-none-match": etag, range: "bytes=0-1" }, 304],
      [{ "if-match": '"x"', "if-none-match": etag }, 412],
    ];
    for (const [headers, status] of cases) {
      const response = await get(headers);
      assert.equal(response.status, status, JSON.stringify(headers));
      if (status === 304) assert.deepEqual([response.headers.get("etag"), await response.text()], [etag, ""]);
      else if (status === 412) await problem(response, 412, "precondition_failed");
      else await response.body?.cancel();
    }
  });

  test("an empty file is empty, and every range of it is 416", async () => {
    const empty = await archived(server, "empty.txt", "");
    const response = await fetch(empty);
    assert.deepEqual([response.status, await response.text()], [200, ""]);
    assert.equal(response.headers.get("content-length"), "0");
    assert.equal((await fetch(empty, { headers: { range: "bytes=0-" } })).status, 416);
  });

  test("names get into the head encoded, and types only when they are types", async () => {
    const odd = `na "quoted" ünï; % 'x'.html`;
    const response = await fetch(await archived(server, odd, "<script>alert(1)</script>", "text/html"));
    assert.equal(
      response.headers.get("content-disposition"),
      // RFC 8187 §3.2.1: everything but attr-char as %HH of UTF-8.
      `attachment; filename="na _quoted_ _n_; _ 'x'.html"; filename*=UTF-8''na%20%22quoted%22%20%C3%BCn%C3%AF%3B%20%25%20%27x%27.html`,
    );
    assert.equal(response.headers.get("content-type"), "text/html");
    assert.equal(response.headers.get("content-security-policy"), "sandbox; default-src 'none'");
    const typed = await fetch(await archived(server, "evil.bin", "x", "text/html\r\nx-evil: 1"));
    assert.equal(typed.headers.get("content-type"), "application/octet-stream");
    assert.equal(typed.headers.get("x-evil"), null);
  });

  test("curl continues a download where it stopped", async () => {
    const big = Buffer.alloc(5_000_000, "0123456789abcdef");
    const address = await archived(server, "big.bin", big);
    const { stdout } = await run("curl", ["-sS", "-r", "1000000-", address], {
      encoding: "buffer",
      maxBuffer: 2 ** 24,
    });
    assert.ok(stdout.equals(big.subarray(1_000_000)));
  });

  test("an unknown file is 404", async () => {
    await problem(await fetch(`${server.url}/api/v1/files/999999/content`), 404, "file_unknown");
    await problem(await fetch(`${server.url}/api/v1/files/999999`), 404, "file_unknown");
  });
});

describe("file content that the archive cannot give", () => {
  const open =
    (...parts: readonly (string | Error)[]): ObjectStorage["open"] =>
    async () =>
      Readable.from(
        (async function* () {
          for (const part of parts) {
            if (part instanceof Error) throw part;
            yield Buffer.from(part);
          }
        })(),
      );
  const served = async (broken: ObjectStorage["open"], work: (url: string, server: RealServer) => Promise<void>) => {
    const server = await realServer({ wrap: (deps) => ({ ...deps, storage: { ...deps.storage, open: broken } }) });
    try {
      await work(await archived(server, "letters.txt", LETTERS), server);
      assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
    } finally {
      await server.stop();
    }
  };

  for (const [trouble, code, ...parts] of [
    ["an error of the storage", "internal", "abcde", "fghij", new Error("the disk is gone")],
    ["a file that turns out too short", "object_corrupt", "abcde", "fghij", "klm"],
    ["a file that turns out too long", "object_corrupt", "abcde", LETTERS.slice(5), "more"],
  ] as const)
    test(`${trouble} breaks the connection: the client cannot take it for the whole`, () =>
      served(open(...parts), async (url, { log }) => {
        const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
        assert.equal(response.status, 200);
        await assert.rejects(response.text(), { name: "TypeError", message: "terminated" }); // undici's words
        const { pathname } = new URL(url);
        const isLogged = () => log.some((line) => line.level === 50 && line.code === code && line.path === pathname);
        await until("the log has the cause", isLogged);
      }));

  test("several ranges break off likewise, and are a problem when the first byte is not there", () =>
    served(open("abcde"), async (url) => {
      await problem(await fetch(url, { headers: { range: "bytes=0-5,9-9" } }), 422, "object_corrupt");
      const response = await fetch(url, { headers: { range: "bytes=0-4,9-12" } });
      assert.equal(response.status, 206);
      await assert.rejects(response.text());
    }));

  test("what goes wrong before the first byte is a problem, without what was to be said of the file", () =>
    served(open("abc"), async (url) => {
      const response = await fetch(url, { headers: { range: "bytes=0-9" } });
      for (const name of ["etag", "content-range", "content-digest", "content-disposition", "last-modified"])
        assert.equal(response.headers.get(name), null, name);
      await problem(response, 422, "object_corrupt");
    }));
});
