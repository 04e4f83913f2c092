import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { without } from "../support/tools.ts";
import { until } from "../support/until.ts";
import { BIG, begun, depositFiles, getCart, readyCart, type WireCart } from "./cart-client.ts";
import { json, problem, raw } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

const run = promisify(execFile);
const noCurl = without("curl", ["curl", "--version"], "apt package curl");
const noUnzip = without("unzip", ["unzip", "-v"], "apt package unzip");

const FILES = { "big.bin": BIG, "empty.txt": "", "sub/hällo.txt": "hello" };

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "longshore-download-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

const OF_THE_EXCHANGE = ["connection", "date", "keep-alive", "x-request-id"];

/** What a head says of the download. */
function said(response: Response): Record<string, string> {
  return Object.fromEntries([...response.headers].filter(([name]) => !OF_THE_EXCHANGE.includes(name)));
}

describe("downloads of a cart", () => {
  let server: RealServer;
  let cart: WireCart;
  let tar: string;
  /** Downloads that are being read from the archive. */
  let readers = 0;
  before(async () => {
    server = await realServer({
      wrap: (deps) => ({
        ...deps,
        carts: {
          ...deps.carts,
          async download(...asked) {
            const download = await deps.carts.download(...asked);
            return {
              ...download,
              async *read(...how) {
                readers++;
                try {
                  yield* download.read(...how);
                } finally {
                  readers--;
                }
              },
            };
          },
        },
      }),
    });
    const { transaction } = await depositFiles(server, FILES);
    cart = await readyCart(server, { name: "Grüße", transactions: [transaction] });
    tar = server.url + cart.links.tar;
  });
  after(() => server.stop());

  const part = (range: string, headers: Record<string, string> = {}) => fetch(tar, { headers: { range, ...headers } });
  const whole = async () => Buffer.from(await (await fetch(tar)).arrayBuffer());

  test("are a tar that GNU tar unpacks and sha512sum checks", async (t) => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, "cart.tar"), await whole());
    await run("tar", ["-xf", "cart.tar"], { cwd: folder });
    const { stdout } = await run("sha512sum", ["-c", "manifest-sha512.txt"], { cwd: join(folder, "Grüße") });
    assert.deepEqual(
      stdout.trim().split("\n").sort(),
      Object.keys(FILES).map((name) => `data/${name}: OK`),
    );
    for (const [name, content] of Object.entries(FILES))
      assert.ok((await readFile(join(folder, "Grüße", "data", name))).equals(Buffer.from(content)), name);
  });

  test("are a ZIP that unzip tests", { skip: noUnzip }, async (t) => {
    const folder = await temporaryFolder(t);
    const response = await fetch(server.url + cart.links.zip);
    assert.equal(response.headers.get("content-type"), "application/zip");
    const bytes = Buffer.from(await response.arrayBuffer());
    assert.equal(response.headers.get("content-length"), String(bytes.length));
    await writeFile(join(folder, "cart.zip"), bytes);
    const { stdout } = await run("unzip", ["-tq", "cart.zip"], { cwd: folder });
    assert.match(stdout, /No errors detected/);
  });

  test("are bags when bags are asked for", async (t) => {
    const folder = await temporaryFolder(t);
    const response = await fetch(`${tar}?bag=true`);
    assert.notEqual(response.headers.get("etag"), (await fetch(tar, { method: "HEAD" })).headers.get("etag"));
    await writeFile(join(folder, "bag.tar"), Buffer.from(await response.arrayBuffer()));
    const { stdout } = await run("tar", ["-tf", "bag.tar", "--quoting-style=literal"], { cwd: folder });
    // RFC 8493 §2.1: the required elements; §2.2.1: and of a tag manifest.
    for (const name of ["bagit.txt", "manifest-sha512.txt", "tagmanifest-sha512.txt"])
      assert.ok(stdout.split("\n").includes(`Grüße/${name}`), name);
    await problem(await fetch(`${tar}?bag=yes`), 400, "request_invalid");
    await problem(await fetch(`${tar}?folder=x`), 400, "request_invalid");
  });

  test("say how long they are and what they are, to HEAD as to GET", async () => {
    const response = await fetch(tar);
    const body = await response.arrayBuffer();
    const fields = said(response);
    assert.equal(fields["content-length"], String(body.byteLength));
    assert.match(fields.etag ?? "", /^"[\x21\x23-\x7e]+"$/); // RFC 9110 §8.8.3, strong
    assert.equal(fields["accept-ranges"], "bytes");
    assert.equal(fields["content-type"], "application/x-tar");
    // RFC 6266 §4.3 and RFC 8187 §3.2.1; UTF-8 of ü is c3 bc, of ß c3 9f.
    assert.equal(
      fields["content-disposition"],
      `attachment; filename="Gr__e.tar"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.tar`,
    );
    assert.ok(Date.parse(fields["last-modified"] ?? "") <= Date.now());
    for (const digest of ["repr-digest", "content-digest"])
      assert.equal(fields[digest], undefined, "nobody has read the whole archive");
    const head = await fetch(tar, { method: "HEAD", headers: { range: "bytes=0-1" } });
    assert.deepEqual([head.status, await head.text()], [200, ""]);
    assert.deepEqual(said(head), fields);
  });

  test("are the same bytes under the same tag every time", async () => {
    const [one, another] = [await fetch(tar), await fetch(tar)];
    assert.equal(one.headers.get("etag"), another.headers.get("etag"));
    assert.ok(Buffer.from(await one.arrayBuffer()).equals(Buffer.from(await another.arrayBuffer())));
  });

  test("can be had in parts", async () => {
    const all = await whole();
    const size = all.length;
    const places = [0, 511, 512, 1000, Math.floor(size / 3), size - 1025, size - 1];
    for (const start of places)
      for (const length of [1, 512, 70_000]) {
        const end = Math.min(start + length, size) - 1;
        const response = await part(`bytes=${start}-${end}`);
        assert.equal(response.status, 206);
        assert.equal(response.headers.get("content-range"), `bytes ${start}-${end}/${size}`);
        assert.equal(response.headers.get("content-length"), String(end - start + 1));
        const bytes = Buffer.from(await response.arrayBuffer());
        assert.ok(bytes.equals(all.subarray(start, end + 1)), `${start}-${end}`);
      }
    const suffix = Buffer.from(await (await part("bytes=-1024")).arrayBuffer());
    assert.ok(suffix.equals(Buffer.alloc(1024)), "a tar ends with two blocks of zeros (POSIX pax, ustar)");
  });

  test("can be had in several parts at once", async () => {
    const all = await whole();
    const response = await part("bytes=0-9,1000000-1099999,-10");
    const boundary = /boundary=(.*)/.exec(response.headers.get("content-type") ?? "")?.[1];
    const body = Buffer.from(await response.arrayBuffer());
    assert.equal(response.headers.get("content-length"), String(body.length));
    const pieces: readonly (readonly [number, number])[] = [
      [0, 9],
      [1_000_000, 1_099_999],
      [all.length - 10, all.length - 1],
    ];
    // RFC 9110 §14.6 and RFC 2046 §5.1.1.
    const expected = pieces.map(([start, end]) =>
      Buffer.concat([
        Buffer.from(
          `--${boundary}\r\nContent-Type: application/x-tar\r\nContent-Range: bytes ${start}-${end}/${all.length}\r\n\r\n`,
        ),
        all.subarray(start, end + 1),
        Buffer.from("\r\n"),
      ]),
    );
    assert.ok(body.equals(Buffer.concat([...expected, Buffer.from(`--${boundary}--\r\n`)])));
  });

  test("are continued by curl where they stopped", { skip: noCurl }, async (t) => {
    const folder = await temporaryFolder(t);
    const all = await whole();
    await writeFile(join(folder, "cart.tar"), all.subarray(0, 1_234_567));
    await run("curl", ["-sS", "--fail", "-C", "-", "-o", "cart.tar", tar], { cwd: folder });
    assert.ok((await readFile(join(folder, "cart.tar"))).equals(all));
  });

  test("are whole again for a client that holds another version, or asks for nonsense", async () => {
    const all = await whole();
    const etag = (await fetch(tar, { method: "HEAD" })).headers.get("etag") ?? "";
    assert.equal((await part("bytes=5-9", { "if-range": etag })).status, 206);
    for (const [range, headers] of [
      ["bytes=5-9", { "if-range": '"of another cart"' }],
      ["bytes=5-9", { "if-range": "Sun, 13 Sep 2020 12:26:40 GMT" }],
      ["bytes=9-5", {}],
      ["bytes=five-nine", {}],
      ["lines=1-2", {}],
    ] as const) {
      const response = await part(range, headers);
      assert.equal(response.status, 200, range);
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(all), range);
    }
  });

  test("have nothing beyond their end", async () => {
    const { length } = await whole();
    for (const range of [`bytes=${length}-`, "bytes=-0", `bytes=${length}-,99999999999-`]) {
      const response = await part(range);
      assert.equal(response.headers.get("content-range"), `bytes */${length}`);
      for (const name of ["etag", "content-disposition", "last-modified"])
        assert.equal(response.headers.get(name), null, name);
      await problem(response, 416, "range_not_satisfiable");
    }
  });

  test("need not be sent to a client that has them", async () => {
    const fields = said(await fetch(tar, { method: "HEAD" }));
    for (const condition of [{ "if-none-match": fields.etag }, { "if-modified-since": fields["last-modified"] }]) {
      const response = await fetch(tar, { headers: condition as Record<string, string> });
      assert.deepEqual([response.status, await response.text()], [304, ""]);
      assert.equal(response.headers.get("etag"), fields.etag);
    }
    await problem(await fetch(tar, { headers: { "if-match": '"x"' } }), 412, "precondition_failed");
  });

  test("count when they begin with the first byte", async () => {
    const { id } = cart;
    const { downloads } = await getCart(server, id);
    const etag = (await fetch(tar, { method: "HEAD" })).headers.get("etag") ?? "";
    await (await part("bytes=1-9")).arrayBuffer();
    await fetch(tar, { headers: { "if-none-match": etag } });
    assert.equal((await getCart(server, id)).downloads, downloads);
    await whole();
    await (await part("bytes=0-1023")).arrayBuffer();
    assert.equal((await getCart(server, id)).downloads, downloads + 2);
  });

  test("count for the files in them and their transaction, once that has been carried over", async () => {
    const { transaction, ids } = await depositFiles(server, { "x.txt": "x", "y.txt": "y" });
    const { links } = await readyCart(server, { transactions: [transaction] });
    await (await fetch(server.url + links.zip)).arrayBuffer();
    while (await server.stores.carts.tally());
    for (const path of [`files/${ids["x.txt"]}`, `files/${ids["y.txt"]}`, `transactions/${transaction}`]) {
      const counted = await json<{ downloads: number }>(`${server.url}/api/v1/${path}/statistics`);
      assert.equal(counted.downloads, 1, path);
    }
  });

  test("have the manifest that can be had by itself", async (t) => {
    const folder = await temporaryFolder(t);
    const response = await fetch(server.url + cart.links.manifest);
    assert.equal(response.headers.get("content-type"), "text/plain; charset=utf-8");
    assert.match(response.headers.get("content-disposition") ?? "", /filename="manifest-sha512.txt"/);
    const manifest = await response.text();
    await writeFile(join(folder, "cart.tar"), await whole());
    const member = await run("tar", ["-xOf", "cart.tar", "Grüße/manifest-sha512.txt"], { cwd: folder });
    assert.equal(manifest, member.stdout);
    const { status } = await fetch(server.url + cart.links.manifest, { method: "HEAD" });
    assert.equal(status, 405);
  });

  /** A cart that is larger than what sockets hold by themselves. */
  const heavyCart = () =>
    readyCart(server, { files: Array.from({ length: 8 }, (_, at) => ({ id: 1, path: `${at}` })) });

  test("are the same for all who read at once, each at a pace of its own", async () => {
    const url = server.url + (await heavyCart()).links.tar;
    const expected = digestOf(new Uint8Array(await (await fetch(url)).arrayBuffer()));
    const readers = Array.from({ length: 6 }, async (_, pace) => {
      const answer = await begun(url);
      const hash = createHash("sha256");
      let chunks = 0;
      for await (const chunk of answer) {
        hash.update(chunk);
        if (++chunks % (pace + 1) === 0) await setTimeout(pace);
      }
      return hash.digest("hex");
    });
    for (const digest of await Promise.all(readers)) assert.equal(digest, expected);
  });

  test("leave the connection open for the next request, even one that did not wait", async () => {
    const host = `Host: ${new URL(tar).host}`;
    const ask = (range: string, more = "") =>
      `GET ${cart.links.tar} HTTP/1.1\r\n${host}\r\nRange: bytes=${range}\r\n${more}\r\n`;
    const answers = await raw(server, `${ask("0-9")}${ask("10-99999")}${ask("-5", "Connection: close\r\n")}`);
    assert.deepEqual(answers.match(/(?<=Content-Range: )bytes \S+(?=\/)/gi), [
      "bytes 0-9",
      "bytes 10-99999",
      `bytes ${(await whole()).length - 5}-${(await whole()).length - 1}`,
    ]);
  });

  test("are read no further when the client has gone", async () => {
    const held = await heavyCart();
    const lines = server.log.length;
    const answer = await begun(server.url + held.links.tar);
    answer.destroy();
    const path = held.links.tar;
    await until("the request is over", () => server.log.some((line) => line.path === path && line.msg === "request"));
    await until("nobody reads any more", () => readers === 0);
    await until(
      "no file of the archive is open",
      async () => (await openBelow(join(server.root, "archive"))).length === 0,
    );
    const log = server.log.slice(lines);
    assert.equal(log.find((line) => line.path === path)?.aborted, true);
    assert.deepEqual(
      log.filter(({ level }) => Number(level) >= 40),
      [],
      "that a client leaves is no trouble",
    );
  });
});

test("a download that its reader leaves lying is cut off", async () => {
  const server = await realServer({ silenceMs: 2_000 });
  try {
    await depositFiles(server, { "big.bin": BIG });
    // Larger than what sockets hold by themselves.
    const files = Array.from({ length: 8 }, (_, at) => ({ id: 1, path: `${at}` }));
    const { links } = await readyCart(server, { files });
    const answer = await begun(server.url + links.tar);
    const line = () => server.log.find(({ path, msg }) => path === links.tar && msg === "request");
    await until("the request is over", () => line() !== undefined);
    assert.equal(line()?.aborted, true);
    answer.destroy();
  } finally {
    await server.stop();
  }
});

const digestOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Files below a folder that this process holds open. */
async function openBelow(folder: string): Promise<readonly string[]> {
  const open: string[] = [];
  for (const descriptor of await readdir("/proc/self/fd")) {
    const target = await readlink(`/proc/self/fd/${descriptor}`).catch(() => ""); // closed meanwhile
    if (target.startsWith(folder)) open.push(target);
  }
  return open;
}
