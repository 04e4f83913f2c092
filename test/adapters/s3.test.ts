import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { openEndpoints } from "../../src/adapters/source/open-endpoint.ts";
import { openTargets } from "../../src/adapters/source/open-target.ts";
import { s3Endpoints, s3Targets } from "../../src/adapters/source/s3/endpoints.ts";
import { s3Source } from "../../src/adapters/source/s3/source.ts";
import { s3Target } from "../../src/adapters/source/s3/target.ts";
import { eachAtOnce } from "../../src/core/streams.ts";
import { processMetrics } from "../../src/telemetry/metrics.ts";
import { entriesOf, sourceConformance, walkAll } from "../conformance/source.ts";
import { targetConformance } from "../conformance/target.ts";
import { ADA, fill } from "../support/crawling.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { movingClock } from "../support/moving-clock.ts";
import { openOffloading } from "../support/offloading.ts";
import { type Interference, s3Proxy } from "../support/s3-proxy.ts";
import { BUCKET, type S3Server, startS3Server, withoutS3 } from "../support/s3-server.ts";
import { s3Copies } from "./s3-copies.ts";

const MIB = 1024 ** 2;
const isMissing = withoutS3();
const { signal } = new AbortController();

if (isMissing) test("stores in S3", { skip: isMissing }, () => {});
else withServer(await startS3Server());

function withServer(server: S3Server): void {
  let client: S3Client;
  before(async () => {
    client = new S3Client({ ...sdkSettings(server), forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  });
  after(async () => {
    client.destroy();
    await server.stop();
  });
  const settings = (url = server.url) => ({ ...sdkSettings({ ...server, url }), pathStyle: true });
  const newPlace = () => `${BUCKET}/${randomUUID()}`;

  async function put(place: string, files: Readonly<Record<string, string | Buffer>>): Promise<void> {
    const [Bucket, ...folders] = place.split("/");
    await eachAtOnce(
      Object.entries(files),
      () => 16,
      async ([path, content]) => {
        // Given as bytes: of an empty text, the SDK says that it does not know its length.
        const Body = Buffer.from(content);
        await client.send(new PutObjectCommand({ Bucket, Key: [...folders, path].join("/"), Body }));
      },
    );
  }
  async function keysAt(place: string): Promise<readonly string[]> {
    const [Bucket, ...folders] = place.split("/");
    const Prefix = `${folders.join("/")}/`;
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, Prefix }));
    return Contents.map(({ Key = "" }) => Key.slice(Prefix.length));
  }

  sourceConformance(
    "s3",
    async (files) => {
      const place = newPlace();
      await put(place, files);
      return {
        source: await s3Source({ place, settings: settings() }),
        base: "",
        tellsHidden: true,
        async cleanUp() {},
      };
    },
    // More than two pages of thousand.
    { manyNames: 2_100 },
  );

  targetConformance("s3", async () => {
    const place = newPlace();
    return { target: await s3Target({ place, settings: settings() }), files: () => keysAt(place) };
  });

  describe("Source: s3", () => {
    test("keys that are no plain paths are problems; what stands for a folder is none", async () => {
      const place = newPlace();
      await put(place, {
        "a/": "",
        "a/b": "b",
        "a//c": "c",
        "d/./e": "e",
        "d/../f": "f",
        "g/": "not empty",
        h: "",
        "h/i": "",
      });
      const source = await s3Source({ place, settings: settings() });
      const listings = await walkAll(source);
      assert.deepEqual(
        entriesOf(listings)
          .map(({ kind, path }) => `${kind} ${path}`)
          .toSorted(),
        ["file a/b", "file h", "file h/i", "folder a", "folder d", "folder g", "folder h"],
      );
      const problems = listings.flatMap((listing) => listing.problems.map(({ code, path }) => `${code} ${path}`));
      const prefix = place.slice(BUCKET.length + 1);
      assert.deepEqual(
        problems.toSorted(),
        ["a//", "d/../", "d/./", "g/"].map((path) => `entry_unreadable ${prefix}/${path}`),
      );
      await source.close();
    });

    test("times are those of the objects; a bucket without anything is walked", async () => {
      const Bucket = `empty-${randomUUID()}`;
      await client.send(new CreateBucketCommand({ Bucket }));
      const source = await s3Source({ place: Bucket, settings: settings() });
      assert.deepEqual(await walkAll(source), [{ folder: "", entries: [], problems: [], isLast: true }]);
      const from = Date.now();
      await put(Bucket, { a: "a" });
      const [entry] = entriesOf(await walkAll(source));
      assert.equal(Math.abs((entry?.modifiedAt ?? 0) - from) < 60_000, true);
      await source.close();
    });

    test("a bucket that is not there, is not ours, or holds nothing below the prefix cannot be reached", async () => {
      const unreachable = { code: "endpoint_unreachable" };
      const nobody = { ...settings(), credentials: { accessKeyId: "NOBODY", secretAccessKey: "nothing" } };
      for (const parts of [
        { place: `none-${randomUUID()}`, settings: settings() },
        { place: newPlace(), settings: settings() },
        { place: newPlace(), settings: nobody },
      ]) {
        const source = await s3Source(parts);
        await assert.rejects(walkAll(source), unreachable);
        await source.close();
      }
    });

    test("a body that breaks off is read on from there, and only while it is the same object", async (t) => {
      const place = newPlace();
      const bytes = randomBytes(3 * MIB);
      await put(place, { big: bytes, other: bytes });
      const proxy = await faultyProxy(server.url);
      t.after(() => proxy.close());
      const source = await s3Source({ place, settings: settings(proxy.url) });
      let cuts = 3;
      proxy.cutAfter(() => (cuts-- > 0 ? MIB : Number.POSITIVE_INFINITY));
      assert.equal(digest(await buffer(await source.open("big", { start: 7 }))), digest(bytes.subarray(7)));
      assert.ok(proxy.cuts >= 2, `cut ${proxy.cuts} times`);

      await source.close();

      proxy.cutAfter(() => MIB);
      const another = await s3Source({ place, settings: settings(proxy.url) });
      const stream = await another.open("other");
      await put(place, { other: randomBytes(3 * MIB) });
      await assert.rejects(buffer(stream), { code: "source_changed" });
      await another.close();
    });
  });

  describe("Target: s3", () => {
    test("a file of many parts is whole, whatever the chunks, and its SHA-256 is what was given", async () => {
      const place = newPlace();
      const target = await s3Target({ place, settings: settings() });
      for (const sizeBytes of [8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 27 * MIB]) {
        const bytes = randomBytes(sizeBytes);
        const chunks = async function* () {
          for (let at = 0; at < sizeBytes; at += 1_234_567) yield bytes.subarray(at, at + 1_234_567);
        };
        const facts = await target.put("big", chunks(), signal);
        assert.deepEqual([facts.sizeBytes, facts.digests.sha256], [sizeBytes, digest(bytes)]);
        assert.equal((await target.facts("big", signal))?.digests.sha256, digest(bytes));
      }
      await target.close();
    });

    test("a file whose bytes fail after some parts leaves nothing, no part either", async () => {
      const place = newPlace();
      const target = await s3Target({ place, settings: settings() });
      const failing = async function* () {
        yield randomBytes(20 * MIB);
        throw new Error("the store broke off");
      };
      await assert.rejects(target.put("a", failing(), signal), { message: "the store broke off" });
      assert.deepEqual(await keysAt(place), []);
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
      assert.deepEqual(Uploads, []);
      await target.close();
    });

    test("a bucket that is not there, or nobody who answers, is said to be that", async () => {
      const bytes = async function* () {
        yield Buffer.from("x");
      };
      for (const target of [
        await s3Target({ place: `none-${randomUUID()}`, settings: settings() }),
        await s3Target({ place: newPlace(), settings: settings("http://127.0.0.1:9") }),
      ]) {
        await assert.rejects(target.put("a", bytes(), signal), { code: "storage_unavailable" });
        await assert.rejects(target.facts("a", signal), { code: "storage_unavailable" });
        await target.close();
      }
    });
  });

  test("an offload puts files into a bucket, and a move brings them back and leaves nothing there", async (t) => {
    const place = newPlace();
    const { base, offload } = await openOffloading(t, (stores) => stores, {
      elsewhere: {
        endpoints: { s3: s3Endpoints({ settings: settings(), buckets: [BUCKET] }) },
        targets: { s3: s3Targets({ settings: settings(), writable: [`s3://${BUCKET}`] }) },
      },
    });
    const files = { "a.txt": "a", "deep/er/b c.txt": "bb", "empty.bin": "", "é/日本#?%": "name" };
    fill(join(base, "crawl"), files);
    const out = await offload({ sources: [join(base, "crawl")], target: `s3://${place}`, mode: "copy" });
    assert.equal(out.job.state, "succeeded", out.job.error?.message);
    const [, key = ""] = /^s3:\/\/([^?]+)$/.exec(out.folder) ?? [];
    assert.deepEqual((await keysAt(key)).toSorted(), Object.keys(files).toSorted());
    const back = await offload({ sources: [out.folder], target: join(base, "shelf"), mode: "move" });
    assert.equal(back.job.state, "succeeded", back.job.error?.message);
    assert.deepEqual([back.job.result.files, back.job.result.bytes], [4, 7]);
    assert.deepEqual(await keysAt(key), []);
    // diff(1) finds nothing to tell.
    execFileSync("diff", ["-r", join(base, "crawl"), fileURLToPath(back.folder)]);
  });

  s3Copies({ settings, url: server.url, client: () => client, bucket: BUCKET, newPlace, put, keysAt });

  test("every request is counted by operation and outcome, and those that are sent again once more", async (t) => {
    const proxy = await s3Proxy(server.url);
    t.after(() => proxy.close());
    const { s3Request, render } = processMetrics({ version: "0.0.0-test", clock: movingClock() });
    const place = newPlace();
    const target = await s3Target({ place, settings: { ...settings(proxy.url), onRequest: s3Request } });
    t.after(() => target.close());
    const answers: Interference[] = [
      { status: 503, code: "SlowDown" },
      { status: 503, code: "SlowDown" },
      { status: 500, code: "InternalError" },
      { lost: true },
    ];
    proxy.interfere(() => answers.shift());
    await target.put("a", chunk("hello"), signal);
    assert.equal((await target.facts("a", signal))?.sizeBytes, 5);
    assert.equal(await target.facts("b", signal), undefined);
    proxy.interfere(() => ({ status: 403, code: "AccessDenied" }));
    await assert.rejects(target.put("c", chunk("no"), signal), { code: "storage_unavailable" });

    const text = await render();
    const count = (operation: string, outcome: string) => {
      const labels = `{operation="${operation}",outcome="${outcome}"}`;
      return Number(text.split(`longshore_s3_request_duration_seconds_count${labels} `)[1]?.split("\n")[0] ?? 0);
    };
    assert.deepEqual(
      ["throttled", "failed", "unanswered", "done", "refused"].map((outcome) => count("PutObject", outcome)),
      [2, 1, 1, 1, 1],
    );
    assert.deepEqual([count("GetObject", "done"), count("GetObject", "absent")], [1, 1]);
    assert.match(text, /^longshore_s3_retries_total\{operation="PutObject"\} 4$/m);
    assert.doesNotMatch(text, /^longshore_s3_retries_total\{operation="GetObject"\}/m);
  });

  test("Endpoints: buckets and folders that settings name are opened, and nothing beside them", async () => {
    const { check, open } = openEndpoints({ s3: s3Endpoints({ settings: settings(), buckets: [BUCKET, "other/in"] }) });
    const targets = openTargets({ s3: s3Targets({ settings: settings(), writable: [`s3://${BUCKET}/shelf`] }) });
    assert.equal(await check(`s3://${BUCKET}/`, ADA), `s3://${BUCKET}`);
    assert.equal(await check("s3://other/in/a%20b é/", ADA), "s3://other/in/a%20b%20%C3%A9");
    assert.equal(await targets.check(`s3://${BUCKET}/shelf/x`, "write", ADA), `s3://${BUCKET}/shelf/x`);
    for (const url of ["s3://other", "s3://other/inside", `s3://${BUCKET}2/x`])
      await assert.rejects(check(url, ADA), { code: "endpoint_refused" }, url);
    await assert.rejects(targets.check(`s3://${BUCKET}/shelves`, "remove", ADA), { code: "endpoint_refused" });
    for (const url of [
      `s3://${BUCKET}/a//b`,
      `s3://${BUCKET}/%2e%2e%2fx`,
      `s3://u@${BUCKET}`,
      `s3://${BUCKET}?x`,
      "s3://",
    ])
      await assert.rejects(check(url, ADA), { code: "request_invalid" }, url);
    await put(BUCKET, { "in/a.txt": "hello" });
    const source = await open({ url: `s3://${BUCKET}/in` });
    assert.equal(await text(await source.open("a.txt")), "hello");
    await source.close();
    await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: "in/a.txt" }));
    assert.equal(await targets.areApart(`s3://${BUCKET}/a`, `s3://${BUCKET}/a/b`), false);
    assert.equal(await targets.areApart(`s3://${BUCKET}/a`, `s3://${BUCKET}/ab`), true);
  });
}

async function* chunk(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

function sdkSettings({ url, accessKeyId, secretAccessKey }: Omit<S3Server, "stop">) {
  return { endpoint: url, region: "us-east-1", credentials: { accessKeyId, secretAccessKey } };
}
