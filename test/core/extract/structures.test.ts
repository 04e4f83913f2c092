import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { extractor as generic } from "../../../src/core/extract/extractors/generic.ts";
import { extractor as json } from "../../../src/core/extract/extractors/json.ts";
import { extractor as keywords } from "../../../src/core/extract/extractors/keyword-text.ts";
import { extractor as xml } from "../../../src/core/extract/extractors/xml.ts";
import { without } from "../../support/tools.ts";
import { describing } from "./records.ts";

/** Depth and leaves of a parsed document: what JSON.parse says of the same text. */
function walked(value: unknown): { depth: number; leaves: number } {
  if (value === null || typeof value !== "object") return { depth: 0, leaves: 1 };
  const below = Object.values(value).map(walked);
  return {
    depth: 1 + Math.max(0, ...below.map(({ depth }) => depth)),
    leaves: below.reduce((sum, { leaves }) => sum + leaves, 0),
  };
}

test("JSON: every path, with the types found there, and arrays at the top", async (t) => {
  const { describe } = await describing(t, json);
  const { data } = await describe('[{"a": 1, "b/c": [1.5, "x"]}, {"a": null}]');
  assert.equal(data.topLevel, "array");
  assert.equal(data.maxDepth, 3);
  assert.deepEqual(data.paths, [
    { path: "/*", count: 2, types: { object: 2 } },
    { path: "/*/a", count: 2, types: { integer: 1, null: 1 } },
    { path: "/*/b~1c", count: 1, types: { array: 1 } },
    { path: "/*/b~1c/*", count: 2, types: { number: 1, string: 1 } },
  ]);
});

test("JSON: depth and leaves are those that JSON.parse finds, in files of this project", async (t) => {
  const { describe } = await describing(t, json);
  for (const file of ["package.json", "package-lock.json", "openapi.json", "tsconfig.json"]) {
    const text = await readFile(new URL(`../../../${file}`, import.meta.url));
    const { data, problems } = await describe(text, file);
    const { depth, leaves } = walked(JSON.parse(text.toString("utf8")));
    const { object = 0, array = 0, ...others } = data.values as Record<string, number>;
    assert.deepEqual(problems, []);
    assert.equal(data.maxDepth, depth, file);
    assert.equal(
      Object.values(others).reduce((sum, count) => sum + count, 0),
      leaves,
      file,
    );
    assert.ok(object > 0 && array >= 0);
  }
});

test("JSON: lines are documents, escapes are read, and UTF-16 is JSON too", async (t) => {
  const { describe } = await describing(t, json);
  assert.equal((await describe('{"a":1}\n{"a":2}\n')).data.documents, 2);
  assert.deepEqual((await describe('"caf\\u00e9 \\ud83d\\ude00"')).data.text, "café 😀");
  const utf16 = Buffer.from('\ufeff{"é":true}', "utf16le");
  assert.deepEqual((await describe(utf16)).data.paths, [{ path: "/é", count: 1, types: { boolean: 1 } }]);
});

for (const bad of [
  "",
  "{",
  '{"a"}',
  '{"a":1,}',
  "[1 2]",
  "[1,]",
  "nul",
  "01",
  "[1}",
  '"\\x"',
  '{"a":1}}',
  "[".repeat(20_000),
])
  test(`JSON: ${JSON.stringify(bad.slice(0, 12))} is told to be malformed`, async (t) => {
    const { describe } = await describing(t, json);
    // JSON.parse is the oracle, but for depth, which it does not bound.
    if (bad.length < 100) assert.throws(() => JSON.parse(bad), SyntaxError);
    assert.deepEqual(
      (await describe(bad)).problems.map(({ code }) => code),
      ["content_malformed"],
    );
  });

test("JSON: a hundred thousand paths and a key of a megabyte take little memory", async (t) => {
  const { describe } = await describing(t, json);
  const many = `{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":${i}`).join(",")},"${"x".repeat(1_000_000)}":1}`;
  const { data } = await describe(many);
  assert.equal(data.morePaths, true);
  assert.equal((data.paths as readonly unknown[]).length, 2000);
  assert.equal((data.values as Record<string, number>).integer, 100_001);
});

test("XML: root, namespaces, depth and paths", async (t) => {
  const { describe } = await describing(t, xml);
  const { data, problems } = await describe(
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "<b>]>">]>\n<r xmlns="urn:x" xmlns:y="urn:y"><y:i n=\'1\'/><y:i>t&amp;u<![CDATA[<v>]]]></y:i><!-- -- --></r>'.replace(
      "<!-- -- -->",
      "<!-- c > -->",
    ),
  );
  assert.deepEqual(problems, []);
  assert.equal(data.root, "r");
  assert.equal(data.documentType, "r");
  assert.deepEqual(data.namespaces, { "": "urn:x", y: "urn:y" });
  assert.equal(data.entitiesDeclared, 1);
  assert.equal(data.maxDepth, 2);
  assert.deepEqual(data.paths, [
    { path: "/r", count: 1 },
    { path: "/r/@xmlns", count: 1 },
    { path: "/r/@xmlns:y", count: 1 },
    { path: "/r/y:i", count: 2 },
    { path: "/r/y:i/@n", count: 1 },
  ]);
});

test("XML: a bomb of entities is counted, not expanded", async (t) => {
  const { describe } = await describing(t, xml);
  const levels = Array.from({ length: 10 }, (_, i) => `<!ENTITY e${i + 1} "${`&e${i};`.repeat(10)}">`).join("");
  const { data, problems } = await describe(`<!DOCTYPE x [<!ENTITY e0 "boom">${levels}]><x>&e10;</x>`);
  assert.deepEqual(problems, []);
  assert.equal(data.entitiesDeclared, 11);
  assert.equal(data.text, "");
});

for (const [what, bad] of [
  ["no element", "<!-- only -->"],
  ["tags that cross", "<a><b></a></b>"],
  ["an open element", "<a>"],
  ["two roots", "<a/><b/>"],
  ["text behind the root", "<a/>x"],
  ["an attribute twice", '<a b="1" b="2"/>'],
  ["an attribute without quotes", "<a b=1/>"],
  ["a lone ampersand", "<a>x & y</a>"],
  ["< in an attribute", '<a b="<"/>'],
  ["an open comment", "<a><!-- </a>"],
  ["elements without end", "<a>".repeat(20_000)],
] as const)
  test(`XML: ${what} is told to be malformed`, async (t) => {
    const { describe } = await describing(t, xml);
    assert.deepEqual(
      (await describe(bad)).problems.map(({ code }) => code),
      ["content_malformed"],
    );
  });

test("keywords: what a text is about, by its phrases", async (t) => {
  const { describe } = await describing(t, keywords);
  const { data } = await describe(
    "The linear constraints are solved. Systems of linear constraints, and minimal sets of solutions: the linear constraints again.",
  );
  const [first] = data.phrases as readonly { phrase: string; count: number; score: number }[];
  // By hand, after Rose et al.: both words have degree 6 and frequency 3, so 2 + 2; by the root of its 3 occurrences.
  assert.deepEqual(first, { phrase: "linear constraints", score: 6.928, count: 3 });
  assert.equal(data.words, 18);
});

test("keywords: a text cut into pieces anywhere has the same ones", async (t) => {
  const { describe } = await describing(t, keywords);
  const sentence = "Atmospheric pressure gradients drive geostrophic winds; ";
  const once = (await describe(sentence)).data.phrases as readonly { phrase: string }[];
  // Longer than a chunk, whose end then falls within words.
  const many = (await describe(sentence.repeat(20_000))).data.phrases as readonly { phrase: string; count: number }[];
  assert.deepEqual(
    many.map(({ phrase }) => phrase),
    once.map(({ phrase }) => phrase),
  );
  assert.ok(many.every(({ count }) => count === 20_000));
});

test("generic: digest, size and lines of any file", async (t) => {
  const { describe } = await describing(t, generic);
  const content = "one\ntwo\nthree";
  const { data } = await describe(content, "a/b.TXT");
  const sha256 = createHash("sha256").update(content).digest("hex");
  assert.deepEqual(data, {
    mediaType: "text/plain",
    extension: "txt",
    sizeBytes: 13,
    sha256,
    encoding: "utf-8",
    lines: 3,
  });
  assert.equal((await describe(Buffer.of(0, 1, 2))).data.lines, null);
  assert.equal((await describe("")).data.mediaType, "inode/x-empty");
});

test("the digest is the one that sha256sum gives", {
  skip: without("sha256sum", ["sha256sum", "--version"], "coreutils"),
}, async (t) => {
  const { describe } = await describing(t, generic);
  const path = new URL("../../../package-lock.json", import.meta.url).pathname;
  const [expected] = execFileSync("sha256sum", [path], { encoding: "utf8" }).split(" ");
  assert.equal((await describe(await readFile(path))).data.sha256, expected);
});
