import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type TestArchive, testArchive } from "../support/archive.ts";

const DOCUMENT = join(import.meta.dirname, "../../docs/formats/archive.md");

/** The shell blocks of the document, in order; the first sets what the others use. */
function commands(): readonly string[] {
  const blocks = [...readFileSync(DOCUMENT, "utf8").matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = ""]) => block);
  assert.equal(blocks.length, 7, "blocks were added to or taken from the document: look after their test");
  return blocks.slice(1);
}

describe("the commands of docs/formats/archive.md", () => {
  const HIDDEN = "data/odd/.hidden?";
  let original: TestArchive;
  before(async () => {
    original = await testArchive();
    await original.deposit({ "notes/run-17.txt": "seventeen\n", "notes/copy.txt": "seventeen\n" });
    await original.deposit({ "a b/ü.txt": "blank\n", "odd/.hidden?": "renamed\n", empty: "" });
  });
  after(() => original.close());

  interface Result {
    readonly code: number;
    readonly stdout: string;
    readonly stderr: string;
    /** Where it wrote. */
    readonly folder: string;
  }

  /** Runs all of them in one shell, as a person would who copies them one by one. */
  function run(lab: TestArchive, id: number, file: string, blocks = commands()): Promise<Result> {
    const folder = join(lab.dataDir, "by-hand");
    mkdirSync(folder, { recursive: true });
    return new Promise((resolve) => {
      const env = {
        PATH: process.env.PATH,
        LC_ALL: "C.UTF-8",
        ARCHIVE: lab.archiveDir,
        ID: String(id),
        FILE: file,
        OUT: folder,
      };
      const script = `set -o pipefail\n${blocks.join("\n")}`;
      execFile("bash", ["--norc", "-c", script], { cwd: folder, env }, (error, stdout, stderr) => {
        resolve({ code: Number(error?.code ?? 0), stdout, stderr, folder });
      });
    });
  }

  test("find, check and read a transaction", async () => {
    const { code, stdout, stderr } = await run(original, 1, "data/notes/run-17.txt");
    assert.deepEqual([code, stderr], [0, ""]);
    const [checked, complete, content, head, ...more] = stdout.split("\n");
    assert.equal(checked, "transaction 1: every byte as deposited");
    assert.equal(complete, "nothing more, nothing less");
    assert.equal(content, "seventeen");
    assert.equal(JSON.parse(head ?? "").id, 1);
    assert.deepEqual(more, [""]);
  });

  test("find a file that is stored under another name", async () => {
    const { stdout, stderr } = await run(original, 2, HIDDEN);
    assert.equal(stderr, "");
    assert.match(stdout, /^renamed$/m);
    assert.match(stdout, /"id":2,/);
  });

  test("get a transaction back under its own names", async () => {
    const lab = await original.copy();
    const { stderr, folder } = await run(lab, 2, HIDDEN);
    assert.equal(stderr, "");
    const restored = (path: string) => readFileSync(join(folder, "transaction-2/data", path), "utf8");
    assert.deepEqual(
      [restored("a b/ü.txt"), restored("odd/.hidden?"), restored("empty")],
      ["blank\n", "renamed\n", ""],
    );
  });

  test("notice damage to content and to the inventory", async () => {
    const checks = commands().slice(0, 2);
    for (const path of ["v1/content/data/notes/run-17.txt", "v1/content/transaction.jsonl", "inventory.json"]) {
      const lab = await original.copy();
      appendFileSync(lab.fileOf(1, path), " ");
      const { stdout, stderr } = await run(lab, 1, "", checks);
      assert.match(stdout, new RegExp(`^${path}: FAILED$`, "m"));
      assert.match(stderr, /WARNING: 1 computed checksum did NOT match/);
    }
  });

  test("notice what is missing and what is too much", async () => {
    const lab = await original.copy();
    rmSync(lab.fileOf(1, "v1/content/data/notes/copy.txt"));
    writeFileSync(lab.fileOf(1, "v1/content/data/extra"), "");
    const { code, stdout } = await run(lab, 1, "", commands().slice(0, 3));
    assert.equal(code, 1);
    assert.match(stdout, /^-v1\/content\/data\/notes\/copy.txt$/m);
    assert.match(stdout, /^\+v1\/content\/data\/extra$/m);
    assert.doesNotMatch(stdout, /nothing more/);
  });

  test("work on an archive of SHA-256 digests too", async (t) => {
    const lab = await testArchive({ LONGSHORE_DIGEST: "sha256" });
    t.after(() => lab.close());
    await lab.deposit({ "a.txt": "a\n" });
    const { stdout, stderr } = await run(lab, 1, "data/a.txt", commands().slice(0, 3));
    assert.deepEqual([stdout, stderr], ["transaction 1: every byte as deposited\nnothing more, nothing less\n", ""]);
  });
});
