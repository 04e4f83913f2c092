import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer, text } from "node:stream/consumers";
import { after, before, describe, type TestContext, test } from "node:test";
import { type Job, type Longshore, LongshoreError, longshore } from "../../src/sdk/index.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { bundleBlob } from "./deposit.ts";

describe("SDK against a real server", () => {
  let server: ServerProcess;
  let client: Longshore;
  let job: Job;
  before(async () => {
    server = await startServer();
    client = longshore({ url: `${server.url}/` });
    const tar = await bundleBlob({ "a.txt": "hello\n", "b/c.txt": "0123456789" }, [
      { destinationTable: "Transactions.submitter", value: 10 },
      { destinationTable: "TransactionKeyValue", key: "site", value: "north" },
    ]);
    job = await client.jobs.wait((await client.bundles.deposit(tar)).id);
    assert.equal(job.state, "succeeded", JSON.stringify(job.error));
  });
  after(() => server.stop());

  test("a finished deposit is found as job, transaction and files", async () => {
    const transaction = await client.transactions.get(job.id);
    assert.deepEqual([transaction.submitter, transaction.files, transaction.bytes], ["10", 2, 16]);
    assert.deepEqual(transaction.keyValues, [{ key: "site", value: "north", fileId: null }]);
    assert.equal(job.result?.inventoryDigest, transaction.inventoryDigest);
    const files = await Array.fromAsync(client.transactions.files(job.id));
    assert.deepEqual(
      files.map(({ path, sizeBytes }) => [path, sizeBytes]),
      [
        ["data/a.txt", 6],
        ["data/b/c.txt", 10],
      ],
    );
    assert.deepEqual(await client.files.get(files[0]?.id ?? 0), files[0]);
    assert.equal(files[0]?.digests.sha1, "f572d396fae9206628714fb2ce00f72e94f2258f"); // printf 'hello\n' | sha1sum
  });

  test("a stream is deposited without its length being known", async () => {
    const tar = await bundleBlob({ "streamed.txt": "one" });
    const { id } = await client.bundles.deposit(tar.stream());
    assert.equal((await client.jobs.wait(id)).state, "succeeded");
  });

  test("the same idempotency key gives the same job", async () => {
    const tar = await bundleBlob({ "once.txt": "once" });
    const first = await client.bundles.deposit(tar, { idempotencyKey: "once" });
    const second = await client.bundles.deposit(tar, { idempotencyKey: "once" });
    assert.equal(second.id, first.id);
    assert.equal((await client.jobs.wait(first.id)).state, "succeeded");
  });

  test("a body that is not what its digest promised is refused, with the code and the facts", async () => {
    const tar = await bundleBlob({ "d.txt": "d" });
    const digest = createHash("sha256").update("not this").digest("base64");
    await assert.rejects(client.bundles.deposit(tar, { contentDigest: `sha-256=:${digest}:` }), (error) => {
      assert.ok(error instanceof LongshoreError);
      assert.deepEqual([error.code, error.status, error.transient], ["digest_mismatch", 422, false]);
      assert.equal(typeof error.details.jobId, "number");
      assert.match(error.requestId ?? "", /./);
      return true;
    });
  });

  test("listings go from page to page", async () => {
    for (const name of ["p1", "p2", "p3"])
      await client.jobs.wait((await client.bundles.deposit(await bundleBlob({ [name]: name }))).id);
    const page = await client.jobs.list({ limit: 2 }).page();
    assert.equal(page.items.length, 2);
    assert.notEqual(page.next, null);
    const ids = (await Array.fromAsync(client.jobs.list({ limit: 2 }))).map(({ id }) => id);
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => b - a),
      "newest first",
    );
    assert.equal(new Set(ids).size, ids.length);
    assert.ok(ids.includes(job.id));
    const transactions = await Array.fromAsync(client.transactions.list({ limit: 1 }));
    assert.ok(transactions.length >= 4);
    assert.deepEqual((await Array.fromAsync(client.jobs.list({ state: "cancelled" }))).length, 0);
  });

  test("parts of a file are fetched by range; a stale If-Range gets the whole", async () => {
    const [, file] = await Array.fromAsync(client.transactions.files(job.id));
    const id = file?.id ?? 0;
    const { etag, sizeBytes } = await client.files.stat(id);
    assert.equal(sizeBytes, 10);
    const tail = await client.files.content(id, { from: 4, ...(etag === null ? {} : { ifRange: etag }) });
    assert.deepEqual([tail.from, tail.sizeBytes, await text(tail.bytes)], [4, 10, "456789"]);
    const middle = await client.files.content(id, { from: 2, to: 3 });
    assert.deepEqual([middle.from, await text(middle.bytes)], [2, "23"]);
    const stale = await client.files.content(id, { from: 4, ifRange: '"another"' });
    assert.deepEqual([stale.from, await text(stale.bytes)], [0, "0123456789"]);
    const whole = await client.files.content(id);
    assert.equal((await buffer(whole.bytes)).length, 10);
  });

  test("a job that cannot succeed tells why", async () => {
    const { id } = await client.bundles.deposit(new Blob(["this is not a tar archive".repeat(100)]));
    const failed = await client.jobs.wait(id);
    assert.deepEqual([failed.state, failed.error?.code], ["failed", "bundle_not_tar"]);
  });

  test("what is unknown or wrong comes as the server's own code", async () => {
    await assert.rejects(client.jobs.get(999_999), { code: "job_unknown", status: 404 });
    await assert.rejects(client.transactions.get(999_999), { code: "transaction_unknown" });
    await assert.rejects(client.files.get(999_999), { code: "file_unknown" });
    await assert.rejects(client.jobs.cancel(job.id), { code: "job_state_conflict", status: 409 });
    await assert.rejects(client.jobs.get(Number.NaN), { code: "request_invalid", status: 400 });
  });

  test("a watcher whose connection is cut again and again misses no line and repeats none", async (t) => {
    const response = await fetch(`${server.url}/api/v1/jobs/${job.id}/events?limit=1000`, {
      headers: { accept: "application/json" },
    });
    const { items } = (await response.json()) as { items: { seq: number }[] };
    assert.ok(items.length >= 5, "the history is too short to be cut");
    const proxy = await faultyProxy(server.url);
    t.after(() => proxy.close());
    let allowed = 600;
    proxy.cutAfter(() => {
      allowed += 300;
      return allowed;
    });
    const seen: number[] = [];
    const retried: string[] = [];
    for await (const news of longshore({ url: proxy.url }).jobs.watch(job.id, {
      onRetry: ({ code }) => retried.push(code),
    }))
      if (news.type !== "progress") seen.push(news.seq);
    assert.deepEqual(
      seen,
      items.map(({ seq }) => seq),
    );
    assert.ok(proxy.cuts >= 1 && retried.length >= 1, "nothing was cut");
  });

  test("watching ends with the reason of the caller's signal", async () => {
    const stop = new AbortController();
    stop.abort(new Error("seen enough"));
    await assert.rejects(client.jobs.wait(job.id, { signal: stop.signal }), { message: "seen enough" });
  });

  test("tokens are made, listed, used and revoked", async (t) => {
    const closed = await startServer();
    t.after(() => closed.stop());
    const open = longshore({ url: closed.url });
    const admin = await open.tokens.create({ owner: "root", scopes: ["admin"] });
    await assert.rejects(open.jobs.get(1), { code: "token_missing", status: 401 });
    const authorised = longshore({ url: closed.url, token: admin.token });
    const guest = await authorised.tokens.create({
      owner: "guest",
      scopes: ["read"],
      expiresAt: new Date(Date.now() + 60_000).toISOString(),
    });
    assert.deepEqual(
      (await Array.fromAsync(authorised.tokens.list())).map(({ id }) => id).toSorted(),
      [admin.id, guest.id].toSorted(),
    );
    const asGuest = longshore({ url: closed.url, token: guest.token });
    await assert.rejects(asGuest.bundles.deposit(new Blob([])), { code: "scope_missing", status: 403 });
    await authorised.tokens.revoke(guest.id);
    await assert.rejects(asGuest.jobs.get(1), { code: "token_invalid" });
  });
});

describe("SDK against something else", () => {
  /** A web server that is not ours. */
  async function stranger(t: TestContext, status: number, body: string, headers: Record<string, string> = {}) {
    const seen: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(status, headers).end(body);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
  }

  test("a page instead of JSON is reported with its address", async (t) => {
    const other = await stranger(t, 200, "<html>welcome</html>");
    await assert.rejects(longshore({ url: other.url }).jobs.get(1), {
      code: "remote_refused",
      message: /is it Longshore/,
    });
  });

  test("a proxy that cannot reach the server counts as a server that does not answer", async (t) => {
    const other = await stranger(t, 502, "<html>Bad Gateway</html>", { "retry-after": "7" });
    await assert.rejects(longshore({ url: other.url }).jobs.get(1), (error) => {
      assert.ok(error instanceof LongshoreError);
      assert.deepEqual(
        [error.code, error.status, error.retryAfterMs, error.transient],
        ["server_unavailable", 502, 7000, true],
      );
      return true;
    });
  });

  test("the token goes to its own server only, wherever an address points", async (t) => {
    const [own, other] = [await stranger(t, 404, ""), await stranger(t, 404, "")];
    const client = longshore({ url: own.url, token: "lsh_secret" });
    await assert.rejects(client.uploads.status(`${own.url}/x`));
    await assert.rejects(client.uploads.status(`${other.url}/x`));
    assert.deepEqual([own.seen, other.seen], [["Bearer lsh_secret"], [undefined]]);
  });
});
