import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { type TestContext, test } from "node:test";
import { fsTarget, requireNoLink } from "../../src/adapters/source/fs-target.ts";
import { targetConformance } from "../conformance/target.ts";

const { signal } = new AbortController();
const hello = async function* () {
  yield Buffer.from("hello");
};

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "longshore-target-"));
  t.after(() => rm(made, { recursive: true }));
  return made;
}

async function filesBelow(root: string): Promise<readonly string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries.filter((one) => !one.isDirectory()).map((one) => relative(root, join(one.parentPath, one.name)));
}

targetConformance("fs", async (t) => {
  const root = join(await folder(t), "target");
  await mkdir(root);
  return { target: fsTarget({ root }), files: () => filesBelow(root) };
});

test("nothing is written, read or removed through a link", async (t) => {
  const root = await folder(t);
  const elsewhere = await folder(t);
  await writeFile(join(elsewhere, "theirs"), "hello");
  await symlink(elsewhere, join(root, "link"));
  await symlink(join(elsewhere, "theirs"), join(root, "file"));
  const target = fsTarget({ root });
  const refused = { code: "endpoint_refused", kind: "forbidden" };
  await assert.rejects(target.put("link/ours", hello(), signal), refused);
  await assert.rejects(target.put("link/deeper/ours", hello(), signal), refused);
  await assert.rejects(
    target.putAll?.([{ path: "link/ours", bytes: Buffer.from("x") }], signal) ?? Promise.resolve(),
    refused,
  );
  await assert.rejects(requireNoLink(root, "link"), refused);
  await assert.rejects(requireNoLink(root, "link/deeper"), refused);
  await requireNoLink(root, "not/yet/there");
  await assert.rejects(target.put(".longshore-incoming/x", hello(), signal), { code: "request_invalid" });
  await assert.rejects(target.facts("link/theirs", signal), refused);
  await assert.rejects(target.facts("file", signal), refused);
  await assert.rejects(target.remove("link/theirs"), refused);
  assert.deepEqual(await readdir(elsewhere, { recursive: true }), ["theirs"]);
  await target.put("file", hello(), signal);
  assert.equal(await readFile(join(root, "file"), "utf8"), "hello");
  assert.equal(await readFile(join(elsewhere, "theirs"), "utf8"), "hello");
});

test("targets of one root do not take each other's place for what is incoming away", async (t) => {
  const root = await folder(t);
  const writes = async (name: string) => {
    for (let i = 0; i < 100; i++) {
      const target = fsTarget({ root });
      await target.put(`${name}-${i}`, hello(), signal);
      await target.close();
    }
  };
  await Promise.all(["a", "b", "c", "d"].map(writes));
  assert.equal((await readdir(root)).length, 400);
});

test("a root that is a link, or is not there yet, is used", async (t) => {
  const place = await folder(t);
  await mkdir(join(place, "real"));
  await symlink("real", join(place, "root"));
  await fsTarget({ root: join(place, "root") }).put("a", hello(), signal);
  assert.equal(await readFile(join(place, "real", "a"), "utf8"), "hello");
  await fsTarget({ root: join(place, "not", "yet") }).put("a", hello(), signal);
  assert.equal(await readFile(join(place, "not", "yet", "a"), "utf8"), "hello");
});

test("what another process left unfinished goes when it is old, and not before", async (t) => {
  const root = await folder(t);
  const incoming = join(root, ".longshore-incoming");
  await mkdir(incoming);
  await writeFile(join(incoming, "old"), "hel");
  await writeFile(join(incoming, "young"), "hel");
  const longAgo = Date.now() / 1_000 - 3 * 24 * 60 * 60;
  await utimes(join(incoming, "old"), longAgo, longAgo);
  const target = fsTarget({ root });
  await target.put("a", hello(), signal);
  await target.close();
  assert.deepEqual((await filesBelow(root)).toSorted(), [".longshore-incoming/young", "a"]);
});

test("a file where a folder is needed, and a folder where the file is to be, are said plainly", async (t) => {
  const root = await folder(t);
  await writeFile(join(root, "file"), "x");
  await mkdir(join(root, "folder", "full"), { recursive: true });
  const target = fsTarget({ root });
  await assert.rejects(target.put("file/a", hello(), signal), { code: "storage_unavailable" });
  await assert.rejects(target.put("folder", hello(), signal), { code: "storage_unavailable" });
  await target.close();
  assert.deepEqual(await filesBelow(root), ["file"]);
});

test("of folders that are pruned, those above that are empty go too, and nothing through a link", async (t) => {
  const root = await folder(t);
  const elsewhere = await folder(t);
  for (const path of ["a/b/c", "d/e"]) await mkdir(join(root, path), { recursive: true });
  await mkdir(join(elsewhere, "theirs"));
  await symlink(elsewhere, join(root, "link"));
  const target = fsTarget({ root });
  await target.prune?.("a/b/c");
  // Another has removed the last one, and died.
  await target.prune?.("d/e/f");
  assert.deepEqual(await readdir(root), ["link"]);
  await assert.rejects(target.prune?.("link/theirs") ?? Promise.resolve(), { code: "endpoint_refused" });
  assert.deepEqual(await readdir(elsewhere), ["theirs"]);
});
