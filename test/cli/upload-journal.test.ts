import assert from "node:assert/strict";
import { appendFile, mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { depositKey, openJournal } from "../../src/cli/upload-journal.ts";

describe("upload journal", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "longshore-journal-"));
  });
  afterEach(() => rm(folder, { recursive: true }));
  const open = (key = "key") => openJournal(join(folder, "uploads"), key, Date.now());

  test("what one run records the next one knows, the last word on each thing", () => {
    const first = open();
    first.record({ url: "http://h/1" });
    first.record({ path: "a", digest: "aa" });
    first.record({ url: "http://h/2" });
    first.record({ jobId: 7 });
    const { url, jobId, digests } = open();
    assert.deepEqual([url, jobId, [...digests]], ["http://h/2", 7, [["a", "aa"]]]);
    assert.equal(open("another").url, undefined);
  });

  for (const [what, tail] of [
    ["half a line", '{"path":"b","dig'],
    ["a line of zeros, as a power cut leaves it", `${"\0".repeat(40)}\n{"path":"c","digest":"cc"}\n`],
  ] as const)
    test(`${what} at the end is cut off, and the journal goes on`, async () => {
      open().record({ path: "a", digest: "aa" });
      await appendFile(join(folder, "uploads/key.jsonl"), tail);
      const next = open();
      assert.deepEqual([...next.digests], [["a", "aa"]]);
      next.record({ path: "b", digest: "bb" });
      assert.deepEqual([...open().digests.keys()], ["a", "b"]);
    });

  test("removed, nothing of it is left", async () => {
    const journal = open();
    journal.record({ jobId: 1 });
    journal.remove();
    assert.deepEqual(await readdir(join(folder, "uploads")), []);
    assert.equal(open().jobId, undefined);
  });

  test("it is for its owner alone, and forgotten after a month", async () => {
    open("old").record({ jobId: 1 });
    open("young").record({ jobId: 2 });
    assert.equal((await stat(join(folder, "uploads/old.jsonl"))).mode & 0o777, 0o600);
    const past = new Date(Date.now() - 31 * 24 * 3_600_000);
    await utimes(join(folder, "uploads/old.jsonl"), past, past);
    open();
    assert.deepEqual(await readdir(join(folder, "uploads")), ["young.jsonl"]);
  });

  test("a deposit is named by its server, its files and what is said of them", async () => {
    await writeFile(join(folder, "x"), "");
    const file = { path: "a", sizeBytes: 1, modifiedAt: 1.5, changedAt: 2, open: async function* () {} };
    const key = depositKey("http://h", [file], [[], "sha512"]);
    assert.equal(depositKey("http://h", [{ ...file }], [[], "sha512"]), key);
    const others = [
      depositKey("http://other", [file], [[], "sha512"]),
      depositKey("http://h", [file, file], [[], "sha512"]),
      depositKey("http://h", [{ ...file, sizeBytes: 2 }], [[], "sha512"]),
      depositKey("http://h", [{ ...file, modifiedAt: 1.6 }], [[], "sha512"]),
      depositKey("http://h", [file], [[], "sha1"]),
    ];
    assert.equal(new Set([key, ...others]).size, 6);
  });
});
