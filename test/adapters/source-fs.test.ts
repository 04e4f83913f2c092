import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { fsSource } from "../../src/adapters/source/fs.ts";
import type { Listing } from "../../src/core/crawl/source.ts";
import { entriesOf, sourceConformance, walkAll } from "../conformance/source.ts";
import { seededRandom } from "../support/random.ts";

sourceConformance("fs", async (files) => {
  const root = await mkdtemp(join(tmpdir(), "longshore-source-"));
  fill(root, files);
  return { source: fsSource({ root }), base: "", tellsHidden: true, cleanUp: () => rm(root, { recursive: true }) };
});

function fill(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

const problemsOf = (listings: readonly Listing[]) =>
  listings.flatMap(({ problems }) => problems.map(({ path, message }) => `${path}: ${message}`)).sort();

describe("Source: fs, on hostile trees", () => {
  let root: string;
  before(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), "longshore-hostile-")));
  });
  after(() => rm(root, { recursive: true }));

  function folder(name: string, files: Readonly<Record<string, string>> = {}): string {
    const path = join(root, name);
    mkdirSync(path);
    fill(path, files);
    return path;
  }
  const hint = (path: string, reason: string) =>
    `${path}: Something in the store cannot be read. (path: ${path}; hint: ${reason})`;

  test("time and mode are those of the file; folders and links have neither", async () => {
    const path = folder("facts", { "a/b.txt": "12345" });
    execFileSync("chmod", ["640", join(path, "a/b.txt")]);
    utimesSync(join(path, "a/b.txt"), 1_500_000_000, 1_600_000_000.25);
    symlinkSync("b.txt", join(path, "a/link"));
    assert.deepEqual(
      entriesOf(await walkAll(fsSource({ root: path }))).toSorted((x, y) => (x.path < y.path ? -1 : 1)),
      [
        { path: "a", kind: "folder", sizeBytes: 0, modifiedAt: null, mode: null },
        { path: "a/b.txt", kind: "file", sizeBytes: 5, modifiedAt: 1_600_000_000_250, mode: 0o640 },
        { path: "a/link", kind: "link", sizeBytes: 0, modifiedAt: null, mode: null },
      ],
    );
  });

  test("the root of the file system can be walked", async () => {
    const path = folder("everything", { "a/b.txt": "12345" });
    const source = fsSource({ root: "/" });
    const files = entriesOf(await walkAll(source, { folders: [path.slice(1)] })).filter(({ kind }) => kind === "file");
    assert.deepEqual(
      files.map((entry) => entry.path),
      [join(path, "a/b.txt").slice(1)],
    );
    assert.equal(await text(await source.open(files[0]?.path ?? "")), "12345");
  });

  test("links are listed and never followed, so loops end and nothing outside is reached", async () => {
    const outside = folder("outside", { "secret.txt": "secret" });
    const path = folder("links", { "in/file.txt": "in" });
    symlinkSync("..", join(path, "in/up"));
    symlinkSync(outside, join(path, "out"));
    symlinkSync(join(outside, "secret.txt"), join(path, "secret"));
    symlinkSync("loop", join(path, "loop"));
    const source = fsSource({ root: path });
    const listings = await walkAll(source, {
      folders: ["", "out", "../outside", "in/../../outside", "/etc", "in/..", "in/."],
    });
    const kinds = Object.fromEntries(entriesOf(listings).map((entry) => [entry.path, entry.kind]));
    assert.deepEqual(kinds, {
      in: "folder",
      "in/file.txt": "file",
      "in/up": "link",
      out: "link",
      secret: "link",
      loop: "link",
    });
    const elsewhere = ["../outside", "/etc", "in/../../outside", "in/..", "in/.", "out"];
    assert.deepEqual(
      problemsOf(listings).map((line) => line.split(": ")[0]),
      elsewhere,
    );
    for (const one of ["secret", "out/secret.txt", "loop", "../outside/secret.txt", "in/up/in/file.txt"])
      await assert.rejects(source.open(one), { code: "object_missing" }, one);
    assert.equal(await text(await source.open("in/file.txt")), "in");
  });

  test("the root itself may be a link; a root that is no folder cannot be walked", async () => {
    const path = folder("real", { "a.txt": "a" });
    symlinkSync(path, join(root, "alias"));
    const alias = fsSource({ root: join(root, "alias") });
    assert.deepEqual(
      entriesOf(await walkAll(alias)).map((entry) => entry.path),
      ["a.txt"],
    );
    assert.equal(await text(await alias.open("a.txt")), "a");
    for (const one of ["absent", "real/a.txt"])
      await assert.rejects(walkAll(fsSource({ root: join(root, one) })), { code: "endpoint_unreachable" });
  });

  test("sockets and pipes are listed, are problems, and do not block who opens them", async () => {
    const path = folder("special", { "plain.txt": "" });
    execFileSync("mkfifo", [join(path, "pipe")]);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(path, "socket"), resolve));
    const source = fsSource({ root: path });
    const listings = await walkAll(source);
    assert.deepEqual(problemsOf(listings), [hint("pipe", "it is a pipe"), hint("socket", "it is a socket")]);
    const others = entriesOf(listings).filter(({ kind }) => kind === "other");
    assert.deepEqual(others.map((entry) => entry.path).toSorted(), ["pipe", "socket"]);
    for (const one of ["pipe", "socket"]) await assert.rejects(source.open(one), { code: "object_missing" });
    await new Promise((resolve) => server.close(resolve));
  });

  test("names that are not UTF-8 are problems; the replacement character itself is a name", async () => {
    const path = folder("names", { "real-\uFFFD.txt": "" });
    const bytes = (name: string) => Buffer.concat([Buffer.from(`${path}/`), Buffer.from(name, "latin1")]);
    writeFileSync(bytes("caf\xe9.txt"), "");
    writeFileSync(bytes(`${"\xe9".repeat(250)}`), ""); // as UTF-8 longer than a name can be
    mkdirSync(bytes("dossier-\xe9"));
    const listings = await walkAll(fsSource({ root: path }));
    assert.deepEqual(
      entriesOf(listings).map((entry) => entry.path),
      ["real-\uFFFD.txt"],
    );
    const names = [`caf\uFFFD.txt`, "dossier-\uFFFD", "\uFFFD".repeat(250)];
    assert.deepEqual(problemsOf(listings), names.map((name) => hint(name, "its name is not UTF-8")).sort());
  });

  test("walks to the end leave their thread to the next one; what a walk left unfinished is not taken for another's", async () => {
    const path = folder("large", Object.fromEntries(Array.from({ length: 9_000 }, (_, n) => [`f${n}`, ""])));
    const other = folder("small", { "sub/x": "" });
    let threads = 0;
    const count = () => threads++;
    process.on("worker", count);
    try {
      await walkAll(fsSource({ root: other }));
      threads = 0;
      for (let n = 0; n < 5; n++) assert.equal(entriesOf(await walkAll(fsSource({ root: other }))).length, 2);
      assert.equal(threads, 0);
      const { signal } = new AbortController();
      for await (const _ of fsSource({ root: path }).walk({ folders: [""], hidden: true, isDone: () => false, signal }))
        break;
      assert.deepEqual(
        entriesOf(await walkAll(fsSource({ root: other }))).map((entry) => entry.path),
        ["sub", "sub/x"],
      );
    } finally {
      process.off("worker", count);
    }
  });

  test("folders that are removed or exchanged during the walk are problems, and all else is listed", async () => {
    const files = Object.fromEntries(Array.from({ length: 3_000 }, (_, n) => [`d${n}/sub/file`, ""]));
    const path = folder("vanishing", files);
    const outside = folder("beyond", { "secret.txt": "secret" });
    const source = fsSource({ root: path });
    const listings: Listing[] = [];
    const options = { folders: [""], hidden: true, isDone: () => false, signal: new AbortController().signal };
    for await (const listing of source.walk(options)) {
      if (listings.length === 0) {
        rmSync(join(path, "d2999"), { recursive: true });
        renameSync(join(path, "d2998/sub"), join(path, "d2998/gone"));
        symlinkSync(outside, join(path, "d2998/sub"));
      }
      listings.push(listing);
    }
    // Which of them the walk had passed already is a matter of luck; what it says has to fit together.
    const listed = entriesOf(listings)
      .filter(({ kind }) => kind === "file")
      .map((entry) => entry.path);
    const expected = Object.keys(files).filter((file) => !/^d299[89]/.test(file));
    assert.deepEqual(listed.filter((file) => !/^d299[89]/.test(file)).toSorted(), expected.toSorted());
    assert.ok(!listed.some((file) => file.includes("secret")));
    const ended = listings.filter(({ isLast }) => isLast).map((listing) => listing.folder);
    assert.equal(new Set(ended).size, ended.length);
    for (const line of problemsOf(listings)) assert.match(line, /^d299[89]/);
  });

  test("several threads list a wide tree whole, and the parts of one folder come one after the other", async () => {
    const path = folder("wide");
    const small = Array.from({ length: 1_000 }, (_, n) => `d${n % 40}/e${n}`);
    // Of more names than one answer has room for.
    const large = ["d7/large", "d31/large"];
    for (const name of [...small, ...large]) {
      mkdirSync(join(path, name), { recursive: true });
      for (let n = 0; n < (large.includes(name) ? 5_000 : 1); n++) writeFileSync(join(path, name, `f${n}`), "");
    }
    const listings = await walkAll(fsSource({ root: path }));
    const ended = new Set<string>();
    for (const [at, { folder: listed, isLast }] of listings.entries()) {
      assert.ok(!ended.has(listed), `${listed} comes twice`);
      if (isLast) ended.add(listed);
      else assert.equal(listings[at + 1]?.folder, listed);
    }
    assert.equal(ended.size, 1 + 40 + small.length + large.length);
    const files = entriesOf(listings).filter(({ kind }) => kind === "file");
    assert.equal(new Set(files.map((file) => file.path)).size, small.length + 5_000 * large.length);
    assert.equal(files.length, small.length + 5_000 * large.length);
  });

  test("a tree deeper than a path can be long ends in a problem", async () => {
    const path = folder("deep");
    // By relative steps, as no single path is long enough.
    const script = 'cd "$0"; i=0; while [ $i -lt 60 ]; do mkdir "$1" && cd "$1"; i=$((i+1)); done';
    spawnSync("sh", ["-c", script, path, "x".repeat(100)]);
    const listings = await walkAll(fsSource({ root: path }));
    assert.equal(problemsOf(listings).length, 1);
    assert.match(problemsOf(listings)[0] ?? "", /longer than the operating system takes/);
    assert.ok(entriesOf(listings).length >= 35, `${entriesOf(listings).length} folders`);
    execFileSync("rm", ["-r", path]);
  });

  // As root every folder can be read, so the walk is done by somebody else, if that account can read the sources.
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const canRun =
    spawnSync(process.execPath, ["-e", `require("fs").accessSync(${JSON.stringify(import.meta.filename)})`], nobody)
      .status === 0;
  test("a folder that may not be read is a problem", { skip: !canRun && "no other account can run this" }, () => {
    const path = folder("forbidden", { "open/a.txt": "", "shut/b.txt": "" });
    execFileSync("chmod", ["755", root, path, join(path, "open")]);
    execFileSync("chmod", ["700", join(path, "shut")]);
    if (process.getuid?.() !== 0) execFileSync("chmod", ["000", join(path, "shut")]);
    const script = `
      import { fsSource } from ${JSON.stringify(new URL("../../src/adapters/source/fs.ts", import.meta.url).href)};
      const options = { folders: [""], hidden: true, isDone: () => false, signal: new AbortController().signal };
      const walk = fsSource({ root: ${JSON.stringify(path)} }).walk(options);
      console.log(JSON.stringify(await Array.fromAsync(walk)));`;
    const ran = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8", ...nobody });
    const listings = JSON.parse(ran.stdout) as readonly Listing[];
    execFileSync("chmod", ["700", join(path, "shut")]);
    assert.deepEqual(problemsOf(listings), [hint("shut", "the server may not read it")]);
    assert.deepEqual(
      entriesOf(listings)
        .map((entry) => entry.path)
        .toSorted(),
      ["open", "open/a.txt", "shut"],
    );
  });

  test("a random tree is listed as find(1) sees it", async (t) => {
    const random = seededRandom(t);
    const path = folder("random");
    const folders = [path];
    for (let n = 0; n < 400; n++) {
      const parent = folders[random(folders.length)] ?? path;
      const name = join(parent, `${random(2) === 0 ? "." : ""}n${n}${["", " ", "\n", "é"][random(4)]}`);
      if (existsSync(name)) continue;
      const kind = random(4);
      if (kind === 0) folders.push(name);
      if (kind === 0) mkdirSync(name);
      else if (kind === 1) symlinkSync(folders[random(folders.length)] ?? path, name);
      else writeFileSync(name, "x".repeat(random(100)));
    }
    const found = execFileSync("find", [path, "-mindepth", "1", "-printf", "%y %P %s\\0"], { encoding: "utf8" });
    const letters = { file: "f", folder: "d", link: "l", other: "?" };
    const ours = entriesOf(await walkAll(fsSource({ root: path })));
    assert.deepEqual(
      ours
        .map((entry) => `${letters[entry.kind]} ${entry.path} ${entry.kind === "file" ? entry.sizeBytes : ""}`)
        .sort(),
      found
        .split("\0")
        .slice(0, -1)
        .map((line) => (line.startsWith("f") ? line : line.replace(/\d+$/, "")))
        .sort(),
    );
  });
});
