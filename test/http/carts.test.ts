import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { type Deposited, depositFiles, getCart, postCart, readyCart, type WireCart } from "./cart-client.ts";
import { json, problem } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

// printf hello | sha512sum
const HELLO_SHA512 =
  "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043";
// printf hello | gzip -c | tail -c8 | head -c4 | od -t x4
const HELLO_CRC32 = "3610a686";
// printf hello | sha1sum
const HELLO_SHA1 = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";

interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}
interface WireCartFile {
  readonly seq: number;
  readonly path: string;
  readonly sizeBytes: number;
  readonly digests: Readonly<Record<string, string>>;
  readonly crc32: string;
  readonly fileId: number;
  readonly transactionId: number;
  readonly state: string;
}

describe("carts", () => {
  let server: RealServer;
  let deposited: Deposited;
  let hello: number;
  let other: number;
  before(async () => {
    server = await realServer();
    deposited = await depositFiles(server, { "hello.txt": "hello", "sub/other.txt": "other one" });
    hello = deposited.ids["hello.txt"] ?? 0;
    other = deposited.ids["sub/other.txt"] ?? 0;
  });
  after(() => server.stop());

  const api = () => `${server.url}/api/v1`;
  const files = async (cart: WireCart, query = "") =>
    json<Page<WireCartFile>>(`${api()}/carts/${cart.id}/files${query}`);
  const paths = async (cart: WireCart) => (await files(cart)).items.map(({ path }) => path);

  async function refusedAsEmpty(body: unknown): Promise<void> {
    const { details } = await problem(await postCart(server, body), 422, "cart_refused");
    assert.deepEqual(
      (details.problems as { code: string }[]).map(({ code }) => code),
      ["cart_empty"],
    );
  }

  test("are made of files and ready at once, and say everything about themselves", async () => {
    const response = await postCart(server, { name: "two files", files: [hello, { id: other }] });
    assert.equal(response.status, 201);
    const cart = (await response.json()) as WireCart & Record<string, unknown>;
    const address = `/api/v1/carts/${cart.id}`;
    assert.equal(response.headers.get("location"), address);
    const { id, createdAt, updatedAt, expiresAt, ...rest } = cart;
    assert.match(id, /^[A-Za-z0-9_-]{22}$/);
    for (const time of [createdAt, updatedAt, expiresAt]) assert.equal(new Date(String(time)).toISOString(), time);
    assert.deepEqual(rest, {
      name: "two files",
      owner: "local",
      status: "ready",
      files: 2,
      bytes: 14, // hello, other one
      algorithm: "sha512",
      staged: { files: 2, bytes: 14 },
      readyAt: null,
      job: null,
      problems: [],
      problemCount: 0,
      downloads: 0,
      links: {
        tar: `${address}/download.tar`,
        zip: `${address}/download.zip`,
        manifest: `${address}/manifest`,
        files: `${address}/files`,
      },
      lastUsedAt: null,
    });
    assert.deepEqual(await getCart(server, id), cart);
  });

  test("list their files in the order of the choice, in pages", async () => {
    const cart = await readyCart(server, { files: [other, { id: hello, path: "renamed/h.txt" }] });
    const first = await files(cart, "?limit=1");
    const second = await files(cart, `?limit=1&cursor=${first.next}`);
    assert.equal(second.next, null);
    assert.deepEqual([first.items[0]?.path, first.items[0]?.seq], ["sub/other.txt", 0]);
    const { modifiedAt, ...file } = second.items[0] as WireCartFile & { modifiedAt: string };
    assert.equal(modifiedAt, "2020-09-13T12:26:40.000Z"); // what the bundle declared
    assert.deepEqual(file, {
      seq: 1,
      path: "renamed/h.txt",
      sizeBytes: 5,
      digests: { sha512: HELLO_SHA512 },
      crc32: HELLO_CRC32,
      fileId: hello,
      transactionId: deposited.transaction,
      state: "archive",
    });
  });

  test("take whole transactions, parts of them, and what a query finds", async () => {
    const { transaction } = deposited;
    assert.deepEqual(await paths(await readyCart(server, { transactions: [transaction] })), [
      "hello.txt",
      "sub/other.txt",
    ]);
    assert.deepEqual(
      await paths(await readyCart(server, { transactions: [{ id: transaction, prefix: "data/sub/" }] })),
      ["sub/other.txt"],
    );
    // The bundles of these tests are all of project 1234a.
    const found = await readyCart(server, { query: { project: "1234a", mediaType: "text/*", prefix: "data/hello" } });
    assert.equal((await files(found)).items[0]?.fileId, hello);
    await refusedAsEmpty({ query: { project: "1234a", until: "2020-01-01T00:00:00Z" } });
  });

  test("take the same file once, and settle paths that collide", async () => {
    const chosen = [hello, hello, { id: other, path: "HELLO.txt" }, { id: other, path: "a\u0001b.txt" }];
    const cart = await readyCart(server, { files: chosen });
    assert.equal(cart.files, 3);
    const [first, second, third] = await paths(cart);
    assert.deepEqual([first, second, third], ["hello.txt", "HELLO (2).txt", "a_b.txt"]);
  });

  test("check a digest that comes with a file", async () => {
    const chosen = (value: string) => ({ files: [{ id: hello, digest: { algorithm: "SHA-1", value } }] });
    await readyCart(server, chosen(HELLO_SHA1.toUpperCase()));
    const refused = await postCart(server, chosen(HELLO_SHA1.replace("a", "b")));
    const cart = (await refused.json()) as WireCart;
    assert.notEqual(cart.status, "ready", JSON.stringify(cart));
  });

  test("expire when they were told to", async () => {
    const inAnHour = await readyCart(server, { files: [hello], expires: 3600 });
    const leftMs = Date.parse(inAnHour.expiresAt ?? "") - Date.now();
    assert.ok(leftMs > 3_500_000 && leftMs <= 3_600_000, `${leftMs} ms left`);
    const at = "2199-01-01T00:00:00.000Z";
    assert.equal((await readyCart(server, { files: [hello], expires: at })).expiresAt, at);
  });

  test("are listed newest first, in pages that neither repeat nor miss one", async () => {
    const made: string[] = [];
    for (let i = 0; i < 5; i++) made.unshift((await readyCart(server, { files: [hello] })).id);
    const seen: string[] = [];
    let page: Page<WireCart> = { items: [], next: "" };
    while (page.next !== null && seen.length < made.length) {
      page = await json(`${api()}/carts?limit=2${page.next === "" ? "" : `&cursor=${page.next}`}`);
      seen.push(...page.items.map(({ id }) => id));
    }
    assert.deepEqual(seen.slice(0, made.length), made);
    const broken = await json<Page<WireCart>>(`${api()}/carts?status=expired&status=error`);
    assert.ok(broken.items.every(({ status }) => status === "expired" || status === "error"));
    assert.equal((await json<Page<WireCart>>(`${api()}/carts?status=waiting`)).items.length, 0);
  });

  test("are forgotten once, and the files stay", async () => {
    const { id } = await readyCart(server, { files: [hello] });
    const forget = () => fetch(`${api()}/carts/${id}`, { method: "DELETE" });
    assert.equal((await forget()).status, 204);
    await problem(await forget(), 404, "cart_unknown");
    for (const path of ["", "/files", "/manifest", "/download.tar", "/download.zip"])
      await problem(await fetch(`${api()}/carts/${id}${path}`), 404, "cart_unknown");
    assert.equal((await fetch(`${api()}/files/${hello}/content`)).status, 200);
  });

  test("leave a line in the audit log when they are made and when they are forgotten", async () => {
    const { id } = await readyCart(server, { files: [hello] });
    await fetch(`${api()}/carts/${id}`, { method: "DELETE" });
    const { items } = await json<Page<{ action: string; target: string; details: unknown }>>(
      `${api()}/audit?limit=1000`,
    );
    const lines = items.filter(({ target }) => target === `cart/${id}`);
    assert.deepEqual(
      lines.map(({ action, details }) => [action, details]),
      [
        ["cart.create", { files: 1, bytes: 5 }],
        ["cart.delete", {}],
      ],
    );
  });

  test("count the downloads of files by themselves", async () => {
    const { ids, transaction } = await depositFiles(server, { "counted.txt": "0123456789" });
    const content = `${api()}/files/${ids["counted.txt"]}/content`;
    const counts = async () => [
      (await json<{ downloads: number }>(`${api()}/files/${ids["counted.txt"]}/statistics`)).downloads,
      (await json<{ downloads: number }>(`${api()}/transactions/${transaction}/statistics`)).downloads,
    ];
    assert.deepEqual(await counts(), [0, 0]);
    const once = await fetch(content);
    const etag = once.headers.get("etag") ?? "";
    await once.text();
    await (await fetch(content, { headers: { range: "bytes=5-" } })).text();
    await fetch(content, { method: "HEAD" });
    await fetch(content, { headers: { "if-none-match": etag } });
    assert.deepEqual(await counts(), [1, 1], "a part, a look and a copy that is still good are no downloads");
    await (await fetch(content, { headers: { range: "bytes=8-9,0-1" } })).text();
    assert.deepEqual(await counts(), [2, 2]);
    const { lastDownloadedAt } = await json<{ lastDownloadedAt: string }>(
      `${api()}/files/${ids["counted.txt"]}/statistics`,
    );
    assert.ok(Math.abs(Date.parse(lastDownloadedAt) - Date.now()) < 60_000);
    await problem(await fetch(`${api()}/files/999999/statistics`), 404, "file_unknown");
    await problem(await fetch(`${api()}/transactions/999999/statistics`), 404, "transaction_unknown");
  });

  test("are refused when they cannot be made of what was chosen, with every reason", async () => {
    const refused = await problem(
      await postCart(server, {
        files: [hello, 999_999, { id: other, path: "../up.txt" }, { id: other, path: "a\0b" }],
      }),
      422,
      "cart_refused",
    );
    const reasons = refused.details.problems as { code: string }[];
    assert.deepEqual(
      reasons.map(({ code }) => code),
      ["file_unknown", "cart_path_unsafe", "cart_path_unsafe"],
    );
    await problem(await postCart(server, { transactions: [999_999] }), 422, "cart_refused");
    for (const nothing of [{}, { files: [] }, { name: "x", transactions: [] }]) await refusedAsEmpty(nothing);
  });

  // Where `details.problems` says that something is wrong.
  const malformed: readonly (readonly [body: unknown, ...paths: string[]])[] = [
    [[], ""],
    [{ file: [1] }, ""],
    [{ files: "1" }, "files"],
    [{ files: [1, null, 0, 1.5, "", [], true] }, "files/1", "files/2", "files/3", "files/4", "files/5", "files/6"],
    [{ files: [{}] }, "files/0/id"],
    [{ files: [{ id: 1, size: 2 }] }, "files/0/size"],
    [{ files: [{ id: 1, path: "" }] }, "files/0/path"],
    [{ files: [{ id: 1, path: "x".repeat(4097) }] }, "files/0/path"],
    [{ files: [{ id: 1, digest: "abc" }] }, "files/0/digest"],
    [{ files: [{ id: 1, digest: { algorithm: "crc", value: "00" } }] }, "files/0/digest/algorithm"],
    [{ files: [{ id: 1, digest: { algorithm: "sha1", value: "00" } }] }, "files/0/digest/value"],
    [{ transactions: ["x"] }, "transactions/0"],
    [{ query: {} }, "query"],
    [{ query: { project: "x", colour: "red" } }, "query"],
    [{ query: { mediaType: "text" } }, "query/mediaType"],
    [
      { query: { keyValues: Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [n, "x"])) } },
      "query/keyValues",
    ],
    [{ query: { from: "yesterday" } }, "query/from"],
    [{ files: [1], name: " " }, "name"],
    [{ files: [1], expires: "soon" }, "expires"],
    [{ files: [1], expires: 0 }, "expires"],
  ];
  for (const [body, ...where] of malformed)
    test(`${JSON.stringify(body).slice(0, 60)} is not the form of a cart`, async () => {
      const { details } = await problem(await postCart(server, body), 400, "request_invalid");
      assert.deepEqual(
        (details.problems as { path: string }[]).map(({ path }) => path),
        where,
      );
    });

  test("a time that is past, text that is no JSON, and too much of it are refused", async () => {
    const past = await problem(
      await postCart(server, { files: [hello], expires: "2020-01-01T00:00:00Z" }),
      400,
      "request_invalid",
    );
    assert.equal(past.details.field, "expires");
    await problem(await postCart(server, "{"), 400, "request_invalid");
    const tooMuch = Buffer.alloc(64 * 1024 ** 2 + 1, " ").toString();
    await problem(await postCart(server, tooMuch), 413, "body_too_large");
  });

  test("a million files that are wrong are answered with the first of them", async () => {
    const body = `{"files":[${"null,".repeat(999_999)}null]}`;
    const { details } = await problem(await postCart(server, body), 400, "request_invalid");
    assert.equal((details.problems as unknown[]).length, 20);
  });

  test("the same file a hundred thousand times is that file", async () => {
    const cart = await readyCart(server, `{"files":[${`${hello},`.repeat(99_999)}${hello}]}`);
    assert.deepEqual([cart.files, cart.bytes], [1, 5]);
  });

  test("ids and cursors that cannot be are refused", async () => {
    await problem(await fetch(`${api()}/carts/a%00b`), 400, "request_invalid");
    await problem(await fetch(`${api()}/carts/${"x".repeat(22)}`), 404, "cart_unknown");
    for (const query of ["cursor=%20", "cursor=Lg", "status=gone", "limit=0"])
      await problem(await fetch(`${api()}/carts?${query}`), 400, "request_invalid");
  });
});

describe("carts of several people", () => {
  let server: RealServer;
  let ada: { readonly authorization: string };
  let bob: { readonly authorization: string };
  let operator: { readonly authorization: string };
  let sender: { readonly authorization: string };
  before(async () => {
    server = await realServer();
    ada = await server.token("ada", "deposit", "read");
    bob = await server.token("bob", "deposit", "read");
    operator = await server.token("olga", "operate");
    sender = await server.token("sender", "deposit");
  });
  after(() => server.stop());

  test("are nobody else's business but the operators'", async () => {
    const { ids } = await depositFiles(server, { "a.txt": "ada's" }, ada);
    const { id } = await readyCart(server, { files: [ids["a.txt"]] }, ada);
    const address = `${server.url}/api/v1/carts/${id}`;
    for (const path of ["", "/files", "/manifest", "/download.tar", "/download.zip?bag=true"]) {
      await problem(await fetch(address + path, { headers: bob }), 404, "cart_unknown");
      assert.equal((await fetch(address + path, { headers: operator })).status, 200, path);
      await problem(await fetch(address + path, { headers: sender }), 403, "scope_missing");
      await problem(await fetch(address + path), 401, "token_missing");
    }
    await problem(await fetch(address, { method: "DELETE", headers: bob }), 404, "cart_unknown");
    const list = async (headers: Record<string, string>) =>
      (await json<Page<WireCart>>(`${server.url}/api/v1/carts`, headers)).items.map((cart) => cart.id);
    assert.deepEqual([await list(ada), await list(bob), await list(operator)], [[id], [], [id]]);
    assert.equal((await fetch(address, { method: "DELETE", headers: operator })).status, 204);
    await problem(await fetch(address, { headers: ada }), 404, "cart_unknown");
  });

  test("hold only files that their maker may see", async () => {
    const { ids, transaction } = await depositFiles(server, { "b.txt": "bob's" }, bob);
    const refused = await problem(await postCart(server, { files: [ids["b.txt"]] }, ada), 422, "cart_refused");
    assert.equal((refused.details.problems as { code: string }[])[0]?.code, "file_unknown");
    await problem(await postCart(server, { transactions: [transaction] }, ada), 422, "cart_refused");
    await problem(await postCart(server, { query: { prefix: "data/b" } }, ada), 422, "cart_refused");
    await problem(
      await fetch(`${server.url}/api/v1/files/${ids["b.txt"]}/statistics`, { headers: ada }),
      404,
      "file_unknown",
    );
  });
});

test("a cart that takes longer to make than a connection may be silent is made all the same", async () => {
  const silenceMs = 1_000;
  const server = await realServer({
    silenceMs,
    wrap: (deps) => ({
      ...deps,
      carts: {
        ...deps.carts,
        async create(...request) {
          await setTimeout(3 * silenceMs);
          return deps.carts.create(...request);
        },
      },
    }),
  });
  try {
    const { ids } = await depositFiles(server, { "a.txt": "a" });
    await readyCart(server, { files: [ids["a.txt"]] });
  } finally {
    await server.stop();
  }
});
