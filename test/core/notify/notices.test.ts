import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, describe, test } from "node:test";
import { httpExchange } from "../../../src/adapters/outbound/http-exchange.ts";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import type { OutboxMessage } from "../../../src/core/catalogue/catalogue-store.ts";
import type { AppError } from "../../../src/core/errors.ts";
import { orderId, packageId } from "../../../src/core/ids.ts";
import { mailChannel, webhookChannel } from "../../../src/core/notify/channels.ts";
import type { Mail } from "../../../src/core/notify/mailer.ts";
import { notices } from "../../../src/core/notify/notices.ts";
import { readTemplates } from "../../../src/core/notify/templates.ts";
import { guardedFetch } from "../../../src/core/outbound/fetch.ts";
import { hostPace } from "../../../src/core/outbound/host-pace.ts";
import { allowedOrigins } from "../../../src/core/outbound/origins.ts";
import type { Order, Package } from "../../../src/core/packages/package.ts";

const ORDER: Order = {
  id: orderId("order-1"),
  packageId: packageId("package-1"),
  owner: "door",
  email: "ada@example.org",
  webhook: null,
  door: true,
  linkExpiresAt: Date.UTC(2026, 10, 30, 12),
  linkGeneration: 0,
  downloads: 0,
  createdAt: 0,
  toldAt: null,
  refused: null,
};
const PACKAGE: Package = {
  id: ORDER.packageId,
  cacheKey: "00",
  recipe: {
    kind: "datastore",
    resourceId: "r-1",
    apiUrl: "https://data.example.org:8443/api/action/datastore_search",
    format: "csv",
    manifest: false,
  },
  status: "ready",
  lane: "fast",
  job: null,
  fileName: "abc.zip",
  sizeBytes: 1_572_864,
  digest: "d1",
  rowCount: 1_234_567,
  members: [],
  error: null,
  freshUntil: null,
  createdAt: 0,
  finishedAt: 0,
  lastUsedAt: 0,
};
const LINK = "https://longshore.example.org/links/t/abc.zip";
const made = notices({ templates: readTemplates(undefined, ""), from: "Portal {ckan_host} <p@example.org>" });

describe("what a requester is told", () => {
  test("by mail: the link, with size, rows, digest and expiry", () => {
    const [mail, ...others] = made.ready(ORDER, PACKAGE, LINK);
    assert.equal(others.length, 0);
    assert.ok(mail);
    assert.deepEqual([mail.channel, mail.target], ["mail", "ada@example.org"]);
    const { from, subject, text: body, html } = mail.payload as Record<string, string>;
    assert.equal(from, "Portal data.example.org:8443 <p@example.org>");
    assert.equal(subject, "Resource from data.example.org:8443");
    for (const part of [LINK, "1.5 MiB", "1,234,567 rows", "d1", "2026-11-30 12:00 UTC", "r-1"])
      assert.ok(body?.includes(part), part);
    assert.match(html ?? "", /<a href="https:\/\/longshore\.example\.org\/links\/t\/abc\.zip">/);
    assert.doesNotMatch(body ?? "", /doi/i);
  });

  test("the DOI, when there is one", () => {
    const withDoi = { ...PACKAGE, recipe: { ...PACKAGE.recipe, doi: "10.5519/x<y" } };
    const [mail] = made.ready(ORDER, withDoi, LINK);
    assert.match(String(mail?.payload.text), /https:\/\/doi\.org\/10\.5519\/x<y/);
    assert.match(String(mail?.payload.html), /https:\/\/doi\.org\/10\.5519\/x&lt;y/);
  });

  test("a failure with its reason, and nothing of the rest", () => {
    const error = { code: "portal_refused", message: "The portal said <no>.", details: {} } as const;
    const [mail] = made.failed(ORDER, { ...PACKAGE, fileName: null, sizeBytes: null }, error);
    assert.match(String(mail?.payload.text), /The portal said <no>\./);
    assert.match(String(mail?.payload.html), /The portal said &lt;no&gt;\./);
    assert.doesNotMatch(String(mail?.payload.text), /http/);
  });

  test("in each of the ways they asked for, and once for each", () => {
    const both = { ...ORDER, webhook: "https://hooks.example.org/x" };
    assert.deepEqual(
      made.ready(both, PACKAGE, LINK).map(({ channel }) => channel),
      ["mail", "webhook"],
    );
    assert.deepEqual(made.ready({ ...ORDER, email: null }, PACKAGE, LINK), []);
    const keys = [...made.ready(both, PACKAGE, LINK), ...made.ready(both, PACKAGE, LINK)].map(({ key }) => key);
    assert.equal(new Set(keys).size, 2);
  });
});

const closers: (() => void)[] = [];
afterEach(() => {
  while (closers.length > 0) closers.pop()?.();
});
const never = new AbortController().signal;

describe("the channels of notices", () => {
  test("a mail is told of once it is taken, and keeps its id however often it is sent", async () => {
    const sent: Mail[] = [];
    const told: unknown[] = [];
    const mailer = { send: async (mail: Mail) => void sent.push(mail), close: async () => undefined };
    const channel = mailChannel(mailer, "longshore.example", async (...args) => void told.push(args));
    const [message] = made.ready(ORDER, PACKAGE, LINK) as [OutboxMessage];
    await channel.deliver(message, never);
    await channel.deliver(message, never);
    assert.deepEqual(told, [], "what is sent can be noted again and again, and is not sent for that");
    await channel.taken?.(message);
    assert.equal(sent[0]?.messageId, sent[1]?.messageId);
    assert.match(sent[0]?.messageId ?? "", /^[\w.-]+@longshore\.example$/);
    assert.deepEqual(told[0], ["order-1", "ready", null]);
    const error = { code: "mail_refused", message: "no", details: {} } as const;
    await channel.gaveUp?.(message, error);
    assert.deepEqual(told[1], ["order-1", "ready", error]);
  });

  test("a webhook is signed, so that openssl finds the same", async (t) => {
    if (spawnSync("openssl", ["version"]).status !== 0) return t.skip("openssl is not on this machine");
    const got: { body: string; signature: string }[] = [];
    let status = 204;
    const server = createServer(async (request, response) => {
      got.push({ body: await text(request), signature: String(request.headers["longshore-signature"]) });
      response.writeHead(status).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const exchange = httpExchange();
    closers.push(
      () => server.close(),
      () => exchange.close(),
    );
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const fetch = guardedFetch({
      exchange,
      origins: allowedOrigins([origin]),
      pace: hostPace({ connections: 1, rate: { calls: 1, perMs: 1 } }, systemClock),
      clock: systemClock,
      userAgent: "test",
    });
    const secret = "a secret that both sides know, 32 and more";
    const told: unknown[] = [];
    const channel = webhookChannel(fetch, secret, systemClock, async (...args) => void told.push(args));
    const [, message] = made.ready({ ...ORDER, webhook: `${origin}/hook` }, PACKAGE, LINK) as [unknown, OutboxMessage];
    await channel.deliver(message, never);
    await channel.taken?.(message);
    const [{ body, signature }] = got as [{ body: string; signature: string }];
    const [, at, hex] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signature) ?? [];
    const { stdout } = spawnSync("openssl", ["dgst", "-sha256", "-hmac", secret], {
      input: `${at}.${body}`,
      encoding: "utf8",
    });
    assert.equal(stdout.trim().split(" ").at(-1), hex);
    const event = JSON.parse(body);
    assert.deepEqual([event.type, event.order, event.link, event.rows], ["package.ready", "order-1", LINK, 1_234_567]);
    assert.deepEqual(told, [["order-1", "ready", null]]);

    status = 410;
    await assert.rejects(channel.deliver(message, never), (error: AppError) => error.code === "notice_refused");
    status = 500;
    await assert.rejects(channel.deliver(message, never), (error: AppError) => error.code === "remote_unavailable");
  });
});
