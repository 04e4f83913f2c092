import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { AppError } from "../../../src/core/errors.ts";
import { ADA, elsewhere, extracting } from "../../support/extracting.ts";
import { movingClock } from "../../support/moving-clock.ts";
import { until } from "../../support/until.ts";

const leftIn = async (folder: string) => (await readdir(join(folder, "scratch"), { recursive: true })).toSorted();

test("files of a store elsewhere are fetched, described, and removed", async (t) => {
  let most = 0;
  const endpoints = elsewhere(async (source, path) => {
    most = Math.max(most, (await leftIn(folder)).length);
    return source.open(path);
  });
  const { folder, write, crawled, extracted, allRecords } = await extracting(t, { endpoints, familyBytes: 1_000 });
  const files = Array.from({ length: 60 }, (_, i) => [`${i}.json`, JSON.stringify({ [`key${i}`]: "x".repeat(100) })]);
  await write(Object.fromEntries(files));
  const extraction = await extracted(await crawled(), { extractors: ["json"] });
  assert.deepEqual(extraction.counts, { pulled: 60, toSchedule: 60, success: 60, failed: 0, pending: 0, unknown: 0 });
  for (const {
    files: [file],
    data,
  } of await allRecords(extraction)) {
    const key = `key${Number.parseInt(file?.path ?? "", 10)}`;
    assert.ok(JSON.stringify(data?.paths).includes(`"/${key}"`), `${file?.path} has the record of another file`);
  }
  assert.deepEqual(await leftIn(folder), []);
  // 1,000 bytes hold nine of them; eight more may be on their way.
  assert.ok(most <= 20, `${most} files lay in the scratch folder at once`);
});

test("what is too large to fetch, gone, or breaks off has failed with the reason; a family fails as a whole", async (t) => {
  const endpoints = elsewhere(async (source, path) => {
    if (path === "gone.json") throw new AppError("object_missing", { path });
    if (path === "refused.json") throw new AppError("fetch_refused", { hint: "its host is not named" });
    if (path !== "breaks.json" && path !== "endless.json") return source.open(path);
    return Readable.from(
      (async function* () {
        for (let i = 0; i < 100 || path === "endless.json"; i++) yield Buffer.alloc(1_000, "1");
        throw Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", syscall: "read" });
      })(),
    );
  });
  const { folder, write, crawled, extracted, allRecords } = await extracting(t, { endpoints, familyBytes: 200_000 });
  await write({
    ...Object.fromEntries(["gone", "refused", "breaks", "endless", "fine"].map((name) => [`${name}.json`, "[1]"])),
    "large.json": `["${"x".repeat(150_000)}"]`,
    "large.txt": "x".repeat(100_000),
  });
  const extraction = await extracted(await crawled({ grouper: "stem" }), { extractors: ["json"] });
  const messages = (await allRecords(extraction)).map(
    ({ files, failure }) => `${files.map(({ path }) => path)}: ${failure?.reason} ${failure?.message}`,
  );
  const tooLarge = "unreadable it is larger than what is fetched, 200000 bytes with all of its family";
  assert.deepEqual(messages.toSorted(), [
    "breaks.json: unreadable ECONNRESET",
    `endless.json: ${tooLarge}`,
    "fine.json: undefined undefined",
    "gone.json: unreadable it is no longer there",
    `large.json: ${tooLarge}`,
    `refused.json: unreadable ${new AppError("fetch_refused", { hint: "its host is not named" }).message}`,
  ]);
  assert.deepEqual(await leftIn(folder), []);
});

test("a store that is not there for a while delays its files; one that stays away fails them, and no others", async (t) => {
  const clock = movingClock();
  let isAway = true;
  let asked = 0;
  const endpoints = elsewhere(async (source, path) => {
    if (path === "a.json" ? isAway : path === "b.json") {
      asked += 1;
      throw new AppError("remote_unavailable", { hint: "busy" });
    }
    return source.open(path);
  });
  const { write, crawled, extractions, stores, allRecords } = await extracting(t, { endpoints, clock });
  await write({ "a.json": "[1]", "b.json": "[1]", "c.json": "[1]" });
  const crawl = await crawled();
  const extraction = await extractions.start(ADA, crawl.id, { extractors: ["json"] });
  await until("the store was asked", () => asked > 0);
  isAway = false;
  await until("it has ended", async () => {
    clock.pass(1_000);
    return (await stores.extractions.get(extraction.id))?.status === "complete";
  });
  const records = await allRecords(extraction);
  assert.deepEqual(
    records.map(({ files, failure }) => `${files[0]?.path} ${failure?.reason}`),
    ["a.json undefined", "b.json unreadable", "c.json undefined"],
  );
});
