import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  unlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, beforeEach, describe, test } from "node:test";
import { promisify } from "node:util";
import { fsMoveSource } from "../../src/adapters/source/move-source.ts";

const run = promisify(execFile);

const base = await realpath(await mkdtemp(join(tmpdir(), "move-source-")));
after(() => rm(base, { recursive: true }));

const root = join(base, "root");
const other = join(base, "other");
const secret = join(other, "secret");
const inside = (name: string) => join(root, name);

const source = fsMoveSource({ roots: [root] });
const isRefused = (code: string, hint?: RegExp) => (error: Error & { readonly code?: string }) => {
  assert.equal(error.code, code);
  if (hint) assert.match(error.message, hint);
  return true;
};
const isOutside = isRefused("source_outside_roots");

beforeEach(async () => {
  await rm(root, { recursive: true, force: true });
  await rm(other, { recursive: true, force: true });
  await mkdir(inside("sub"), { recursive: true });
  await mkdir(other);
  await writeFile(inside("a.txt"), "hello");
  await writeFile(secret, "secret");
});

describe("files that may be moved", () => {
  test("a file below a root is found with its facts and can be read", async () => {
    await utimes(inside("a.txt"), 1_600_000_000, 1_600_000_000.5);
    const found = await source.find(inside("a.txt"));
    assert.deepEqual(
      { path: found.path, sizeBytes: found.sizeBytes, modifiedAt: found.modifiedAt },
      { path: inside("a.txt"), sizeBytes: 5, modifiedAt: 1_600_000_000_500 },
    );
    assert.equal(await text(found.open()), "hello");
    assert.equal(await text(found.open()), "hello");
  });

  test("names of any kind are names", async () => {
    for (const name of ["..a", "...", " ", "ü 漢\n", "-rf", "*", "sub/..b"]) {
      await writeFile(inside(name), name);
      assert.equal(await text((await source.find(inside(name))).open()), name);
    }
  });

  test("dots and links that stay below a root are followed to the file itself", async () => {
    await symlink(root, join(other, "way-in"));
    await symlink("../a.txt", inside("sub/link"));
    for (const path of [
      `${root}/sub/../a.txt`,
      `${root}//./a.txt`,
      inside("sub/link"),
      join(other, "way-in", "a.txt"),
      `${other}/../root/a.txt`,
    ])
      assert.equal((await source.find(path)).path, inside("a.txt"), path);
  });

  test("a root that is itself a link stands for where it leads, and one that does not exist holds nothing", async () => {
    await symlink(root, join(other, "root-link"));
    const linked = fsMoveSource({ roots: [join(base, "not there"), join(other, "root-link")] });
    assert.equal((await linked.find(join(other, "root-link", "a.txt"))).path, inside("a.txt"));
    assert.equal((await linked.find(inside("a.txt"))).path, inside("a.txt"));
    await assert.rejects(linked.find(join(base, "not there", "a")), isRefused("source_missing"));
  });

  test("what is not there is missing", async () => {
    await symlink("nowhere", inside("dangling"));
    for (const name of ["b.txt", "no/such/folder", "a.txt/below", "dangling", `${"x".repeat(300)}`, "a.txt/"])
      await assert.rejects(source.find(inside(name)), isRefused("source_missing"), name);
  });
});

describe("files that may not be moved", () => {
  test("without roots everything is refused, and the setting is named", async () => {
    const none = fsMoveSource({ roots: [] });
    const isHinted = isRefused("source_outside_roots", /LONGSHORE_MOVE_ROOTS/);
    await assert.rejects(none.find(inside("a.txt")), isHinted);
    await assert.rejects(none.remove(inside("a.txt")), isHinted);
    assert.equal(await readFile(inside("a.txt"), "utf8"), "hello");
  });

  test("a path that is not absolute, or that no file can have, is refused", async () => {
    for (const path of ["", "a.txt", "./root/a.txt", "file:///etc/passwd", `${root}/a.txt\0`])
      await assert.rejects(source.find(path), isRefused("source_outside_roots", /absolute path/), path);
  });

  test("what lies elsewhere is refused by every way to it", async () => {
    await symlink(secret, inside("file-link"));
    await symlink(other, inside("folder-link"));
    await symlink("../../other/secret", inside("sub/relative-link"));
    await writeFile(`${root}-beside`, "a folder whose name begins like the root's");
    for (const path of [
      secret,
      `${root}/../other/secret`,
      inside("file-link"),
      inside("folder-link/secret"),
      inside("sub/relative-link"),
      `${root}/folder-link/../other/secret`,
      `${root}-beside`,
      root,
      base,
      "/",
    ]) {
      await assert.rejects(source.find(path), isOutside, path);
      await assert.rejects(source.remove(path), isOutside, path);
    }
    assert.equal(await readFile(secret, "utf8"), "secret");
  });

  test("nobody learns whether something exists elsewhere", async () => {
    const answers = await Promise.all(
      [secret, join(other, "not there"), "/etc/passwd", "/etc/not there", "/no/such/folder"].map((path) =>
        source.find(path).catch((error) => String(error.message).replace(path, "…")),
      ),
    );
    assert.equal(new Set(answers).size, 1);
  });

  test("folders and special files are refused without being opened", async () => {
    await run("mkfifo", [inside("pipe")]);
    const listener = createServer();
    await new Promise<void>((resolve) => listener.listen(inside("socket"), resolve));
    try {
      await assert.rejects(source.find(inside("sub")), isRefused("source_unsuitable", /it is a folder/));
      for (const name of ["pipe", "socket"]) {
        await assert.rejects(source.find(inside(name)), isRefused("source_unsuitable", /special file/), name);
        await assert.rejects(source.remove(inside(name)), isRefused("source_unsuitable"), name);
      }
    } finally {
      await new Promise((resolve) => listener.close(resolve));
    }
    const devices = fsMoveSource({ roots: ["/dev"] });
    await assert.rejects(devices.find("/dev/null"), isRefused("source_unsuitable"));
  });

  test("a link that leads to itself is missing", async () => {
    await symlink("loop", inside("loop"));
    await assert.rejects(source.find(inside("loop")), isRefused("source_missing"));
  });

  test("what the server may not read, or could not remove afterwards, is refused at once", async () => {
    await chmod(base, 0o755);
    await writeFile(inside("unreadable"), "x", { mode: 0o000 });
    await mkdir(inside("fixed"));
    await writeFile(inside("fixed/file"), "x");
    await chmod(inside("fixed"), 0o555);
    await chmod(root, 0o777);
    await mkdir(inside("closed"));
    await writeFile(inside("closed/file"), "x");
    await chmod(inside("closed"), 0o000);

    const script = `
      const { fsMoveSource } = await import(${JSON.stringify(import.meta.resolve("../../src/adapters/source/move-source.ts"))});
      const source = fsMoveSource({ roots: [${JSON.stringify(root)}] });
      const found = [];
      for (const name of ["unreadable", "fixed/file", "closed/file"])
        found.push(await source.find(${JSON.stringify(root)} + "/" + name).then(() => "found", ({ code, details }) => code + ": " + details.hint));
      console.log(JSON.stringify(found));`;
    // Root may do everything: the question is asked as nobody then.
    const who = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], who);
    await chmod(inside("closed"), 0o755);
    assert.deepEqual(JSON.parse(stdout), [
      "source_unsuitable: the server may not read it",
      "source_unsuitable: the server may not remove files from its folder",
      "source_missing: undefined",
    ]);
  });
});

describe("files that change meanwhile", () => {
  test("another file in its place is not read", async () => {
    const found = await source.find(inside("a.txt"));
    await writeFile(inside("b.txt"), "other");
    await rename(inside("b.txt"), inside("a.txt"));
    await assert.rejects(text(found.open()), isRefused("source_unsuitable", /another file/));
  });

  test("another file is told apart even when it was given the number of the one before", async () => {
    const found = await source.find(inside("a.txt"));
    await unlink(inside("a.txt"));
    await writeFile(inside("a.txt"), "other");
    await assert.rejects(text(found.open()), isRefused("source_unsuitable", /another file/));
  });

  test("a link in its place is not followed, whether in the file's or in a folder's place", async () => {
    await writeFile(inside("sub/secret"), "mine");
    const file = await source.find(inside("a.txt"));
    const below = await source.find(inside("sub/secret"));
    await unlink(inside("a.txt"));
    await symlink(secret, inside("a.txt"));
    await rm(inside("sub"), { recursive: true });
    await symlink(other, inside("sub"));
    await assert.rejects(text(file.open()), isRefused("source_unsuitable", /link/));
    await assert.rejects(text(below.open()), isRefused("source_unsuitable", /another file/));
  });

  test("a named pipe in its place does not hang the reader", async () => {
    const found = await source.find(inside("a.txt"));
    await unlink(inside("a.txt"));
    await run("mkfifo", [inside("a.txt")]);
    await assert.rejects(text(found.open()), isRefused("source_unsuitable"));
  });

  test("a file that is gone when it is opened is missing", async () => {
    const found = await source.find(inside("a.txt"));
    await unlink(inside("a.txt"));
    await assert.rejects(text(found.open()), isRefused("source_missing"));
  });
});

describe("removing", () => {
  test("removes the file, and once is as good as twice", async () => {
    await source.remove(inside("a.txt"));
    await assert.rejects(stat(inside("a.txt")), { code: "ENOENT" });
    await source.remove(inside("a.txt"));
    await source.remove(inside("no/such/folder"));
  });

  test("removes what a link leads to below the roots, and keeps other names of the same bytes", async () => {
    await symlink(inside("a.txt"), inside("sub/link"));
    await link(inside("a.txt"), join(other, "archived"));
    await source.remove(inside("sub/link"));
    await assert.rejects(stat(inside("a.txt")), { code: "ENOENT" });
    assert.equal(await readFile(join(other, "archived"), "utf8"), "hello");
  });

  test("leaves a file alone whose folder was exchanged for a link that leads out", async () => {
    await writeFile(inside("sub/secret"), "mine");
    await source.find(inside("sub/secret"));
    await rm(inside("sub"), { recursive: true });
    await symlink(other, inside("sub"));
    await assert.rejects(source.remove(inside("sub/secret")), isOutside);
    assert.equal(await readFile(secret, "utf8"), "secret");
  });

  test("a folder is not removed", async () => {
    await assert.rejects(source.remove(inside("sub")), isRefused("source_unsuitable"));
    assert.ok((await stat(inside("sub"))).isDirectory());
  });
});
