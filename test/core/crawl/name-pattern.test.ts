import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compilePattern } from "../../../src/core/crawl/grouping/name-pattern.ts";
import { seededRandom } from "../../support/random.ts";

/** What the runtime's own engine says. */
function oracle(pattern: string, name: string): readonly (string | null)[] | undefined {
  const found = new RegExp(pattern, "u").exec(name);
  return found ? [...found].slice(1).map((value: string | undefined) => value ?? null) : undefined;
}

describe("name patterns", () => {
  test("they match as the runtime's own regular expressions do", () => {
    const patterns = [
      "^(?<sample>.+?)_(?<run>\\d{2,})(?:_rep(\\d))?\\.(tif|tiff|png)$",
      "([^_]*)_(.*)",
      "(\\p{Lu})(\\p{Ll}*)",
      "[\\w.\\-]+@([a-z])",
      "(a|ab)(c|bcd)(d*)",
      "(?:(a)|(b)|c)+",
      "(z)((a+)?(b+)?(c))*",
      "x*?y??$",
      "^$",
      "(\\u{1F600}|😀+)(.)",
      "\\x41\\.\\/",
      "a{0}b{2}c{1,2}?(c?)",
      "()|b",
    ];
    const names = [
      "s_01.tif",
      "My-s_123_rep4.tiff",
      "",
      "abcd",
      "acbcab",
      "zaacbbbcac",
      "a@b",
      "😀😀x",
      "A./",
      "bbccc",
      "Żółw.png",
    ];
    for (const pattern of patterns) {
      const { match } = compilePattern(pattern.replace(/\(\?<\w+>/g, "("));
      for (const name of names) assert.deepEqual(match(name), oracle(pattern, name), `${pattern} on ${name}`);
    }
  });

  test("so do random ones", (t) => {
    const random = seededRandom(t);
    const pick = (...choices: readonly string[]) => choices[random(choices.length)] ?? "";
    // Bodies of repetitions take at least one character: of empty rounds each engine has its own idea what they caught.
    function solid(depth: number): string {
      const atom = pick("a", "b", "[ab]", "[^a]", ".", "\\w");
      if (depth === 0) return atom;
      return pick(atom, `(${solid(depth - 1)}|${solid(depth - 1)})`, `(${solid(depth - 1)}${any(depth - 1)})`);
    }
    function any(depth: number): string {
      if (depth === 0) return pick("", "a", "b?", "c*");
      const repeated = `${solid(depth - 1)}${pick("*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?", "{2,}")}`;
      return pick(
        repeated,
        `${any(depth - 1)}${any(depth - 1)}`,
        `(${any(depth - 1)}|${solid(depth - 1)})`,
        `${any(depth - 1)}$`,
      );
    }
    let matched = 0;
    for (let round = 0; round < 3_000; round++) {
      const pattern = `${pick("", "", "^")}${any(3)}${solid(1)}${any(2)}`;
      const name = Array.from({ length: random(9) }, () => pick("a", "b", "c")).join("");
      const expected = oracle(pattern, name);
      assert.deepEqual(compilePattern(pattern).match(name), expected, `${pattern} on ${name}`);
      if (expected) matched++;
    }
    assert.ok(matched > 300, `only ${matched} matched`);
  });

  test("patterns over which backtracking takes for ever are matched like any other", () => {
    const name = `${"a".repeat(255)}!`;
    for (const pattern of ["^(a|a)*$", "^(a+)+$", "^(.*a){12}$", "^(a?){100}a{300}$", "^.*.*.*.*.*.*x$"])
      assert.equal(compilePattern(pattern).match(name), undefined);
    assert.deepEqual(compilePattern("^(a|a)*!$").match(name), ["a"]);
  });

  test("many groups, also such as catch nothing, take no more time than others", () => {
    const name = "a".repeat(255);
    const took = (pattern: string) => {
      const { match } = compilePattern(pattern);
      const begun = performance.now();
      for (let n = 0; n < 5; n++) assert.equal(match(name), undefined);
      return performance.now() - begun;
    };
    took(`${"a?".repeat(240)}b`); // what the runtime takes to warm up is not counted
    const plain = took(`${"(?:a?)".repeat(82)}b`);
    const captured = took(`(?:()){120}${"()".repeat(240)}b`);
    // Copying all captures at each of them took 600 times as long (measured 2026-11-22).
    assert.ok(captured < 20 * plain, `${captured} ms against ${plain} ms`);
  });

  test("what is no pattern, cannot be matched in linear time or is too large is refused", () => {
    const refused = [
      "(",
      "a{2,1}",
      "(?=a)b",
      "(?<!a)b",
      "(a)\\1",
      "(?<x>a)\\k<x>",
      "\\bword",
      "(?i:a)",
      "a{9999}",
      "((a{99}){99}){99}",
    ];
    for (const pattern of [...refused, "a".repeat(501), "(?<x>a)|(?<x>b)"])
      assert.throws(() => compilePattern(pattern), { code: "request_invalid" }, pattern);
  });
});
