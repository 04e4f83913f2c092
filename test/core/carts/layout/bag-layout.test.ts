import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { LayoutSpec } from "../../../../src/core/carts/layout/layout.ts";
import { expectedTree, missing, python, run, scratch, treeOf } from "../../../support/archive-readers.ts";
import { AWKWARD, cartOf, type LaidCart, SPEC, writeArchive } from "../../../support/layouts.ts";
import { without } from "../../../support/tools.ts";

const UNPACK = { tar: 'tar -xf "$0"', zip: 'unzip -q "$0"' };
const FORMATS = [
  { format: "tar", skip: missing.gnuTar },
  { format: "zip", skip: missing.unzip },
] as const;

/** Downloads a cart into a folder and unpacks it. @returns its top folder. */
async function unpacked(folder: string, spec: LayoutSpec, cart: LaidCart): Promise<string> {
  const archive = join(folder, `cart.${spec.format}`);
  await writeArchive(archive, spec, cart);
  run("sh", ["-c", UNPACK[spec.format], archive], folder);
  return join(folder, spec.folder);
}

const CART = cartOf(AWKWARD);

describe("a download with a manifest is checked by sha512sum -c in its own folder", () => {
  for (const { format, skip } of FORMATS)
    test(format, { skip: skip || missing.sha512sum }, async (t) => {
      const top = await unpacked(scratch(t), { ...SPEC, format, content: "manifest" }, CART);
      const checked = run("sha512sum", ["--strict", "-c", "manifest-sha512.txt"], top);
      assert.deepEqual(
        checked.trimEnd().split("\n"),
        AWKWARD.map(({ path }) => `data/${path}: OK`),
      );
      const { "manifest-sha512.txt": _, ...data } = treeOf(top);
      assert.deepEqual(data, expectedTree(AWKWARD, "data/"));
      // The other way round: what sha512sum writes of the files is the manifest.
      const paths = AWKWARD.map(({ path }) => `data/${path}`);
      assert.equal(readFileSync(join(top, "manifest-sha512.txt"), "utf8"), run("sha512sum", ["--", ...paths], top));
    });

  test("and a changed file is found", { skip: missing.gnuTar || missing.sha512sum }, async (t) => {
    const top = await unpacked(scratch(t), { ...SPEC, format: "tar", content: "manifest" }, CART);
    writeFileSync(join(top, "data/b"), "B");
    assert.throws(() => run("sha512sum", ["--quiet", "-c", "manifest-sha512.txt"], top), {
      stdout: "data/b: FAILED\n",
    });
  });
});

/**
 * RFC 8493 §3, "A complete bag" and "A valid bag", as a program of its own: declaration, every payload file listed and
 * every listed file there, every digest right, in the tag manifest too, and Payload-Oxum.
 */
const RFC_8493 = String.raw`
import hashlib, json, os, re, sys
os.chdir(sys.argv[1])
problems = []
def listed(name):
    found = {}
    for line in open(name, newline="", encoding="utf-8").read().split("\n")[:-1]:
        digest, path = re.fullmatch(r"([0-9a-f]{128})[ \t]+(.+)", line).groups()
        path = re.sub(r"%(0A|0D|25)", lambda code: chr(int(code[1], 16)), path)
        if path in found: problems.append("twice: " + path)
        found[path] = digest
    return found
def check(files):
    for path, digest in files.items():
        if hashlib.sha512(open(path, "rb").read()).hexdigest() != digest: problems.append("digest: " + path)
if open("bagit.txt", "rb").read() != b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n": problems.append("bagit.txt")
payload = listed("manifest-sha512.txt")
check(payload)
present = {os.path.join(top, name) for top, _, names in os.walk("data") for name in names}
problems += sorted("not listed or not there: " + path for path in present ^ set(payload))
tags = listed("tagmanifest-sha512.txt")
check(tags)
problems += sorted("tag file: " + name for name in set(tags) ^ {"bagit.txt", "bag-info.txt", "manifest-sha512.txt"})
info = dict(line.split(": ", 1) for line in open("bag-info.txt").read().splitlines())
if info.pop("Payload-Oxum") != "%d.%d" % (sum(map(os.path.getsize, payload)), len(payload)): problems.append("Payload-Oxum")
if info != {"Bagging-Date": "2026-03-04"}: problems.append("bag-info.txt")
print(json.dumps(problems))`;

describe("a bag is complete and valid by RFC 8493", () => {
  for (const { format, skip } of FORMATS)
    test(format, { skip: skip || missing.python }, async (t) => {
      const top = await unpacked(scratch(t), { ...SPEC, format, content: "bag" }, CART);
      assert.deepEqual(python(RFC_8493, top), []);
    });

  test("and to the checker a damaged one is not", { skip: missing.gnuTar || missing.python }, async (t) => {
    const top = await unpacked(scratch(t), { ...SPEC, format: "tar", content: "bag" }, CART);
    writeFileSync(join(top, "data/b"), "B");
    writeFileSync(join(top, "data/more"), "");
    writeFileSync(join(top, "bag-info.txt"), "Bagging-Date: 2026-03-04\nPayload-Oxum: 1.1\n");
    assert.deepEqual(python(RFC_8493, top), [
      "digest: data/b",
      "not listed or not there: data/more",
      "digest: bag-info.txt",
      "Payload-Oxum",
    ]);
  });

  const noBagit = without("bagit-python", ["python3", "-c", "import bagit"], "pip package bagit");
  for (const { format, skip } of FORMATS)
    test(`bagit-python, ${format}`, { skip: skip || noBagit }, async (t) => {
      // It does not decode the percent sign, which RFC 8493 §2.1.3 has encoded.
      const cart = cartOf(AWKWARD.filter(({ path }) => !path.includes("%")));
      const top = await unpacked(scratch(t), { ...SPEC, format, content: "bag" }, cart);
      run("python3", ["-m", "bagit", "--validate", top]);
    });
});

test("what a bag says of itself comes before the files", { skip: missing.bsdtar }, async (t) => {
  const folder = scratch(t);
  for (const format of ["tar", "zip"] as const) {
    const archive = join(folder, `cart.${format}`);
    await writeArchive(archive, { ...SPEC, format, content: "bag" }, cartOf([{ path: "file", content: "x" }]));
    assert.deepEqual(run("bsdtar", ["-tf", archive]).trimEnd().split("\n"), [
      "a cart/bagit.txt",
      "a cart/bag-info.txt",
      "a cart/manifest-sha512.txt",
      "a cart/tagmanifest-sha512.txt",
      "a cart/data/file",
    ]);
  }
});
