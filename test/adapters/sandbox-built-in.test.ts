import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { builtInExtractors } from "../../src/adapters/sandbox/built-in.ts";
import { SNIFFER } from "../../src/core/extract/sniff.ts";

const MIB = 1024 * 1024;
const LIMITS = { silenceMs: 60_000, totalMs: 600_000, memoryBytes: 512 * MIB, outputBytes: 16 * MIB };
const { signal } = new AbortController();

async function prepare(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), "longshore-built-in-"));
  const set = builtInExtractors({ readable: [folder], limits: LIMITS, processes: 1 });
  t.after(async () => {
    await set.sandbox.close();
    await rm(folder, { recursive: true });
  });
  const ask = async (extractor: string, ...names: readonly string[]) => {
    const groups = names.map((name) => [{ localPath: join(folder, name), name, sizeBytes: 0 }]);
    const outcomes = await Array.fromAsync(set.sandbox.run({ extractor, groups, signal }));
    return outcomes.map((one) => ("reason" in one ? one : one.result.data));
  };
  return { folder, set, ask };
}

test("each built-in extractor says what it is, and can be run by the name it says", async (t) => {
  const { folder, set, ask } = await prepare(t);
  await writeFile(join(folder, "a.txt"), "hello\n");
  const facts = await set.facts();
  const names = facts.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  assert.ok(names.includes("generic") && names.includes("json"), `found only ${names.join(", ")}`);
  for (const { name, version, takes, schema, isBuiltIn } of facts) {
    assert.match(name, /^[a-z][a-z0-9-]*$/);
    assert.match(version, /^[1-9]\d*$/, `version of ${name}`);
    assert.ok(takes.mediaTypes.length + takes.extensions.length > 0, `${name} takes nothing`);
    assert.ok(schema && isBuiltIn);
  }
  const [described] = await ask("generic", "a.txt");
  // printf 'hello\n' | sha256sum
  const sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
  assert.deepEqual(described, {
    mediaType: "text/plain",
    extension: "txt",
    sizeBytes: 6,
    sha256,
    encoding: "utf-8",
    lines: 1,
  });
});

test("a file's kind is told by its beginning, and what cannot be read is told apart", async (t) => {
  const { folder, ask } = await prepare(t);
  await writeFile(join(folder, "picture.txt"), "\x89PNG\r\n\x1a\n", "latin1");
  await symlink("picture.txt", join(folder, "link"));
  await mkdir(join(folder, "sub"));
  await symlink("/etc", join(folder, "elsewhere"));
  await symlink(join(folder, "sub"), join(folder, "within"));
  await writeFile(join(folder, "sub", "x"), "x");
  assert.equal(spawnSync("mkfifo", [join(folder, "pipe")]).status, 0);
  const gone = { unreadable: "it is no longer there" };
  const link = { unreadable: "it is reached through a link now" };
  assert.deepEqual(
    await ask(SNIFFER, "picture.txt", "none", "sub", "pipe", "link", "within/x", "elsewhere/passwd", "sub/x"),
    [
      { mediaType: "image/png" },
      gone,
      { unreadable: "it is no regular file" },
      { unreadable: "it is no regular file" },
      link,
      link,
      link,
      { mediaType: "text/plain" },
    ],
  );
});

test("extractors themselves read no pipes and follow no links either", async (t) => {
  const { folder, ask } = await prepare(t);
  await writeFile(join(folder, "a"), "x");
  await symlink("a", join(folder, "link"));
  assert.equal(spawnSync("mkfifo", [join(folder, "pipe")]).status, 0);
  const [pipe, link] = await ask("generic", "pipe", "link");
  assert.equal(pipe?.reason, "threw");
  assert.match(String(pipe?.message), /no regular file/);
  assert.equal(link?.reason, "threw");
  assert.match(String(link?.message), /ELOOP/);
});

test("a set that is closed runs nothing more, and one that was never used closes", async () => {
  const set = builtInExtractors({ readable: [], limits: LIMITS, processes: 1 });
  await set.sandbox.close();
  await assert.rejects(Array.fromAsync(set.sandbox.run({ extractor: "generic", groups: [[]], signal })), {
    code: "internal",
  });
});
