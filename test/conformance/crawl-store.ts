import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type CrawlBatch, type CrawlChanges, type CrawlCounts, NO_COUNTS } from "../../src/core/crawl/crawl.ts";
import type { CrawlStore, EndpointProblem } from "../../src/core/crawl/crawl-store.ts";
import { AppError, errorRecord } from "../../src/core/errors.ts";
import { type CrawlId, crawlId, jobId } from "../../src/core/ids.ts";
import { seededRandom } from "../support/random.ts";
import { ATTEMPTS, at, batch, crawlRows, endpoint, file, found, type OpenedCrawls } from "./crawl-rows.ts";

/** What every CrawlStore must do. One fresh database for the whole suite. */
export function crawlStoreConformance(name: string, open: () => Promise<OpenedCrawls>): void {
  describe(`CrawlStore: ${name}`, () => {
    let opened: OpenedCrawls;
    let store: CrawlStore;
    before(async () => {
      opened = await open();
      store = opened.crawls;
    });
    after(() => opened?.close());

    const { wantedCrawl, crawling, keep, finish } = crawlRows(() => opened);
    const nobody = crawlId("nobody's");
    const unlisted = async (id: CrawlId) => (await store.unlisted(id, 10_000)).map(({ folder }) => folder);
    const seqs = (batches: readonly CrawlBatch[]) => batches.map(({ seq }) => seq);
    const folders = (count: number, prefix = "f") => Array.from({ length: count }, (_, i) => at(`${prefix}${i}`));

    test("a new crawl knows the folders that it begins with, and its jobs are queued", async () => {
      const wanted = wantedCrawl({
        owner: "Ü 漢",
        endpoints: [
          endpoint({ folders: ["a", "b/c", "a"] }),
          endpoint({ url: "https://x.example/it's/", grouper: "regex", pattern: "^(\\d+)\u0000", hidden: false }),
        ],
        previous: crawlId("gone by now"),
        jobs: [
          { id: jobId(900_001), kind: "crawl", lane: "slow" },
          { id: jobId(900_002), kind: "other", lane: "fast" },
        ],
      });
      const crawl = await store.create(wanted);
      assert.deepEqual(crawl, {
        id: wanted.id,
        owner: wanted.owner,
        status: "initializing",
        endpoints: wanted.endpoints,
        counts: NO_COUNTS,
        previous: wanted.previous,
        changes: { new: 0, changed: 0, same: 0, gone: 0 },
        job: 900_001,
        error: null,
        createdAt: 1_000,
        startedAt: null,
        finishedAt: null,
      });
      assert.deepEqual(await store.get(wanted.id), crawl);
      const known = await store.unlisted(wanted.id, 10);
      assert.deepEqual(
        known.map(({ number: _, ...folder }) => folder),
        [at("a"), at("b/c"), at("", 1)],
      );
      for (const { id, kind, lane } of wanted.jobs) {
        const job = await opened.jobs.get(id);
        assert.deepEqual(
          [job?.kind, job?.lane, job?.state, job?.owner, job?.input],
          [kind, lane, "queued", wanted.owner, { crawl: wanted.id }],
        );
      }
    });

    test("a crawl whose jobs cannot be entered is not there", async () => {
      const { jobs } = wantedCrawl();
      await store.create(wantedCrawl({ jobs }));
      const doomed = wantedCrawl({ jobs });
      await assert.rejects(store.create(doomed));
      assert.equal(await store.get(doomed.id), undefined);
      assert.deepEqual(await unlisted(doomed.id), []);
    });

    test("of updates that come at the same time one finds the status that it asks for", async () => {
      const { id } = await store.create(wantedCrawl());
      const answers = await Promise.all(
        Array.from({ length: 6 }, (_, startedAt) =>
          store.update(id, ["initializing"], { status: "crawling", startedAt }),
        ),
      );
      const [winner, ...others] = answers.filter((answer) => answer !== undefined);
      assert.deepEqual(others, []);
      assert.deepEqual(await store.get(id), winner);
      const error = errorRecord(new AppError("endpoint_unreachable", { reason: "\u0000", found: null }));
      const failed = await store.update(id, ["crawling", "complete"], { status: "failed", error, finishedAt: 5 });
      assert.deepEqual(failed, { ...winner, status: "failed", error, finishedAt: 5 });
      assert.deepEqual(await store.update(id, ["failed"], { error: null }), { ...failed, error: null });
      assert.deepEqual(await store.update(id, ["failed"], {}), { ...failed, error: null });
      assert.equal(await store.update(id, ["crawling"], { status: "complete" }), undefined);
      assert.equal(await store.update(nobody, ["crawling"], {}), undefined);
    });

    test("what was found comes back as it was given, and is numbered from 1 without gaps", async () => {
      const id = await crawling();
      // 4,000 characters that no database compresses to what its indexes take.
      const longFolder = Array.from({ length: 4_000 }, (_, i) => String.fromCodePoint(0x4e00 + ((i * 7919) % 8_000)));
      const given = [
        batch('it\'s/"q" %_\\ 漢🚢', {
          files: [
            file("Ünï.txt", { sizeBytes: Number.MAX_SAFE_INTEGER, modifiedAt: null, mode: null }),
            file('"\\\n\u0000\ud800', { sizeBytes: 0, modifiedAt: -1_234.567, mode: 0o107777 }),
          ],
        }),
        batch("", {
          endpoint: 7,
          files: [],
          gone: ["was here", "\u0001"],
          changes: { new: [], changed: [] },
        }),
        batch(longFolder.join(""), {
          files: [file("1"), file("2"), file("3")],
          families: [
            {
              groups: [
                { files: [0, 1], kind: "sequence", details: { first: 1, missing: [2, null], 漢: "\u0000" } },
                { files: [1], kind: "" },
              ],
            },
            { groups: [{ files: [2], kind: "file" }] },
          ],
          changes: { new: [0, 2], changed: [1] },
        }),
      ];
      await keep(id, { batches: given.slice(0, 2) });
      await keep(id, { batches: given.slice(2), folders: [at(longFolder.join(""))] });
      assert.deepEqual(
        await store.batches(id, 0, 10),
        given.map((one, index) => ({ ...one, seq: index + 1 })),
      );
      for (const one of given) {
        const [only, ...others] = await Array.fromAsync(store.batchesOf(id, one));
        assert.deepEqual(only?.files, one.files);
        assert.deepEqual(others, []);
      }
      assert.deepEqual(await unlisted(id), ["", longFolder.join("")]);
    });

    test("very long paths that begin alike are different folders", async () => {
      const id = await crawling({ endpoints: [] });
      const paths = ["x", "y"].map((end) => `${"deep/".repeat(800)}${end}`);
      await keep(id, { folders: paths.map((path) => at(path)), listed: [at(paths[0] ?? "")] });
      assert.deepEqual(await unlisted(id), [paths[1]]);
    });

    test("counts and changes are at any time the sum of what was kept", async (t) => {
      const random = seededRandom(t);
      const [plain, compared] = [await crawling(), await crawling({ previous: crawlId("earlier") })];
      const sums: Record<keyof CrawlCounts, number> = { ...NO_COUNTS };
      const changed: Record<keyof CrawlChanges, number> = { new: 0, changed: 0, same: 0, gone: 0 };
      for (let times = 0; times < 20; times++) {
        const counts = { ...sums };
        for (const key of Object.keys(counts) as (keyof CrawlCounts)[]) {
          counts[key] = random(key === "bytes" ? 2 ** 45 : 1_000);
          sums[key] += counts[key];
        }
        const changes = { ...changed };
        for (const key of Object.keys(changes) as (keyof CrawlChanges)[]) {
          changes[key] = random(1_000);
          changed[key] += changes[key];
        }
        const kept = await keep(plain, { counts });
        assert.deepEqual([kept?.counts, kept?.changes], [sums, null]);
        await keep(compared, { counts, changes });
        const found = await store.get(compared);
        assert.deepEqual([found?.counts, found?.changes], [sums, changed]);
      }
    });

    test("folders and types are summed up as they are found, each folder with all below it", async () => {
      const id = await crawling();
      const sized = (name: string, sizeBytes: number) => file(name, { sizeBytes });
      await keep(id, {
        batches: [
          batch("", { files: [sized("top.TXT", 1)] }),
          batch("a/b", { files: [sized("x.csv", 10), sized("run.0001", 100)] }),
          batch("", { endpoint: 1, files: [sized("other.csv", 5)] }),
          batch("empty", { files: [] }),
        ],
      });
      await keep(id, {
        batches: [batch("a", { files: [sized(".profile", 1_000)] }), batch("c", { files: [sized("y.csv", 20)] })],
      });
      const none = { endpoint: 0 };
      // By hand: 1 + 10 + 100 + 1,000 + 20 of the first endpoint, and the 5 of the second among the types.
      assert.deepEqual(await store.sizes(id, at(""), 10), {
        files: 5,
        bytes: 1_131,
        folders: [
          { ...none, folder: "a", files: 3, bytes: 1_110 },
          { ...none, folder: "c", files: 1, bytes: 20 },
        ],
        types: [
          { ending: "", files: 2, bytes: 1_100 },
          { ending: "csv", files: 3, bytes: 35 },
          { ending: "txt", files: 1, bytes: 1 },
        ],
      });
      const inside = await store.sizes(id, at("a"), 1);
      assert.deepEqual([inside?.bytes, inside?.folders], [1_110, [{ ...none, folder: "a/b", files: 2, bytes: 110 }]]);
      assert.equal((await store.sizes(id, at("", 1), 1))?.bytes, 5);
      for (const absent of [at("empty"), at("a/b/x.csv"), at("", 2)])
        assert.equal(await store.sizes(id, absent, 10), undefined);
      assert.equal(await store.sizes(nobody, at(""), 10), undefined);
    });

    test("a path of very many names is summed up in some of them", async () => {
      const id = await crawling();
      const deep = Array.from({ length: 2_000 }, () => "d").join("/");
      await keep(id, { batches: [batch(deep), batch(`${deep}2`), batch("d\ud800"), batch("d\ufffd")] });
      const path = (depth: number) => Array.from({ length: depth }, () => "d").join("/");
      assert.equal((await store.sizes(id, at(path(32)), 10))?.files, 2);
      assert.equal(await store.sizes(id, at(path(33)), 10), undefined);
      assert.equal((await store.sizes(id, at(""), 10))?.files, 4);
    });

    test("keeping is all or nothing", async () => {
      const id = await crawling();
      const crawl = await store.get(id);
      const broken: EndpointProblem = {
        endpoint: 0,
        code: "entry_unreadable",
        get message(): string {
          throw new Error("no message");
        },
      };
      const counts = { ...NO_COUNTS, files: 600 };
      const batches = Array.from({ length: 600 }, (_, i) => batch(`${i}`));
      const doomed = keep(id, { batches, counts, folders: folders(600), listed: [at("")], problems: [broken] });
      await assert.rejects(doomed, /no message/);
      assert.deepEqual(await store.get(id), crawl);
      assert.deepEqual(await store.batches(id, 0, 10), []);
      assert.deepEqual(await unlisted(id), [""]);
      assert.deepEqual(await store.problems(id, 0, 10), []);
      await keep(id, { batches });
      assert.deepEqual(
        seqs(await store.batches(id, 0, 1_000)),
        Array.from({ length: 600 }, (_, i) => i + 1),
      );
    });

    test("a crawl keeps nothing unless it is under way, and nothing from a worker that has lost its job", async () => {
      const id = await crawling();
      const { job = assert.fail() } = (await store.get(id)) ?? {};
      const given = found({ batches: [batch("")], listed: [at("")] });
      assert.equal(await store.keep(id, ATTEMPTS + 1, given), undefined);
      await opened.jobs.update(job, ["running"], { attempts: ATTEMPTS + 1 }, 1);
      assert.equal(await store.keep(id, ATTEMPTS, given), undefined, "another has begun the job");
      assert.ok(await store.keep(id, ATTEMPTS + 1, given));
      await opened.jobs.update(job, ["running"], { state: "failed" }, 1);
      assert.equal(await store.keep(id, ATTEMPTS + 1, given), undefined, "the job is over");
      await opened.jobs.update(job, ["failed"], { state: "running" }, 1);
      await finish(id);
      assert.equal(await store.keep(id, ATTEMPTS + 1, given), undefined, "the crawl is over");
      const { id: fresh } = await store.create(wantedCrawl());
      assert.equal(await store.keep(fresh, 0, given), undefined, "the crawl has not begun");
      assert.equal(await store.keep(nobody, 0, given), undefined);
      assert.equal((await store.batches(id, 0, 10)).length, 1);
    });

    test("what is kept at the same time is numbered without gaps too", async () => {
      const id = await crawling();
      const counts = { ...NO_COUNTS, files: 3 };
      await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          keep(id, { counts, batches: [batch(`${i}`), batch(`${i}`), batch(`${i}`)], folders: folders(5, `${i}-`) }),
        ),
      );
      const batches = await store.batches(id, 0, 100);
      assert.deepEqual(
        seqs(batches),
        Array.from({ length: 24 }, (_, i) => i + 1),
      );
      assert.equal((await store.get(id))?.counts.files, 24);
      const numbers = (await store.unlisted(id, 100)).map(({ number }) => number);
      assert.equal(new Set(numbers).size, 41);
    });

    test("a walk that broke off finds the folders that were not listed to their end, and what it kept of them", async () => {
      const id = await crawling({ endpoints: [endpoint(), endpoint()] });
      await keep(id, { listed: [at("")], folders: [at("b"), at("a"), at("c")] });
      await keep(id, { batches: [batch("b", { files: [file("1"), file("2")] })], folders: [at("b/x"), at("a")] });
      await keep(id, { batches: [batch("a")], listed: [at("a"), at("never known before")], folders: [at("a")] });
      await keep(id, { folders: [at("a"), at("c"), at("")] });
      const left = await store.unlisted(id, 10);
      assert.deepEqual(
        left.map(({ number: _, ...folder }) => folder),
        [at("", 1), at("b"), at("c"), at("b/x")],
        "in the order in which they became known; a folder of another endpoint is another one",
      );
      assert.deepEqual(
        (await Array.fromAsync(store.batchesOf(id, at("b")))).flatMap(({ files }) => files.map((one) => one.name)),
        ["1", "2"],
      );
      const [first, second] = left;
      assert.deepEqual(await store.unlisted(id, 1), [first]);
      assert.deepEqual(await store.unlisted(id, 1, first?.number), [second]);
      assert.deepEqual(await store.unlisted(id, 10, left.at(-1)?.number), []);
    });

    test("more folders than one statement takes are entered and listed", async () => {
      const id = await crawling({ endpoints: [] });
      const many = folders(2_345);
      await keep(id, { folders: many });
      assert.deepEqual(
        await unlisted(id),
        many.map(({ folder }) => folder),
      );
      await keep(id, { listed: many.slice(0, 2_340) });
      assert.deepEqual(
        await unlisted(id),
        many.slice(2_340).map(({ folder }) => folder),
      );
    });

    test("batches are read in pages, and those of one folder one after the other", async () => {
      const [id, other] = [await crawling(), await crawling()];
      await keep(other, { batches: [batch("even"), batch("odd")] });
      for (let times = 0; times < 5; times++)
        await keep(id, { batches: Array.from({ length: 10 }, (_, i) => batch(i % 2 === 0 ? "even" : "odd")) });
      assert.deepEqual(seqs(await store.batches(id, 0, 3)), [1, 2, 3]);
      assert.deepEqual(seqs(await store.batches(id, 48, 10)), [49, 50]);
      assert.deepEqual(await store.batches(id, 50, 10), []);
      assert.deepEqual(
        seqs(await Array.fromAsync(store.batchesOf(id, at("odd")))),
        Array.from({ length: 25 }, (_, i) => 2 * i + 2),
      );
      assert.deepEqual(await Array.fromAsync(store.batchesOf(id, at("odd", 1))), []);
      assert.deepEqual(await Array.fromAsync(store.batchesOf(nobody, at("odd"))), []);
    });

    test("the first batches of many folders are read together, all of one after all of another", async () => {
      const id = await crawling();
      const long = "d/".repeat(3_000);
      await keep(id, { batches: ["b", "a", "b", long, "c", "a"].map((folder) => batch(folder)) });
      await keep(id, { batches: [{ ...batch("a"), endpoint: 1 }] });
      const first = async (folders: readonly string[], limit: number, endpoint = 0) =>
        (await store.firstBatchesOf(id, endpoint, folders, limit)).map(({ folder, seq }) => `${folder} ${seq}`);
      assert.deepEqual(await first(["c", "b", "none", "a"], 10), ["a 2", "a 6", "b 1", "b 3", "c 5"]);
      assert.deepEqual(await first(["c", "b", "none", "a"], 3), ["a 2", "a 6", "b 1"]);
      assert.deepEqual(await first([long], 3), [`${long} 4`]);
      assert.deepEqual(await first(["a"], 3, 1), ["a 7"]);
      assert.deepEqual(await store.firstBatchesOf(nobody, 0, ["a"], 1), []);
    });

    test("folders are gone that the previous crawl listed and this one does not know", async () => {
      const previous = await crawling({ endpoints: [endpoint(), endpoint()] });
      const old = folders(4_500);
      await keep(previous, { listed: [...old, at("f1", 1)], folders: [at("never listed")] });
      await finish(previous);
      const id = await crawling({ previous });
      const isGone = ({ folder }: { folder: string }) => ["f0", "f7", "f2001", "f4499"].includes(folder);
      await keep(id, { folders: [...old.filter((folder) => !isGone(folder)), at("new")], listed: [at("f8")] });
      const gone = await Array.fromAsync(store.goneFolders(id, previous));
      assert.deepEqual(
        new Set(gone.map(({ endpoint: of, folder }) => `${of}:${folder}`)),
        new Set(["0:f0", "0:f7", "0:f2001", "0:f4499", "1:f1"]),
      );
      assert.equal(gone.length, 5);
      assert.deepEqual(await Array.fromAsync(store.goneFolders(id, nobody)), []);
      assert.deepEqual(await Array.fromAsync(store.goneFolders(nobody, previous)), []);
      assert.deepEqual(await Array.fromAsync(store.goneFolders(previous, previous)), []);
    });

    test("problems are read in pages, as they were given and of one crawl only", async () => {
      const [id, other] = [await crawling(), await crawling()];
      const problems: EndpointProblem[] = Array.from({ length: 1_200 }, (_, i) => ({
        endpoint: i % 3,
        code: "entry_unreadable",
        path: `p/${i}\u0000漢`,
        message: `no ${i}`,
        ...(i % 2 === 0 ? { expected: i, found: "it's" } : {}),
      }));
      await keep(other, { problems: problems.slice(0, 3) });
      await keep(id, { problems: problems.slice(0, 1_199) });
      await keep(id, { problems: problems.slice(1_199) });
      const read: (EndpointProblem & { readonly number: number })[] = [];
      for (let page = 500; page === 500; ) {
        const some = await store.problems(id, read.at(-1)?.number ?? 0, 500);
        read.push(...some);
        page = some.length;
      }
      assert.deepEqual(
        read.map(({ number: _, ...problem }) => problem),
        problems,
      );
      assert.deepEqual(await store.problems(nobody, 0, 10), []);
    });

    test("a consumer is moved on only from where it is, whoever else moves it", async () => {
      const [id, other] = [await crawling(), await crawling()];
      assert.deepEqual(await store.position(id, "c"), { seq: 0, files: 0 });
      assert.equal(await store.advance(id, "c", { seq: 1, files: 0 }, { seq: 2, files: 0 }, 1), false);
      let moves = 0;
      const move = async () => {
        for (;;) {
          const from = await store.position(id, "c");
          if (from.seq === 40) return;
          const to = from.files === 2 ? { seq: from.seq + 1, files: 0 } : { seq: from.seq, files: from.files + 1 };
          if (await store.advance(id, "c", from, to, 1)) moves++;
        }
      };
      await Promise.all([move(), move(), move(), move()]);
      assert.equal(moves, 120, "three to a batch, each by one of them");
      assert.equal(await store.advance(id, "c", { seq: 0, files: 0 }, { seq: 1, files: 0 }, 1), false);
      assert.deepEqual(await store.position(id, "another"), { seq: 0, files: 0 });
      assert.deepEqual(await store.position(other, "c"), { seq: 0, files: 0 });
      assert.equal(await store.advance(nobody, "c", { seq: 0, files: 0 }, { seq: 1, files: 0 }, 1), false);
    });

    test("crawls are listed newest first, of one owner or all, from one on", async () => {
      const ids: CrawlId[] = [];
      for (const owner of ["eve", "ivy", "eve", "eve"]) ids.push((await store.create(wantedCrawl({ owner }))).id);
      const listed = async (filter: Parameters<CrawlStore["list"]>[0]) =>
        (await store.list(filter)).map(({ id }) => id);
      const [first, second, third, fourth = assert.fail()] = ids;
      assert.deepEqual(await listed({ owner: "eve", limit: 10 }), [fourth, third, first]);
      assert.deepEqual(await listed({ owner: "eve", before: fourth, limit: 1 }), [third]);
      assert.deepEqual(await listed({ limit: 3 }), [fourth, third, second]);
      assert.deepEqual(await listed({ owner: "nobody", limit: 10 }), []);
      await assert.rejects(store.list({ before: nobody, limit: 1 }), { code: "crawl_unknown" });
    });
  });
}
