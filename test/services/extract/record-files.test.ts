import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fsTarget } from "../../../src/adapters/source/fs-target.ts";
import type { Target } from "../../../src/core/crawl/target.ts";
import { recordFiles, recordsFolder } from "../../../src/core/extract/job/record-files.ts";
import { ADA, extracting, openExtracting } from "../../support/extracting.ts";

test("each family is a file of JSON, and sha256sum confirms the manifest", async (t) => {
  const { records, write, crawled, extracted, store, allRecords } = await extracting(t);
  await write({ "run.json": '{"a":1}', "run.txt": "words of it\n", "sub/x.json": "[1", "sub/y.bin": "\0" });
  const crawl = await crawled({ grouper: "stem" });
  const extraction = await extracted(crawl, { extractors: ["json", "keyword-text"], recordsFolder: "mine/here" });
  assert.equal(extraction.recordsFolder, join(records, "mine/here"));
  const folder = join(records, "mine/here");
  const manifest = `manifest-${crawl.id}.sha256`;
  const names = (await readdir(folder)).toSorted();
  assert.equal(names.length, 4);
  assert.ok(names.includes(manifest));
  assert.deepEqual(await readdir(records), ["mine"]);

  const check = spawnSync("sha256sum", ["--check", "--strict", manifest], { cwd: folder, encoding: "utf8" });
  assert.equal(check.status, 0, check.stderr);
  assert.equal(check.stdout.match(/: OK$/gm)?.length, 3);

  const kept = await allRecords(extraction);
  const family = kept.find(({ files }) => files[0]?.path === "run.json")?.family;
  const document = JSON.parse(await readFile(join(folder, `${family}.json`), "utf8"));
  assert.equal(document.family, family);
  assert.equal(document.crawl, crawl.id);
  assert.equal(document.extraction, extraction.id);
  assert.equal(document.endpoint, `file://${store}`);
  assert.deepEqual(
    document.files.map((one: { path: string; sizeBytes: number }) => [one.path, one.sizeBytes]),
    [
      ["run.json", 7],
      ["run.txt", 12],
    ],
  );
  const [group] = document.groups;
  assert.equal(group.kind, "stem");
  assert.deepEqual(group.files, [0, 1]);
  assert.deepEqual(
    group.records.map((one: { extractor: string; files: number[] }) => [one.extractor, one.files]),
    [
      ["json", [0]],
      ["keyword-text", [1]],
    ],
  );
  assert.deepEqual(group.records[0].data, kept.find(({ extractor }) => extractor === "json")?.data);
  assert.match(document.describedAt, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
});

test("described again, families replace their files; those of another crawl stay", async (t) => {
  const { records, write, crawled, extracted } = await extracting(t);
  await write({ "a.json": "[1]" });
  const crawl = await crawled();
  const first = await extracted(crawl, { extractors: ["json"], recordsFolder: records });
  const names = (await readdir(records)).toSorted();
  const second = await extracted(crawl, { extractors: ["json"], recordsFolder: records });
  assert.deepEqual((await readdir(records)).toSorted(), names);
  const text = await readFile(join(records, names.find((name) => name.endsWith(".json")) ?? ""), "utf8");
  assert.ok(text.includes(second.id) && !text.includes(first.id));
  const other = await crawled();
  await extracted(other, { extractors: ["json"], recordsFolder: records });
  assert.equal((await readdir(records)).length, 2 * names.length);
  for (const { id } of [crawl, other])
    assert.equal(spawnSync("sha256sum", ["--check", `manifest-${id}.sha256`], { cwd: records }).status, 0);
});

test("a folder outside the roots is refused, naming the setting", async (t) => {
  const { write, crawled, extractions, store } = await extracting(t);
  await write({ a: "x" });
  const { id } = await crawled();
  for (const folder of ["/etc", store, "../elsewhere", "a/../../b", "/"])
    await assert.rejects(extractions.start(ADA, id, { recordsFolder: folder }), (error: Error) => {
      assert.match(error.message, /LONGSHORE_RECORD_ROOTS/);
      return "code" in error && error.code === "endpoint_refused";
    });
});

test("a folder behind a link is refused, at once and when the link is made later, and is not tried again", async (t) => {
  const { folder, records, write, crawled, extractions, ended, jobs, worker, close } = await openExtracting();
  t.after(close);
  const running = worker();
  await write({ "a.json": "[1]" });
  const { id } = await crawled();
  await running.stop();
  await mkdir(join(records, "own"), { recursive: true });
  await symlink(folder, join(records, "link"));
  const start = (recordsFolder: string) => extractions.start(ADA, id, { extractors: ["json"], recordsFolder });
  for (const path of ["link", "link/deeper"])
    await assert.rejects(start(path), (error: Error) => {
      assert.match(error.message, /not set up to use this store.*a link lies there or on the way/);
      return "code" in error && error.code === "endpoint_refused";
    });
  const begun = await start("own/deeper");
  await rm(join(records, "own"), { recursive: true });
  await symlink(folder, join(records, "own"));
  worker();
  const over = await ended(begun);
  assert.deepEqual([over.status, over.error?.code], ["failed", "endpoint_refused"]);
  assert.equal((await jobs.get(over.job)).attempts, 1);
});

test("the folder in which files lie until they are whole is refused", async (t) => {
  const { write, crawled, extractions } = await extracting(t);
  await write({ a: "x" });
  const { id } = await crawled();
  for (const folder of [".longshore-incoming", "a/.longshore-incoming/b"])
    await assert.rejects(extractions.start(ADA, id, { recordsFolder: folder }), {
      code: "endpoint_refused",
      details: { url: folder, hint: ".longshore-incoming is a folder that Longshore works in" },
    });
});

test("folders are found below the roots as they are written", () => {
  assert.deepEqual(recordsFolder("a/b", ["/r", "/s"]), { root: "/r", path: "a/b" });
  assert.deepEqual(recordsFolder("/s/a/../b/", ["/r", "/s"]), { root: "/s", path: "b" });
  assert.deepEqual(recordsFolder("/r", ["/r"]), { root: "/r", path: "" });
  assert.throws(() => recordsFolder("/rr", ["/r"]), { code: "endpoint_refused" });
  assert.throws(() => recordsFolder("a", []), { code: "endpoint_refused" });
});

test("a family whose file went missing is not in the manifest, and is told of", async (t) => {
  const { folder, stores, write, crawled, extracted, records } = await extracting(t);
  await write({ "a.json": "[1]", "b.json": "[2]" });
  const crawl = await crawled();
  const extraction = await extracted(crawl, { extractors: ["json"], recordsFolder: records });
  const [name = ""] = (await readdir(records)).filter((one) => one.endsWith(".json"));
  await rm(join(records, name));
  const { signal } = new AbortController();
  const missing: (string | undefined)[] = [];
  const target: Target = fsTarget({ root: join(folder, "records") });
  const batches = async function* () {
    yield* await stores.crawls.batches(crawl.id, 0, 10);
  };
  await recordFiles(target, "", extraction, crawl.endpoints).finish(batches(), signal, ({ path }) =>
    missing.push(path),
  );
  assert.deepEqual(missing, [name]);
  const manifest = await readFile(join(records, `manifest-${crawl.id}.sha256`), "utf8");
  assert.equal(manifest.split("\n").length, 2);
});

test("a store that puts files one by one gets the same files", async (t) => {
  const { folder, write, crawled, extracted, records } = await extracting(t);
  await write({ "a.json": "[1]" });
  const crawl = await crawled();
  const extraction = await extracted(crawl, { extractors: ["json"], recordsFolder: records });
  const { putAll: _, ...single } = fsTarget({ root: join(folder, "single") });
  const files = recordFiles(single, "r", extraction, crawl.endpoints);
  const { signal } = new AbortController();
  await files.write(
    [
      {
        id: "x",
        family: { seq: 1, place: 0, firstGroup: 0, endpoint: 0, files: [], groups: [] },
        records: [],
        unknown: 0,
      },
    ],
    0,
    signal,
  );
  assert.equal(
    JSON.parse(await readFile(join(folder, "single/r/x.json"), "utf8")).describedAt,
    "1970-01-01T00:00:00.000Z",
  );
});

test("where records cannot be written, the extraction waits to be tried again and keeps nothing unwritten", async (t) => {
  const { records, write, crawled, extractions, jobs, stores } = await extracting(t);
  await write({ "a.json": "[1]" });
  const crawl = await crawled();
  await writeFile(records, "a file where the folder is to be");
  const extraction = await extractions.start(ADA, crawl.id, { extractors: ["json"], recordsFolder: records });
  for await (const news of jobs.watch(extraction.job, 0, AbortSignal.timeout(60_000)))
    if (news.type === "progress" && news.job.error) {
      assert.equal(news.job.error.code, "storage_unavailable");
      break;
    }
  assert.equal((await stores.extractions.get(extraction.id))?.counts.success, 0);
  await extractions.cancel(ADA, extraction.id);
});
