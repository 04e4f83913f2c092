import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { after, before, describe, test } from "node:test";
import { httpExchange } from "../../../src/adapters/outbound/http-exchange.ts";
import { AppError } from "../../../src/core/errors.ts";
import type { Exchange } from "../../../src/core/outbound/exchange.ts";
import { guardedFetch } from "../../../src/core/outbound/fetch.ts";
import { allowedOrigins, originRule } from "../../../src/core/outbound/origins.ts";

/** Addresses of this machine and of networks behind it, canonical. */
const INNER_V4 = [
  "127.0.0.1",
  "127.1.2.3",
  "10.0.0.1",
  "10.255.255.254",
  "172.16.0.1",
  "172.31.255.254",
  "192.168.1.1",
  "169.254.169.254", // metadata services of clouds
  "100.64.0.1",
  "0.0.0.0",
  "198.18.0.1",
  "192.0.0.8",
  "224.0.0.1",
  "255.255.255.255",
];
const INNER_V6 = [
  "::1",
  "::",
  "fe80::1",
  "fc00::1",
  "fd12:3456:789a::1",
  "ff02::1",
  "fec0::1",
  "2001:db8::1",
  "100::1",
  "2001::1",
  "0:0:0:0:0:0:0:1",
  "0000:0000:0000:0000:0000:0000:0000:0001",
];

/** Every way in which a URL may spell an IPv4 address (WHATWG URL, "IPv4 parser"), and IPv6 around it. */
function spellings(v4: string): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = v4.split(".").map(Number);
  const whole = ((a * 256 + b) * 256 + c) * 256 + d;
  const hex = (n: number) => `0x${n.toString(16)}`;
  const octal = (n: number) => `0${n.toString(8)}`;
  const half = (high: number, low: number) => (high * 256 + low).toString(16);
  return [
    v4,
    `${v4}.`,
    `${whole}`,
    hex(whole),
    octal(whole),
    [a, b, c, d].map(hex).join("."),
    [a, b, c, d].map(octal).join("."),
    [hex(a), octal(b), c, d].join("."),
    `${a}.${b}.${c * 256 + d}`,
    `${a}.${(b * 256 + c) * 256 + d}`,
    encodeURIComponent(v4).replaceAll(".", "%2e"),
    v4.replaceAll(".", "\u3002"), // ideographic full stop
    [...v4].map((char) => (/\d/.test(char) ? String.fromCodePoint(0xff10 + Number(char)) : char)).join(""), // fullwidth digits
    `[::ffff:${v4}]`,
    `[::ffff:${half(a, b)}:${half(c, d)}]`,
    `[0:0:0:0:0:ffff:${v4}]`,
    `[::${v4}]`,
    `[64:ff9b::${v4}]`,
    `[2002:${half(a, b)}:${half(c, d)}::]`,
  ];
}

const LITERALS = [
  ...INNER_V4.flatMap(spellings).flatMap((host) => [`http://${host}/`, `https://${host}:8443/x`]),
  ...INNER_V6.flatMap((address) => [`http://[${address}]/`, `http://[${address}]:5432/`]),
];

const UNFIT = [
  "file:///etc/passwd",
  "file://localhost/etc/passwd",
  "ftp://data.example.org/x",
  "gopher://127.0.0.1:6379/_FLUSHALL",
  "dict://127.0.0.1:11211/stats",
  "ldap://127.0.0.1/",
  "tftp://127.0.0.1/x",
  "jar:http://127.0.0.1!/",
  "data:text/plain,hello",
  "blob:http://127.0.0.1/x",
  "javascript:alert(1)",
  "ws://data.example.org/",
  "//127.0.0.1/",
  "/etc/passwd",
  "127.0.0.1:80",
  "http://",
  "http:///",
  "http://user:password@data.example.org/",
  "http://data.example.org@127.0.0.1/",
  "http://127.0.0.1\\@data.example.org/",
  "http://data.example.org:pass@[::1]/",
  "http://[::1",
  "http://[::1%25eth0]/",
  "http://256.256.256.256/",
  "http://0x100000000/",
  "http://data.example.org:99999/",
  " ",
  "",
];

/** Names and what they resolve to: the second look-up may say something else than the first. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  localhost: ["127.0.0.1", "::1"],
  "localhost.localdomain": ["127.0.0.1"],
  "127.0.0.1.nip.io": ["127.0.0.1"],
  "metadata.google.internal": ["169.254.169.254"],
  "inner.example.org": ["10.1.2.3"],
  "inner6.example.org": ["fd00::7"],
  "mapped.example.org": ["::ffff:127.0.0.1"],
  "nat64.example.org": ["64:ff9b::7f00:1"],
  "zero.example.org": ["0.0.0.0"],
};

describe("hostile addresses, where any public host may be fetched", () => {
  let server: Server;
  let port = 0;
  let reached = 0;
  const lookups = new Map<string, number>();
  let exchange: Exchange;
  before(async () => {
    server = createServer((_request, response) => {
      reached++;
      response.end("inside");
    });
    await new Promise<void>((resolve) => server.listen(0, resolve));
    port = (server.address() as AddressInfo).port;
    const resolve = (name: string, _options: unknown, done: (error: Error | null, found: unknown) => void) => {
      const times = (lookups.get(name) ?? 0) + 1;
      lookups.set(name, times);
      const found = name === "rebinding.example.org" ? ["127.0.0.1"] : (NAMES[name] ?? []);
      if (found.length === 0) return done(Object.assign(new Error("no such name"), { code: "ENOTFOUND" }), []);
      done(
        null,
        found.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
      );
    };
    exchange = httpExchange({ resolve: resolve as never });
  });
  after(() => {
    exchange.close();
    server.close();
  });

  const fetchAt = (origins: readonly string[]) => {
    const clock = { now: () => 0, sleep: async () => undefined };
    const pace = { turn: async () => () => undefined, holdBack: () => undefined };
    const fetch = guardedFetch({ exchange, origins: allowedOrigins(origins), pace, clock, userAgent: "test" });
    return (url: string) =>
      fetch({
        method: "GET",
        url,
        limits: { headMs: 2_000, silenceMs: 2_000, totalMs: 5_000, bodyBytes: 1_000 },
        signal: new AbortController().signal,
      });
  };
  const openly = () => fetchAt(["http://*:*", "https://*:*"]);

  async function refuses(url: string): Promise<void> {
    await assert.rejects(openly()(url), (error: unknown) => {
      assert.ok(error instanceof AppError && error.code === "fetch_refused", `${url}: ${String(error)}`);
      return true;
    });
  }

  test("there are at least 200 of them, and none gets through", async () => {
    const corpus = [...new Set([...LITERALS, ...UNFIT])];
    assert.ok(corpus.length >= 200, `only ${corpus.length}`);
    for (const url of corpus) await refuses(url);
    assert.equal(reached, 0);
  });

  test("the very port of a server on this machine is not reached under any spelling", async () => {
    for (const host of spellings("127.0.0.1")) await refuses(`http://${host}:${port}/`);
    for (const host of ["[::1]", "localhost"]) await refuses(`http://${host}:${port}/`);
    assert.equal(reached, 0);
  });

  test("a name is judged by what it resolves to, in the look-up that the connection uses", async () => {
    for (const name of Object.keys(NAMES)) await refuses(`http://${name}:${port}/`);
    await refuses(`http://rebinding.example.org:${port}/`);
    // One look-up for one try: nothing is asked of the resolver before the connection does.
    assert.equal(lookups.get("rebinding.example.org"), 1);
    assert.equal(reached, 0);
  });

  test("of several addresses only the public ones are called", async () => {
    const called: string[] = [];
    const judged = httpExchange({
      resolve: ((_name: string, _options: unknown, done: (error: null, found: unknown) => void) =>
        done(null, [
          { address: "127.0.0.1", family: 4 },
          { address: "10.0.0.1", family: 4 },
        ])) as never,
    });
    const request = {
      method: "GET" as const,
      url: new URL(`http://both.example.org:${port}/`),
      headers: {},
      admit: (address: string) => {
        called.push(address);
        return address === "127.0.0.1" ? undefined : "not this one";
      },
      headMs: 2_000,
      silenceMs: 2_000,
      signal: new AbortController().signal,
    };
    const { body } = await judged(request);
    body.resume();
    judged.close();
    assert.deepEqual(called, ["127.0.0.1", "10.0.0.1"]);
    assert.equal(reached, 1);
  });

  test("a redirect to the inside is refused though its origin may be fetched", async () => {
    const seen = reached;
    const redirecting = createServer((_request, response) =>
      response.writeHead(302, { location: `http://[::1]:${port}/` }).end(),
    );
    await new Promise<void>((resolve) => redirecting.listen(0, "127.0.0.1", resolve));
    const origin = `http://127.0.0.1:${(redirecting.address() as AddressInfo).port}`;
    await assert.rejects(fetchAt([origin, "http://*:*"])(origin), { code: "fetch_refused" });
    redirecting.close();
    assert.equal(reached, seen);
  });
});

test("an origin that is named in full may be inside, whatever spelling names it", async () => {
  const origins = allowedOrigins(["http://127.0.0.1:5000", "https://Data.Example.org", "https://*.example.net"]);
  assert.equal(origins.admit(new URL("http://2130706433:5000/x"))("127.0.0.1"), undefined);
  assert.equal(origins.admit(new URL("https://data.example.org:443/x"))("10.0.0.1"), undefined);
  assert.equal(origins.admit(new URL("https://data.example.org./x"))("10.0.0.1"), undefined);
  assert.equal(origins.admit(new URL("https://a.example.net"))("8.8.8.8"), undefined);
  assert.equal(origins.admit(new URL("https://a.example.net"))("10.0.0.1"), "private use");
  for (const url of [
    "http://127.0.0.1:5001/",
    "http://data.example.org/",
    "https://example.net/",
    "https://evilexample.net/",
    "https://data.example.org.evil.org/",
    "https://data.example.org:8443/",
  ])
    assert.throws(() => origins.admit(new URL(url)), { code: "fetch_refused" }, url);
});

test("what is not an origin is not a rule", () => {
  for (const text of [
    "",
    "*",
    "example.org",
    "https://",
    "https://a/path",
    "https://u:p@a",
    "https://a?q",
    "ftp://a",
    "https://a.*.org",
    "https://a*",
  ])
    assert.equal(originRule(text), undefined, text);
});
