import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import type { CartStatus } from "../../src/core/carts/cart.ts";
import { fileId } from "../../src/core/ids.ts";
import { type Deposited, depositFiles } from "./cart-client.ts";
import { type RealServer, realServer } from "./real-server.ts";

/*
 * Expected answers are what the original (pacifica-cartd 0.7.0 on CherryPy 18.8) answered when it was asked, and what its
 * client (pacifica-downloader 0.4.1) reads; where Longshore answers otherwise on purpose, the test's name says so.
 */

const run = promisify(execFile);
const ALL = "DELETE, GET, HEAD, POST";
const FILES = { "a/b/foo.txt": "hello", "bar.txt": "world", "データ.txt": "こんにちは" };
const SHA1_OF_HELLO = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"; // printf hello | sha1sum

interface Status {
  readonly code: number;
  readonly status: string | null;
  readonly message: string | null;
}

async function refusal(response: Response, status: number): Promise<string> {
  const text = await response.text();
  assert.equal(response.status, status, text);
  const error = JSON.parse(text) as Record<string, string>;
  assert.deepEqual(Object.keys(error).sort(), ["message", "status", "traceback", "version"]);
  assert.equal(error.traceback, "");
  return error.message ?? "";
}

async function headOf(url: string, headers = {}): Promise<Status> {
  const response = await fetch(url, { method: "HEAD", headers });
  return {
    code: response.status,
    status: response.headers.get("x-pacifica-status"),
    message: response.headers.get("x-pacifica-message"),
  };
}

/** What GNU tar finds in it, by name. */
async function unpacked(server: RealServer, tar: Uint8Array): Promise<Record<string, string>> {
  const folder = join(server.root, createHash("sha256").update(tar).digest("hex").slice(0, 12));
  await mkdir(folder);
  execFileSync("tar", ["-xf", "-", "-C", folder], { input: tar });
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = found.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const contents = files.map(async (path) => [path.slice(folder.length + 1), await readFile(path, "utf8")] as const);
  return Object.fromEntries((await Promise.all(contents)).sort());
}

for (const place of ["below /doors", "on a port of its own"] as const)
  describe(`the Pacifica cart door ${place}`, () => {
    let server: RealServer;
    let door: string;
    let deposited: Deposited;
    before(async () => {
      server = await realServer();
      door = place === "below /doors" ? `${server.url}/doors/pacifica-cart` : await server.door("pacifica-cart");
      deposited = await depositFiles(server, FILES);
    });
    after(() => server.stop());

    const id = (path: keyof typeof FILES) => deposited.ids[path] ?? 0;
    const post = (
      uid: string,
      body: unknown,
      headers: Record<string, string> = { "content-type": "application/json" },
    ) =>
      fetch(`${door}/${uid}`, {
        method: "POST",
        body: typeof body === "string" ? body : JSON.stringify(body),
        headers,
      });
    const cartOf = async (uid: string, fileids: unknown, more = {}) =>
      assert.equal((await post(uid, { fileids, ...more })).status, 201);
    const download = async (uid: string, query = "") => {
      const response = await fetch(`${door}/${uid}${query}`);
      assert.equal(response.status, 200, await (response.status === 200 ? "" : response.text()));
      return { headers: response.headers, tar: new Uint8Array(await response.arrayBuffer()) };
    };
    const three = () => [
      { id: id("a/b/foo.txt"), path: "a/b/foo.txt", hashtype: "sha1", hashsum: SHA1_OF_HELLO },
      { id: String(id("bar.txt")), path: "/bar.txt" },
      { id: id("データ.txt"), path: "データ.txt" },
    ];

    test("GET / says that it is up, HEAD / is 500 as cartd's own tests want it", async () => {
      const response = await fetch(`${door}/`);
      assert.deepEqual(await response.json(), { message: "Pacifica Cartd Interface Up and Running" });
      assert.equal(response.headers.get("content-type"), "application/json");
      assert.equal((await headOf(`${door}/`)).code, 500);
    });

    test("a cart is made, becomes ready, is downloaded as a plain tar of its files, and is deleted", async () => {
      const made = await post("36a", { fileids: three() });
      assert.equal(made.status, 201);
      assert.equal(made.headers.get("allow"), ALL);
      assert.equal(made.headers.get("content-type"), "application/json");
      assert.deepEqual(await made.json(), { message: "Cart Processing has begun" });

      assert.deepEqual(await headOf(`${door}/36a`), { code: 204, status: "ready", message: "" });

      const { headers, tar } = await download("36a", "?filename=data");
      assert.equal(headers.get("content-type"), "application/octet-stream");
      assert.equal(headers.get("content-encoding"), null);
      assert.equal(headers.get("content-length"), String(tar.length));
      assert.match(headers.get("content-disposition") ?? "", /^attachment; filename="data"/);
      assert.deepEqual(await unpacked(server, tar), {
        "data/a/b/foo.txt": "hello",
        "data/bar.txt": "world",
        "data/データ.txt": "こんにちは",
      });

      const deleted = await fetch(`${door}/36a`, { method: "DELETE" });
      assert.deepEqual([deleted.status, await deleted.json()], [200, { message: "Cart Deleted Successfully" }]);
      assert.equal(await refusal(await fetch(`${door}/36a`, { method: "DELETE" }), 404), "Not Found");
      assert.equal(
        await refusal(await fetch(`${door}/36a`), 404),
        "The cart does not exist or has already been deleted",
      );
      assert.deepEqual(await headOf(`${door}/36a`), {
        code: 404,
        status: "error",
        message: "No cart with uid 36a found",
      });
    });

    test("the folder is the file name without .tar anywhere in it; without a name it is the cart's time", async () => {
      await cartOf("names", [{ id: id("bar.txt"), path: "bar.txt" }]);
      for (const [filename, folder] of [
        ["my.tar.gz.tar", "my.gz"],
        ["plain", "plain"],
        [".tar", "_"],
        ["../../etc", ".._.._etc"],
        ["a/b\\c", "a_b_c"],
        ['naïve \u0007"quote".tar', "naïve __quote_"],
      ] as const) {
        const { headers, tar } = await download("names", `?filename=${encodeURIComponent(filename)}`);
        assert.deepEqual(Object.keys(await unpacked(server, tar)), [`${folder}/bar.txt`], filename);
        assert.match(
          headers.get("content-disposition") ?? "",
          /^attachment; filename="[\x20-\x7e]*"; filename\*=UTF-8''/,
        );
      }
      const { headers, tar } = await download("names");
      const name = /filename="(data_\d{4}(?:_\d\d){5})\.tar"/.exec(headers.get("content-disposition") ?? "")?.[1];
      assert.deepEqual(Object.keys(await unpacked(server, tar)), [`${name}/bar.txt`]);
      assert.equal((await download("names")).headers.get("etag"), headers.get("etag"), "the same tar a second time");
    });

    test("a bundled cart has its uid as the folder, whatever the file name", async () => {
      await cartOf("my cart", [{ id: id("bar.txt"), path: "bar.txt" }], { bundle: true });
      const { headers, tar } = await download("my cart", "?filename=other.tar");
      assert.match(headers.get("content-disposition") ?? "", /filename="other\.tar"/);
      assert.deepEqual(Object.keys(await unpacked(server, tar)), ["my cart/bar.txt"]);
      assert.equal(headers.get("accept-ranges"), "bytes");
    });

    test("every download is answered in ranges (the original's only when bundled), and curl takes it up again", async () => {
      await cartOf("ranges", three());
      const { tar } = await download("ranges");
      const part = await fetch(`${door}/ranges`, { headers: { range: "bytes=100-699" } });
      assert.equal(part.status, 206);
      assert.equal(part.headers.get("content-type"), "application/octet-stream");
      assert.deepEqual(new Uint8Array(await part.arrayBuffer()), tar.slice(100, 700));
      await refusal(await fetch(`${door}/ranges`, { headers: { range: `bytes=${tar.length}-` } }), 416);
      const local = join(server.root, "resumed.tar");
      await writeFile(local, tar);
      await truncate(local, 1000);
      await run("curl", ["-sS", "-f", "-C", "-", "-o", local, `${door}/ranges`]);
      assert.deepEqual(new Uint8Array(await readFile(local)), tar);
    });

    test("the JSON may come with any type or none, as the documentation's own calls have it", async () => {
      const document = join(server.root, "cart.json");
      await writeFile(document, JSON.stringify({ fileids: [{ id: id("bar.txt"), path: "bar.txt" }] }));
      for (const [index, how] of [
        ["--upload-file", document],
        ["--data-binary", `@${document}`],
        ["-H", "Content-Type: application/json", "-H", "Transfer-Encoding: chunked", "-T", document],
      ].entries()) {
        const { stdout } = await run("curl", ["-sS", "-X", "POST", ...how, `${door}/curl${index}`]);
        assert.deepEqual(JSON.parse(stdout), { message: "Cart Processing has begun" }, how.join(" "));
        assert.equal((await headOf(`${door}/curl${index}`)).status, "ready");
      }
    });

    test("a hash that is given is checked: one that is wrong or of an unknown type puts the cart in error", async () => {
      const entry = { id: id("a/b/foo.txt"), path: "foo.txt" };
      for (const [uid, hash] of [
        ["right", { hashtype: "sha1", hashsum: `sha1:${SHA1_OF_HELLO.toUpperCase()}` }],
        ["empty", { hashtype: "", hashsum: "" }],
        ["null", { hashtype: null, hashsum: null }],
      ] as const) {
        await cartOf(uid, [{ ...entry, ...hash }]);
        assert.equal((await headOf(`${door}/${uid}`)).status, "ready", uid);
      }
      for (const [uid, hash, words] of [
        ["wrong", { hashtype: "sha1", hashsum: "0".repeat(40) }, /digest/],
        ["unknown", { hashtype: "crc32", hashsum: "abc" }, /not known.*crc32/],
        ["short", { hashtype: "sha1", hashsum: "abc" }, /digest/],
      ] as const) {
        await cartOf(uid, [{ ...entry, ...hash }]);
        const { code, status, message } = await headOf(`${door}/${uid}`);
        assert.deepEqual([code, status], [500, "error"], uid);
        assert.match(message ?? "", /^Failed to pull file\(/);
        assert.match(message ?? "", words, uid);
      }
    });

    test("a cart in error is 202 to GET, and can be deleted", async () => {
      await cartOf("missing", [...three(), { id: 999_999, path: "x" }, { id: "gone", path: "y" }]);
      const { code, message } = await headOf(`${door}/missing`);
      assert.equal(code, 500);
      assert.match(message ?? "", /999999/);
      assert.match(message ?? "", /and 1 more$/);
      const answer = await fetch(`${door}/missing`);
      assert.deepEqual([answer.status, await answer.text()], [202, "The cart is not ready for download."]);
      assert.equal(answer.headers.get("content-type"), "application/json");
      assert.equal((await fetch(`${door}/missing`, { method: "DELETE" })).status, 200);
    });

    test("a cart of nothing is in error (the original's stayed in staging for ever)", async () => {
      await cartOf("nothing", []);
      assert.deepEqual(await headOf(`${door}/nothing`), {
        code: 500,
        status: "error",
        message: "Nothing was chosen for the cart.",
      });
    });

    test("a path that climbs out puts the cart in error (the original wrote there)", async () => {
      for (const [index, path] of ["../x", "a/../../x", "//x", "", "a/", "/"].entries()) {
        await cartOf(`climb${index}`, [{ id: id("bar.txt"), path }]);
        assert.equal((await headOf(`${door}/climb${index}`)).code, 500, path);
      }
    });

    test("what is said in a header is printable, whatever the trouble is about", async () => {
      await cartOf("odd", [{ id: "名前\r\nX-Evil: 1", path: "x" }]);
      const { code, message } = await headOf(`${door}/odd`);
      assert.equal(code, 500);
      assert.match(message ?? "", /^[\x20-\x7e]+$/);
      const { message: unknown } = await headOf(`${door}/${encodeURIComponent("ü\r\nX-Evil: 1")}`);
      assert.match(unknown ?? "", /^No cart with uid [\x20-\x7e]+ found$/);
    });

    test("a new cart of a name takes the place of the earlier one at once, and DELETE removes both", async () => {
      await cartOf("again", [{ id: id("bar.txt"), path: "first.txt" }]);
      await cartOf("again", [{ id: id("bar.txt"), path: "second.txt" }]);
      assert.deepEqual(Object.keys(await unpacked(server, (await download("again", "?filename=d")).tar)), [
        "d/second.txt",
      ]);
      await cartOf("again", []);
      assert.equal((await headOf(`${door}/again`)).code, 500, "the newest counts, though an earlier one is ready");
      assert.equal((await fetch(`${door}/again`, { method: "DELETE" })).status, 200);
      assert.equal((await headOf(`${door}/again`)).code, 404);
    });

    test("what is no request for a cart is 400 with the reason (the original: 500), and makes none", async () => {
      const entry = { id: id("bar.txt"), path: "bar.txt" };
      for (const [body, words] of [
        [{}, /fileids/],
        [[], /fileids/],
        [{ fileids: "1" }, /fileids/],
        [{ fileids: [{ path: "x" }] }, /fileids\[0\]/],
        [{ fileids: [entry, { id: false, path: "x" }] }, /fileids\[1\]/],
        [{ fileids: [entry, 5] }, /fileids\[1\]/],
        [{ fileids: [entry, null] }, /fileids\[1\]/],
        [{ fileids: [{ id: 1 }] }, /fileids\[0\]/],
        [{ fileids: [{ ...entry, hashsum: "abc" }] }, /hashtype and hashsum or neither/],
        [{ fileids: [entry], bundle: "yes" }, /bundle/],
        ["null", /fileids/],
        ["not json", /^Invalid JSON document$/],
        ["", /^Invalid JSON document$/],
      ] as const)
        assert.match(await refusal(await post("bad", body), 400), words, JSON.stringify(body));
      assert.equal((await headOf(`${door}/bad`)).code, 404);
    });

    test("PUT is 405, and paths of more than one part are nothing", async () => {
      const put = await fetch(`${door}/36`, { method: "PUT", body: "x" });
      assert.equal(put.headers.get("allow"), ALL);
      assert.equal(await refusal(put, 405), "Specified method is invalid for this resource");
      assert.equal(await refusal(await fetch(`${door}/a/b`), 404), "Nothing matches the given URI");
      const { status, message } = await headOf(`${door}/a/b`);
      assert.deepEqual([status, message], ["error", "Nothing matches the given URI"]);
    });

    test("a name with a NUL, which a database may not hold, is nobody's", async () => {
      const url = `${door}/a%00b`;
      await refusal(await fetch(url, { method: "POST", body: JSON.stringify({ fileids: [] }) }), 404);
      assert.deepEqual(await headOf(url), { code: 404, status: "error", message: "Nothing matches the given URI" });
      for (const method of ["GET", "DELETE"]) await refusal(await fetch(url, { method }), 404);
    });

    test("a download is counted once, however many parts it is fetched in", async () => {
      await cartOf("counted", [{ id: id("bar.txt"), path: "bar.txt" }]);
      await download("counted");
      await fetch(`${door}/counted`, { headers: { range: "bytes=512-" } });
      const principal = { name: "root", scopes: ["read"], via: "proxy" } as const;
      assert.equal((await server.deps.carts.named(principal, "counted"))?.downloads, 1);
    });

    test("a download of which a file was cut after the cart was made is never whole", async () => {
      const { ids } = await depositFiles(server, { "lost.bin": "x".repeat(300_000) });
      const file = await server.deps.catalogue.file(fileId(ids["lost.bin"] ?? 0));
      const transaction = file && (await server.deps.catalogue.transaction(file.transactionId));
      await cartOf("lost", [{ id: file?.id, path: "lost.bin" }]);
      await truncate(join(server.root, "archive", transaction?.objectPath ?? "", file?.contentPath ?? ""), 100_000);
      const outcome = await fetch(`${door}/lost`).then(async (response) =>
        response.status === 200
          ? response.arrayBuffer().then(
              () => "whole",
              () => "broken",
            )
          : "refused",
      );
      assert.notEqual(outcome, "whole");
    });
  });

test("a cart is staging to clients until it is ready, whatever it is waiting for: they stop at anything else", async (t) => {
  let status: CartStatus = "waiting";
  const server = await realServer({
    wrap: (deps) => ({
      ...deps,
      carts: {
        ...deps.carts,
        named: async (...asked) => {
          const cart = await deps.carts.named(...asked);
          return cart && { ...cart, status };
        },
      },
    }),
  });
  t.after(() => server.stop());
  const url = `${server.url}/doors/pacifica-cart/36`;
  await fetch(url, { method: "POST", body: '{"fileids": [{"id": 1, "path": "x"}]}' });
  for (status of ["waiting", "staging"] as const) {
    assert.deepEqual(await headOf(url), { code: 204, status: "staging", message: "" }, status);
    assert.equal((await fetch(url)).status, 202, status);
  }
  status = "expired";
  assert.equal((await headOf(url)).code, 404);
  assert.equal((await fetch(url)).status, 404);
});

describe("who comes through the Pacifica cart door", () => {
  test("carts are their owners', and both fields are on every HEAD, also when nobody is let in", async (t) => {
    const server = await realServer({ loopback: false });
    t.after(() => server.stop());
    const door = `${server.url}/doors/pacifica-cart`;
    const ada = await server.token("ada", "deposit", "read");
    const bob = await server.token("bob", "read");
    const { ids } = await depositFiles(server, { "a.txt": "secret" }, ada);
    const body = JSON.stringify({ fileids: [{ id: ids["a.txt"], path: "a.txt" }] });
    const send = (headers: Record<string, string>) => fetch(`${door}/shared`, { method: "POST", body, headers });

    assert.equal((await send({})).status, 401);
    const nobody = await headOf(`${door}/shared`);
    assert.deepEqual([nobody.code, nobody.status], [401, "error"]);
    assert.notEqual(nobody.message, null);

    assert.equal((await send(ada)).status, 201);
    assert.equal((await headOf(`${door}/shared`, bob)).code, 404);
    assert.equal((await fetch(`${door}/shared`, { headers: bob })).status, 404);
    assert.equal((await fetch(`${door}/shared`, { method: "DELETE", headers: bob })).status, 404);
    // The same name is another cart to somebody else; and in it, what they may not see does not exist.
    assert.equal((await send(bob)).status, 201);
    assert.equal((await headOf(`${door}/shared`, bob)).code, 500);
    assert.equal((await headOf(`${door}/shared`, ada)).status, "ready");
  });
});
