import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { registeredExtractors } from "../../src/adapters/sandbox/registered.ts";
import { extracting, LIMITS } from "../support/extracting.ts";
import { DEEDS } from "../support/registered-extractors.ts";

const MIB = 1024 * 1024;
/** Some gigabytes are read, by several extractors. */
const LIMIT_MS = 300_000;

/** Each entity ten times the one before: 10^9 times "lol" (CWE-776). */
const ENTITIES = Array.from({ length: 9 }, (_, i) => `<!ENTITY l${i + 1} "${`&l${i};`.repeat(10)}">`).join("\n");
const ENTITY_BOMB = `<?xml version="1.0"?>\n<!DOCTYPE lolz [<!ENTITY l0 "lol">\n${ENTITIES}]>\n<lolz>&l9;</lolz>`;

/** 6.4 GB of zeros in 6.4 MB: members of a gzip file follow one another (RFC 1952 2.2). */
const gzipBomb = () => Buffer.concat(Array<Buffer>(100).fill(gzipSync(Buffer.alloc(64 * MIB))));

test("hostile files fail by themselves or are described, and all others are described beside them", async (t) => {
  const { store, write, crawled, extracted, allRecords } = await extracting(t, {
    limits: { memoryBytes: 400 * MIB, silenceMs: 120_000 },
  });
  const fine = { "a/fine.json": '{"a":1}', "z/fine.csv": "x,y\n1,2\n", "z/fine.txt": "words and words\n" };
  await write({
    ...fine,
    "m/bomb.gz": gzipBomb(),
    "m/entities.xml": ENTITY_BOMB,
    "m/external.xml": '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>',
    "m/deep.json": "[".repeat(5_000_000),
    "m/deep.xml": `<?xml version="1.0"?>${"<a>".repeat(1_000_000)}`,
    "m/comments.svg": `${"<!-- -->".repeat(100_000)}x`,
    "m/torn.h5": Buffer.concat([Buffer.from("\x89HDF\r\n\x1a\n", "latin1"), randomBytes(10_000)]),
    "m/torn.png": Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), randomBytes(10_000)]),
    "m/name\nwith\u0001 odd “bytes”.txt": "words\n",
  });
  // One line of a gigabyte, most of it a hole.
  const line = await open(join(store, "m/line.csv"), "w");
  await line.write(`a,b,c\n${"1,2,".repeat(20_000)}`);
  await line.truncate(1024 * MIB);
  await line.close();

  const crawl = await crawled();
  const begunBytes = process.memoryUsage.rss();
  const extraction = await extracted(crawl, {}, LIMIT_MS);
  assert.equal(extraction.status, "complete");
  assert.equal(extraction.counts.pulled, crawl.counts.files);
  const { counts } = extraction;
  assert.equal(counts.toSchedule, counts.success + counts.failed + counts.unknown);
  const records = await allRecords(extraction);
  for (const path of Object.keys(fine)) {
    const own = records.filter(({ files }) => files[0]?.path === path);
    assert.ok(own.length >= 2, `${path} has ${own.length} records`);
    assert.ok(
      own.every(({ failure }) => failure === null),
      JSON.stringify(own.map(({ failure }) => failure)),
    );
  }
  for (const { files, extractor, data, failure } of records) {
    assert.ok((data === null) !== (failure === null), `${files[0]?.path} by ${extractor}`);
    t.diagnostic(
      `${JSON.stringify(files[0]?.path)} ${extractor}: ${failure ? `${failure.reason}: ${failure.message}` : "described"}`,
    );
  }
  // sha256sum of a GiB that begins so takes seconds; that there is one at all says that it was read to its end.
  const long = records.find(({ files, extractor }) => files[0]?.path === "m/line.csv" && extractor === "generic");
  assert.equal(long?.data?.sizeBytes, 1024 * MIB);
  assert.ok(!JSON.stringify(records).includes("root:"), "an external entity was read");
  const grownBytes = process.memoryUsage.rss() - begunBytes;
  assert.ok(grownBytes < 300 * MIB, `this process grew by ${Math.round(grownBytes / MIB)} MiB`);
});

test("extractors that loop, leak, fork, print garbage or die fail their own groups and nothing else", async (t) => {
  const { folder, write, crawled, extracted, allRecords } = await extracting(t, {
    registered: (place, reserved) =>
      registeredExtractors({
        folder: place,
        limits: { ...LIMITS, silenceMs: 5_000, memoryBytes: 256 * MIB },
        processes: 2,
        containerEnvironment: {},
        reserved,
      }),
  });
  const deeds: Readonly<Record<string, string>> = {
    "fine-1": "say one",
    loops: "loop",
    leaks: "leak",
    prints: "print <html>",
    "prints-much": "much 9000000",
    dies: "abort",
    fails: "fail it is torn",
    forks: `forks ${process.pid}`,
    "fine-2": "say two",
  };
  await write(Object.fromEntries(Object.entries(deeds).map(([name, deed]) => [`${name}.deed`, deed])));
  const own = join(folder, "extractors", "deeds");
  await mkdir(own, { recursive: true });
  await writeFile(join(own, "extract.mjs"), DEEDS);
  const manifest = {
    name: "deeds",
    version: "7",
    takes: { extensions: ["deed"] },
    command: [process.execPath, "extract.mjs"],
  };
  await writeFile(join(own, "extractor.json"), JSON.stringify(manifest));

  const extraction = await extracted(await crawled(), { extractors: ["generic", "deeds"] }, LIMIT_MS);
  assert.equal(extraction.status, "complete");
  const records = await allRecords(extraction);
  assert.equal(records.filter(({ extractor, failure }) => extractor === "generic" && !failure).length, 9);
  const told = records
    .filter(({ extractor }) => extractor === "deeds")
    .map(({ files, version, failure, data }) => {
      assert.equal(version, "7");
      return [files[0]?.path.replace(".deed", ""), failure?.reason ?? data?.value];
    });
  assert.deepEqual(Object.fromEntries(told), {
    "fine-1": "one",
    loops: "silence",
    leaks: "memory",
    prints: "garbage",
    "prints-much": "output",
    dies: "died",
    fails: "threw",
    forks: "silence",
    "fine-2": "two",
  });
  spawnSync("pkill", ["-f", `^sleep 600 ${process.pid}$`]);
});
