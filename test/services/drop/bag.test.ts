import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFile, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { readBag } from "../../../src/core/drop/bag.ts";
import { checksumAlgorithm, readChecksums } from "../../../src/core/drop/checksum-file.ts";
import { openDrop } from "../../support/dropping.ts";
import { without } from "../../support/tools.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const md5 = (text: string) => createHash("md5").update(text).digest("hex");
const DECLARED = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";

type Files = Readonly<Record<string, string>>;

/** As section 4.1 of RFC 8493 shows a basic bag. */
const BASIC: Files = {
  "bagit.txt": DECLARED,
  "manifest-sha256.txt": `${sha256("one")}  data/a\n${sha256("two")}  data/b c\n`,
  "data/a": "one",
  "data/b c": "two",
};

const problemsOf = async (files: Files, folders = ["data"]) =>
  (
    await readBag({
      sizes: new Map(Object.entries(files).map(([path, content]) => [path, Buffer.byteLength(content)])),
      folders: new Set(folders),
      text: async (path) => files[path] ?? "",
    })
  ).problems.map(({ code, path }) => [code, path]);

test("a bag is read as RFC 8493 has it", async () => {
  assert.deepEqual(await problemsOf(BASIC), []);
  const more = {
    "bag-info.txt": "Source-Organization: x\nPayload-Oxum: 6.2\n",
    "tagmanifest-md5.txt": `${md5(DECLARED)} bagit.txt\n`,
    "manifest-md5.txt": `${md5("one")} data/a\r${md5("two")}\tdata/b c`,
    "fetch.txt": "https://example.org/a 3 data/a\n",
  };
  assert.deepEqual(await problemsOf({ ...BASIC, ...more }), []);
  const empty = { "bagit.txt": DECLARED, "manifest-sha256.txt": "" };
  assert.deepEqual(await problemsOf(empty), [], "an empty payload");
});

test("each rule that a bag can break is told with the place", async () => {
  const without = (...names: string[]) =>
    Object.fromEntries(Object.entries(BASIC).filter(([name]) => !names.includes(name)));
  const line = (text: string): Files => ({
    ...BASIC,
    "manifest-sha256.txt": `${BASIC["manifest-sha256.txt"]}${text}\n`,
  });
  const broken: readonly (readonly [Files, string, string])[] = [
    [{ ...BASIC, "bagit.txt": `\ufeff${DECLARED}` }, "bag_invalid", "bagit.txt"],
    [{ ...BASIC, "bagit.txt": "BagIt-Version: 1.0\n" }, "bag_invalid", "bagit.txt"],
    [{ ...BASIC, "bagit.txt": DECLARED.replace("UTF-8", "UTF-16") }, "bag_invalid", "bagit.txt"],
    [{ ...BASIC, "bagit.txt": DECLARED.replace("1.0", "2.0") }, "bag_invalid", "bagit.txt"],
    [without("manifest-sha256.txt"), "bag_invalid", "manifest-sha512.txt"],
    [without("data/a"), "delivery_incomplete", "data/a"],
    [{ ...BASIC, "data/c": "unlisted" }, "delivery_unlisted", "data/c"],
    [{ ...BASIC, "manifest-md5.txt": `${md5("one")} data/a\n` }, "delivery_unlisted", "data/b c"],
    [line(`${sha256("x")}  ../../etc/passwd`), "bag_invalid", "manifest-sha256.txt, line 3"],
    [line(`${sha256("x")}  /etc/passwd`), "bag_invalid", "manifest-sha256.txt, line 3"],
    [line(`${sha256("x")}  data/../../x`), "bag_invalid", "manifest-sha256.txt, line 3"],
    [line(`${sha256("x")}  ~/x`), "bag_invalid", "manifest-sha256.txt, line 3"],
    [line(`${sha256("x")}  bagit.txt`), "bag_invalid", "manifest-sha256.txt, line 3"],
    [line(`${sha256("one")}  data/a`), "bag_invalid", "manifest-sha256.txt, line 3"],
    [line("abc  data/a"), "bag_invalid", "manifest-sha256.txt, line 3"],
    [{ ...BASIC, "bag-info.txt": "Payload-Oxum: 7.2" }, "bag_invalid", "bag-info.txt"],
    [{ ...BASIC, "fetch.txt": "https://example.org/d - data/d\n" }, "delivery_incomplete", "data/d"],
  ];
  for (const [files, code, path] of broken)
    assert.deepEqual(await problemsOf(files), [[code, path]], `${path} of ${JSON.stringify(files)}`);
  assert.deepEqual(await problemsOf(BASIC, []), [["bag_invalid", "data"]]);
});

test("paths in a manifest of version 1.0 are percent-encoded, and may be normalised otherwise than on disk", async () => {
  const files = {
    "bagit.txt": DECLARED,
    "manifest-sha256.txt": `${sha256("")}  data/a%0Ab%25\n${sha256("")}  data/e\u0301\n`,
    "data/a\nb%": "",
    "data/\u00e9": "",
  };
  assert.deepEqual(await problemsOf(files), []);
  const old = { ...BASIC, "bagit.txt": DECLARED.replace("1.0", "0.97"), "manifest-md5.txt": `${md5("one")} data/a` };
  assert.deepEqual(await problemsOf(old), [], "before 1.0, one manifest of several was enough");
});

test("bags that are delivered are judged whole: valid ones are archived, others quarantined", async (t) => {
  const fixture = await openDrop(t, { bag: "required" });
  for (const [path, content] of Object.entries(BASIC)) {
    await fixture.place(`good/${path}`, content);
    await fixture.place(`bad/${path}`, path === "data/a" ? "One" : content);
  }
  await fixture.place("plain/a", "no bag");
  const found = await fixture.settled("archived", "quarantined");
  assert.deepEqual(
    Object.values(found).map(({ name, state }) => [name, state]),
    [
      ["bad", "quarantined"],
      ["good", "archived"],
      ["plain", "quarantined"],
    ],
  );
  assert.match(found.bad?.note ?? "", /is not what its checksum says. \(path: bad\/data\/a; expected: sha256:/);
  assert.match(found.plain?.note ?? "", /bagit.txt/);
});

const withoutBagit = without("bagit.py", ["bagit.py", "--help"], "pip install bagit");

test("bags that the Library of Congress's bagit makes, and alters, are judged as it judges them", {
  skip: withoutBagit,
}, async (t) => {
  const fixture = await openDrop(t, { bag: "required" });
  const names = ["a", "100%25.txt", "two\nlines", "deep/er/e\u0301", "two  blanks"];
  const bags = ["whole", "altered", "missing", "unlisted", "tagged"];
  const made = await mkdtemp(join(tmpdir(), "longshore-bags-"));
  t.after(() => rm(made, { recursive: true }));
  for (const bag of bags)
    for (const name of names) {
      await mkdir(dirname(join(made, bag, name)), { recursive: true });
      await writeFile(join(made, bag, name), `${bag} ${name}`);
    }
  const folders = bags.map((bag) => join(made, bag));
  execFileSync("bagit.py", ["--quiet", "--sha512", "--md5", "--contact-name", "Ada", ...folders]);
  await writeFile(join(made, "altered/data/a"), "altereD a");
  await rm(join(made, "missing/data/a"));
  await writeFile(join(made, "unlisted/data/more"), "");
  await appendFile(join(made, "tagged/bag-info.txt"), "Contact-Name: Eve\n");
  const isValid = (folder: string) => spawnSync("bagit.py", ["--quiet", "--validate", folder]).status === 0;
  const judged = Object.fromEntries(bags.map((bag) => [bag, isValid(join(made, bag)) ? "archived" : "quarantined"]));
  assert.deepEqual(Object.values(judged), ["archived", ...bags.slice(1).map(() => "quarantined")]);
  for (const bag of bags) await cp(join(made, bag), join(fixture.folder, bag), { recursive: true });
  const found = await fixture.settled("archived", "quarantined");
  assert.deepEqual(Object.fromEntries(Object.values(found).map(({ name, state }) => [name, state])), judged);
});

test("lists of checksums are known by their names, and read as coreutils write them", () => {
  const names = { "a.MD5": "md5", "manifest-sha256.txt": "sha256", SHA512SUMS: "sha512", "md5sums.txt": "md5" };
  for (const [name, algorithm] of Object.entries(names)) assert.equal(checksumAlgorithm(name), algorithm, name);
  for (const name of ["md5.txt", "a.md5.gz", "tagmanifest-sha256.txt", "manifest-crc32.txt"])
    assert.equal(checksumAlgorithm(name), undefined, name);
  const hash = md5("");
  // $ touch 'a\b' $'new\nline'; md5sum 'a\b' $'new\nline' ./x; md5sum -b x; md5sum --tag x
  const text = `\\${hash}  a\\\\b\n\\${hash}  new\\nline\n${hash}  ./x\n${hash} *x\nMD5 (x) = ${hash}\n`;
  const { checksums, bad } = readChecksums(text, "md5");
  assert.deepEqual(
    checksums.map(({ path, value }) => [path, value]),
    ["a\\b", "new\nline", "x", "x", "x"].map((path) => [path, hash]),
  );
  assert.deepEqual(bad, []);
  const { bad: lines } = readChecksums(`${hash}\n\n${hash}ff  x\nMD5 (x) = ff\n`, "md5");
  assert.deepEqual(
    lines.map(({ line }) => line),
    [1, 3, 4],
  );
});
