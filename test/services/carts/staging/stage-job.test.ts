import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { CartEntry } from "../../../../src/core/carts/cart.ts";
import { layoutKey } from "../../../../src/core/carts/layout/layout.ts";
import { specOf } from "../../../../src/core/carts/layout/planning.ts";
import type { Problem } from "../../../../src/core/errors.ts";
import { cutAfter, hangUp, instead, stallAfter, status } from "../../../support/pacifica-archive.ts";
import { type GivenEntry, openStaging, remoteFile, type StagingFixture } from "../../../support/staging.ts";
import { until } from "../../../support/until.ts";

const HELLO = Buffer.from("hello\n");
// printf 'hello\n' | sha512sum; … | sha1sum; … | python3 -c 'import sys,zlib;print(zlib.crc32(sys.stdin.buffer.read()))'
const HELLO_SHA512 =
  "e7c22b994c59d9cf2b48e549b1e24666636045930d3da7c1acb299d1c3b7f931f94aae41edda2c2b207a36e10f8bcb8d45223e54878f5b316e7ce3b6bc019629";
const HELLO_SHA1 = "f572d396fae9206628714fb2ce00f72e94f2258f";
const HELLO_CRC32 = 909_783_072;
const EXPECT_HELLO = { algorithm: "sha1", value: HELLO_SHA1 } as const;

const BIG = Buffer.alloc(300_000, "0123456789abcdef");

/** What a test compares of a problem. */
const factsOf = (problems: readonly Problem[]) => problems.map(({ message: _, ...facts }) => facts);
const countOf = (requests: readonly string[], name: string) => requests.filter((request) => request === name).length;

/** A file of the archive, put there under the name it is given. */
async function archived(
  { archive }: StagingFixture,
  name: string,
  bytes: Buffer,
  known: Partial<GivenEntry> = {},
): Promise<GivenEntry> {
  await archive.put(name, bytes);
  return { path: name, sizeBytes: bytes.length, location: { at: "archive", path: name }, ...known };
}

describe("a cart with files of a remote archive", () => {
  test("is ready when they have been copied, and knows of each what it must", async (t) => {
    const fixture = await openStaging(t);
    fixture.remote.put("7", HELLO, { modifiedAt: 1_459_203_299.5 });
    fixture.remote.put("8", BIG);
    fixture.remote.put("9", Buffer.alloc(0));
    const asked = await fixture.cart(remoteFile("7"), remoteFile("8"), remoteFile("9"));
    const { cart, job } = await fixture.staged(asked);

    const { status, sizeBytes, stagedFiles, stagedBytes, problems, readyAt, stageJob } = cart;
    assert.deepEqual([status, problems, readyAt, stageJob], ["ready", [], null, asked.stageJob]);
    assert.deepEqual([sizeBytes, stagedFiles, stagedBytes], [300_006, 3, 300_006]);
    const [hello] = await fixture.entries(cart);
    assert.deepEqual(
      [hello?.sizeBytes, hello?.modifiedAt, hello?.crc32, hello?.digest],
      [6, 1_459_203_299_500, HELLO_CRC32, HELLO_SHA512],
    );
    assert.deepEqual(await fixture.contents(cart), {
      "remote-7": "hello\n",
      "remote-8": BIG.toString(),
      "remote-9": "",
    });
    assert.equal(job.state, "succeeded");
    assert.deepEqual(job.result, { cart: cart.id, files: 3, bytes: 300_006 });
    assert.deepEqual(
      job.tasks.map(({ name, percent }) => `${name} ${percent}`),
      ["stage 100", "check 100", "lay out 100"],
    );
    const [stage] = job.tasks;
    assert.deepEqual(
      [stage?.totalFiles, stage?.totalBytes, stage?.doneFiles, stage?.doneBytes],
      [3, 300_006, 3, 300_006],
    );
  });

  test("can be downloaded at once: its layouts are planned", async (t) => {
    const fixture = await openStaging(t);
    fixture.remote.put("7", HELLO);
    const { cart } = await fixture.staged(await fixture.cart(remoteFile("7")));
    const planned = await Promise.all(
      (["tar", "zip"] as const).map((format) => {
        const spec = specOf(cart, { format, content: "manifest", folder: cart.name });
        return fixture.stores.carts.layout(cart.id, layoutKey(spec));
      }),
    );
    assert.deepEqual(
      planned.map((layout) => layout?.payloadBytes),
      [6, 6],
    );
  });

  test("asks for every file before it copies the first, and waits for those on tape", async (t) => {
    const fixture = await openStaging(t);
    const { remote } = fixture;
    remote.put("7", HELLO);
    remote.put("8", BIG, { tape: 4 });
    remote.put("9", HELLO, { tape: 5 });
    const { cart } = await fixture.staged(await fixture.cart(remoteFile("7"), remoteFile("8"), remoteFile("9")));
    assert.equal(cart.status, "ready");
    const asked = ["7", "8", "9"].map((id) => remote.requests.indexOf(`POST ${id}`));
    const copied = ["7", "8", "9"].map((id) => remote.requests.indexOf(`GET ${id}`));
    assert.ok(Math.max(...asked) < Math.min(...copied), remote.requests.join(", "));
    assert.ok(countOf(remote.requests, "HEAD 9") > 5, "it looked until the file was there");
    for (const id of ["7", "8", "9"]) assert.equal(countOf(remote.requests, `GET ${id}`), 1);
  });

  test("looks at tape with pauses that grow, and lets others have its place in the lane during the long ones", async (t) => {
    const fixture = await openStaging(t);
    const { clock, jobs, remote } = fixture;
    remote.put("7", HELLO, { tape: 1_000 });
    const cart = await fixture.cart(remoteFile("7"));
    fixture.worker();
    await until("it is put off", async () => {
      const { state, checkpoint } = await jobs.get(cart.stageJob);
      return state === "queued" && checkpoint.lookMs !== undefined;
    });
    // The first is of a second, as others are too.
    const looks = [2_000, 4_000, 8_000, 16_000];
    assert.deepEqual(clock.pausesMs.filter((ms) => looks.includes(ms)).slice(0, 4), looks);
    const { attempts, checkpoint, error } = await jobs.get(cart.stageJob);
    assert.deepEqual([attempts, checkpoint, error], [0, { lookMs: 64_000 }, null]);
    assert.equal((await fixture.stores.carts.get(cart.id))?.status, "staging");
  });

  test("is an error that names each file that is missing, and has copied the others for the next try", async (t) => {
    const fixture = await openStaging(t);
    const { remote } = fixture;
    remote.put("7", HELLO);
    const asked = await fixture.cart(remoteFile("5"), remoteFile("6"), remoteFile("7"));
    const { cart, job } = await fixture.staged(asked);
    assert.equal(cart.status, "error");
    assert.equal(cart.problemCount, 2);
    assert.deepEqual(factsOf(cart.problems), [
      { code: "file_unknown", path: "remote-5", found: "5" },
      { code: "file_unknown", path: "remote-6", found: "6" },
    ]);
    assert.deepEqual([job.state, job.error?.code, job.error?.details.problemCount], ["failed", "cart_failed", 2]);

    remote.put("5", HELLO);
    remote.put("6", HELLO);
    await fixture.jobs.retry(job.id, "ada");
    const again = await fixture.staged(asked);
    assert.deepEqual([again.cart.status, again.cart.problems, again.cart.problemCount], ["ready", [], 0]);
    assert.equal(countOf(remote.requests, "GET 7"), 1);
  });

  for (const [what, announcedBytes] of [
    ["longer than it is", 300_001],
    ["shorter than it is", 299_999],
    ["empty", 0],
  ] as const)
    test(`is an error when a file is said to be ${what}, after a few tries`, async (t) => {
      const fixture = await openStaging(t);
      fixture.remote.put("7", BIG, { announcedBytes });
      const { cart } = await fixture.staged(await fixture.cart(remoteFile("7")));
      assert.equal(cart.status, "error");
      const found = announcedBytes > BIG.length ? BIG.length : `more than ${announcedBytes}`;
      assert.deepEqual(factsOf(cart.problems), [
        { code: "file_size_mismatch", path: "remote-7", expected: announcedBytes, found },
      ]);
      assert.equal(countOf(fixture.remote.requests, "GET 7"), 4);
      assert.equal((await fixture.stores.staging.usage()).files, 0);
    });

  for (const [what, faults, gets] of [
    ["breaks half-way, twice", [cutAfter(100_000), cutAfter(200_000)], 3],
    ["comes to a halt", [stallAfter(100_000)], 2],
    ["is short without a word", [instead((bytes) => bytes.subarray(0, 1_000))], 2],
    ["is another one without a word", [instead((bytes) => Buffer.from(bytes).fill("x", 5, 9))], 2],
    ["is answered with 500", [status(500, "KeyError"), status(500), status(500)], 4],
    ["loses its connection", [hangUp], 2],
  ] as const)
    test(`is ready when a file ${what} and then comes as it should`, async (t) => {
      const fixture = await openStaging(t, { silenceMs: 300 });
      fixture.remote.put("7", BIG);
      fixture.remote.disturb("GET 7", ...faults);
      // python3 -c 'import hashlib; print(hashlib.sha1(b"0123456789abcdef"*18750).hexdigest())'
      const expected = { algorithm: "sha1", value: "7e7e50a206a587c5df6cb94775c5f428186be1fb" } as const;
      const { cart, job } = await fixture.staged(await fixture.cart(remoteFile("7", expected)));
      assert.deepEqual([cart.status, cart.problems], ["ready", []]);
      assert.deepEqual(await fixture.contents(cart), { "remote-7": BIG.toString() });
      assert.equal(countOf(fixture.remote.requests, "GET 7"), gets);
      assert.equal(job.tasks[0]?.doneBytes, BIG.length, "what was copied in vain does not count");
    });

  test("asks one at a time as soon as an answer was broken, as a single process may mix them up", async (t) => {
    const fixture = await openStaging(t);
    const { remote } = fixture;
    const ids = Array.from({ length: 12 }, (_, n) => String(n + 1));
    for (const id of ids) remote.put(id, BIG);
    remote.disturb("GET 1", cutAfter(10));
    let sending = 0;
    const together: string[] = [];
    for (const id of ids.slice(4))
      remote.disturb(`GET ${id}`, (_, response, bytes) => {
        if (++sending > 1) together.push(id);
        setTimeout(() => response.end(bytes, () => sending--), 20); // a slow service
      });
    const { cart } = await fixture.staged(await fixture.cart(...ids.map((id) => remoteFile(id))));
    assert.equal(cart.status, "ready");
    assert.deepEqual(together, []);
  });

  test("is an error when a file does not have the digest that was asked for, which is tried twice", async (t) => {
    const fixture = await openStaging(t);
    fixture.remote.put("7", Buffer.from("hullo\n"));
    const { cart } = await fixture.staged(await fixture.cart(remoteFile("7", EXPECT_HELLO)));
    assert.equal(cart.status, "error");
    assert.deepEqual(factsOf(cart.problems), [
      // printf 'hullo\n' | sha1sum
      {
        code: "digest_mismatch",
        path: "remote-7",
        expected: HELLO_SHA1,
        found: "16cbca546e34643291ce6fea39d5212b85657cb5",
      },
    ]);
    assert.equal(countOf(fixture.remote.requests, "GET 7"), 2);
  });

  test("a file that cannot be reached is its problem alone; an archive that cannot be, the job's, which waits", async (t) => {
    const fixture = await openStaging(t);
    const { remote } = fixture;
    for (const id of ["5", "6", "7", "8", "9"]) remote.put(id, HELLO);
    remote.disturb("GET 7", hangUp, hangUp, hangUp, hangUp);
    const one = await fixture.staged(await fixture.cart(...["5", "6", "7", "8"].map((id) => remoteFile(id))));
    assert.deepEqual(
      one.cart.problems.map(({ code, path }) => [code, path]),
      [["remote_unavailable", "remote-7"]],
    );

    for (const id of ["5", "6", "7", "8"]) remote.disturb(`POST ${id}`, hangUp, hangUp, hangUp, hangUp);
    const asked = await fixture.cart(...["5", "6", "7", "8", "9"].map((id) => remoteFile(id)));
    const { cart, job } = await fixture.staged(asked);
    assert.deepEqual([cart.status, job.attempts], ["ready", 2]);
  });

  test("is an error when the setting that names the remote archive is gone", async (t) => {
    const fixture = await openStaging(t, { alone: true });
    const { cart } = await fixture.staged(await fixture.cart(remoteFile("7")));
    assert.equal(cart.status, "error");
    assert.deepEqual(
      cart.problems.map(({ code, path }) => [code, path]),
      [["file_unknown", "remote-7"]],
    );
  });

  test("of more files than are looked up at a time is staged page by page", async (t) => {
    const fixture = await openStaging(t);
    const idOf = (n: number) => String((n % 9) + 1);
    for (let n = 0; n < 9; n++) fixture.remote.put(idOf(n), Buffer.from(`content of ${idOf(n)}\n`));
    const entries = Array.from({ length: 510 }, (_, n) => ({ ...remoteFile(idOf(n)), path: `file-${n}` }));
    const { cart } = await fixture.staged(await fixture.cart(...entries));
    assert.deepEqual([cart.status, cart.stagedFiles], ["ready", 510]);
    const contents = await fixture.contents(cart);
    for (const n of entries.keys()) assert.equal(contents[`file-${n}`], `content of ${idOf(n)}\n`);
  });
});

describe("a cart with files of the archive", () => {
  const known = { crc32: HELLO_CRC32, digest: HELLO_SHA512 };

  test("waits for those that lie in cold storage, says when they are expected, and copies nothing", async (t) => {
    const fixture = await openStaging(t);
    const { archive, stores } = fixture;
    const readyAt = fixture.clock.now() + 3_600_000;
    archive.freeze("cold", Number.POSITIVE_INFINITY, readyAt);
    archive.freeze("colder", Number.POSITIVE_INFINITY, readyAt + 5);
    const asked = await fixture.cart(
      { ...(await archived(fixture, "cold", HELLO, known)), offline: true },
      { ...(await archived(fixture, "colder", HELLO, known)), offline: true },
    );
    const worker = fixture.worker();
    await until("the cart says when", async () => (await stores.carts.get(asked.id))?.readyAt === readyAt + 5);
    await worker.stop();
    for (const path of ["cold", "colder"]) archive.thaw(path);
    fixture.clock.skip(600_000); // the job may have been put off
    const { cart } = await fixture.staged(asked);
    assert.deepEqual([cart.status, cart.readyAt, cart.stagedFiles], ["ready", null, 2]);
    assert.deepEqual(archive.requested.toSorted(), ["cold", "colder"]);
    assert.deepEqual(await fixture.contents(cart), { cold: "hello\n", colder: "hello\n" });
    assert.equal((await stores.staging.usage()).files, 0);
  });

  test("learns a CRC-32 and a digest that the catalogue does not hold", async (t) => {
    const fixture = await openStaging(t);
    const { cart } = await fixture.staged(await fixture.cart(await archived(fixture, "plain", HELLO)));
    assert.equal(cart.status, "ready");
    const [entry] = await fixture.entries(cart);
    assert.deepEqual([entry?.crc32, entry?.digest], [HELLO_CRC32, HELLO_SHA512]);
  });

  test("checks a digest that was asked for and that the catalogue does not hold", async (t) => {
    const fixture = await openStaging(t);
    const right = await archived(fixture, "right", HELLO, { ...known, expected: EXPECT_HELLO });
    const value = "0".repeat(40);
    const wrong = await archived(fixture, "wrong", HELLO, { ...known, expected: { algorithm: "sha1", value } });
    const { cart, job } = await fixture.staged(await fixture.cart(right, wrong));
    assert.equal(cart.status, "error");
    assert.deepEqual(factsOf(cart.problems), [
      { code: "digest_mismatch", path: "wrong", expected: value, found: HELLO_SHA1 },
    ]);
    const check = job.tasks.find(({ name }) => name === "check");
    assert.deepEqual([check?.totalFiles, check?.totalBytes, check?.doneBytes], [2, 12, 12]);
  });

  test("notices files that are damaged, short or gone", async (t) => {
    const fixture = await openStaging(t);
    const expected: CartEntry["expected"] = EXPECT_HELLO;
    const damaged = await archived(fixture, "damaged", Buffer.from("hullo\n"), { ...known, expected });
    const short = await archived(fixture, "short", HELLO.subarray(0, 5), { ...known, expected, sizeBytes: 6 });
    const gone: GivenEntry = { path: "gone", location: { at: "archive", path: "gone" }, expected };
    const { cart } = await fixture.staged(await fixture.cart(damaged, short, gone));
    assert.equal(cart.status, "error");
    assert.deepEqual(cart.problems.map(({ code, path }) => `${path}: ${code}`).toSorted(), [
      "damaged: object_corrupt",
      "gone: object_missing",
      "short: object_corrupt",
    ]);
  });
});

describe("a stage job", () => {
  test("that is cancelled leaves a cart in error and nothing of the copy that was under way", async (t) => {
    const fixture = await openStaging(t);
    const { remote, stores } = fixture;
    remote.put("7", BIG);
    remote.pause();
    const asked = await fixture.cart(remoteFile("7"));
    const worker = fixture.worker();
    await until("the file is being sent", () => remote.sending === 1);
    await fixture.jobs.cancel(asked.stageJob, "ada");
    await until("the cart is in error", async () => (await stores.carts.get(asked.id))?.status === "error");
    await worker.stop();
    assert.deepEqual(
      (await stores.carts.get(asked.id))?.problems.map(({ code }) => code),
      ["job_cancelled"],
    );
    assert.deepEqual(await stores.staging.usage(), { files: 0, bytes: 0, reservedBytes: 0 });

    remote.resume();
    await fixture.jobs.retry(asked.stageJob, "ada");
    assert.equal((await fixture.staged(asked)).cart.status, "ready");
  });

  test("that is cancelled before it began leaves a cart in error", async (t) => {
    const fixture = await openStaging(t);
    const asked = await fixture.cart(remoteFile("7"));
    await fixture.jobs.cancel(asked.stageJob, "ada");
    assert.equal((await fixture.stores.carts.get(asked.id))?.status, "error");
  });

  test("that another worker goes on with copies what is left, and nothing twice", async (t) => {
    const fixture = await openStaging(t);
    const { remote, stores } = fixture;
    for (const id of ["7", "8"]) remote.put(id, BIG);
    const asked = await fixture.cart(remoteFile("7"), remoteFile("8"));
    remote.disturb("GET 8", (_, response) => void response.flushHeaders());
    const first = fixture.worker();
    await until("one file is there and the other under way", async () => {
      const { files, reservedBytes } = await stores.staging.usage();
      return files === 1 && reservedBytes > 0;
    });
    await first.stop();
    const { cart, job } = await fixture.staged(asked);
    assert.deepEqual([cart.status, cart.stagedFiles, cart.stagedBytes], ["ready", 2, 600_000]);
    assert.equal(job.tasks[0]?.totalFiles, 1);
    assert.equal(countOf(remote.requests, "GET 7"), 1);
  });

  test("shows on the cart how far it is, also while one file takes long", async (t) => {
    const fixture = await openStaging(t);
    const { remote, stores } = fixture;
    remote.put("7", BIG);
    remote.put("8", HELLO);
    remote.disturb("GET 7", (_, response) => void response.flushHeaders());
    const asked = await fixture.cart(remoteFile("7"), remoteFile("8"));
    const worker = fixture.worker();
    await until("the cart shows the other file", async () => (await stores.carts.get(asked.id))?.stagedFiles === 1);
    const cart = await stores.carts.get(asked.id);
    assert.deepEqual([cart?.status, cart?.sizeBytes, cart?.stagedBytes], ["staging", 300_006, 6]);
    await worker.stop();
  });

  test("whose cart is removed ends, and leaves nothing of it", async (t) => {
    const fixture = await openStaging(t);
    const { remote, stores } = fixture;
    remote.put("7", HELLO, { tape: "never" });
    const asked = await fixture.cart(remoteFile("7"));
    const worker = fixture.worker();
    await until("the cart is being staged", async () => (await stores.carts.get(asked.id))?.status === "staging");
    await stores.carts.remove(asked.id);
    const isOver = async () => (await fixture.jobs.get(asked.stageJob)).finishedAt !== null;
    await until("the job is over, which may be put off", isOver);
    await worker.stop();
    assert.equal((await fixture.jobs.get(asked.stageJob)).error?.code, "cart_unknown");
    await assert.rejects(fixture.jobs.retry(asked.stageJob, "ada"), { code: "job_state_conflict" });
  });

  test("does not make a cart ready one of whose copies has been dropped meanwhile", async (t) => {
    const fixture = await openStaging(t);
    fixture.remote.put("7", HELLO);
    const facts = { sizeBytes: 6, crc32: HELLO_CRC32, digest: HELLO_SHA512 };
    const dropped: GivenEntry = { path: "dropped", location: { at: "staged", key: "sha1:none" }, ...facts };
    const { cart } = await fixture.staged(await fixture.cart(dropped, remoteFile("7")));
    assert.equal(cart.status, "error");
    assert.deepEqual(factsOf(cart.problems), [{ code: "object_missing", path: "dropped" }]);
  });

  test("that meets a defect fails, and its cart says so without its words", async (t) => {
    const fixture = await openStaging(t);
    fixture.archive.spoil("cold", new Error("secret"));
    const asked = await fixture.cart({ ...(await archived(fixture, "cold", HELLO)), offline: true });
    const { cart, job } = await fixture.staged(asked);
    assert.deepEqual([cart.status, job.error?.code], ["error", "internal"]);
    assert.doesNotMatch(JSON.stringify(cart), /secret/);
    assert.match(String(fixture.troubles[0]), /secret/);
  });
});
