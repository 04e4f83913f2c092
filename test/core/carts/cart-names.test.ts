import assert from "node:assert/strict";
import { test } from "node:test";
import { cartNames, explicitPath, safePart } from "../../../src/core/carts/cart-names.ts";

/** Each path for a file of its own. */
function named(...wanted: readonly string[]): (string | undefined)[] {
  const names = cartNames();
  return wanted.map((path, file) => names.choose(path, String(file)));
}

test("a path that is safe stays as it is", () => {
  const paths = ["a.txt", "b/c d/e.tar.gz", ".hidden", "漢/Ü 🚢.txt", "x/-rf", "~", "a'b&c;d"];
  assert.deepEqual(named(...paths), paths);
});

// What Windows does not take: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
test("what some file system does not take is replaced, and the rest of the name stays readable", () => {
  const cases: Record<string, string> = {
    'a<b>c:d"e|f?g*h.txt': "a_b_c_d_e_f_g_h.txt",
    "back\\slash\\..\\x": "back_slash_.._x",
    "line\nfeed\r\t\u0000\u007f\u0085": "line_feed_____",
    "right-to-left\u202egpj.exe": "right-to-left_gpj.exe",
    "dots...": "dots",
    "blank ": "blank",
    "a. /b": "a/b",
    "con/AUX.txt/com1.tar.gz/nul": "_con/_AUX.txt/_com1.tar.gz/_nul",
    "console/aux2": "console/aux2",
    "half a pair \ud83d": "half a pair \ufffd",
  };
  for (const [wanted, expected] of Object.entries(cases)) assert.deepEqual(named(wanted), [expected]);
});

test("nothing climbs out of the folder, whatever is asked for", () => {
  assert.deepEqual(named("../../etc/passwd", "./a//b/./c", "/x/..."), ["_/_/etc/passwd", "a/b/c", "x/_"]);
  assert.deepEqual(named("..", "/", ""), ["_", "_ (2)", "_ (3)"]);
});

test("of names that clash the first stays and the others are numbered before their extension", () => {
  assert.deepEqual(named("a.txt", "a.txt", "a (2).txt", "a.txt", "d/a.txt", "noext", "noext", ".rc", ".rc"), [
    "a.txt",
    "a (2).txt",
    "a (2) (2).txt",
    "a (3).txt",
    "d/a.txt",
    "noext",
    "noext (2)",
    ".rc",
    ".rc (2)",
  ]);
});

test("names clash where case or normalisation is ignored", () => {
  assert.deepEqual(named("Straße.txt", "STRASSE.TXT", "é", "e\u0301", "ﬁ", "FI"), [
    "Straße.txt",
    "STRASSE (2).TXT",
    "é",
    "e\u0301 (2)",
    "ﬁ",
    "FI (2)",
  ]);
});

test("names that become alike by being made safe are told apart", () => {
  assert.deepEqual(named("a:b", "a?b", "a_b"), ["a_b", "a_b (2)", "a_b (3)"]);
});

test("a folder and a file of one name are told apart, whichever comes first", () => {
  assert.deepEqual(named("a/x", "A", "b", "b/x", "B/y", "b/x"), [
    "a/x",
    "A (2)",
    "b",
    "b (2)/x",
    "b (2)/y",
    "b (2)/x (2)",
  ]);
});

test("the same file at the same path is taken once, also where it had to be renamed", () => {
  const names = cartNames();
  assert.equal(names.choose("a", "1"), "a");
  assert.equal(names.choose("a", "1"), undefined);
  assert.equal(names.choose("a", "2"), "a (2)");
  assert.equal(names.choose("a", "2"), undefined);
  assert.equal(names.choose("b", "2"), "b");
  assert.equal(names.choose("A", "1"), "A (3)");
});

test("a part is cut to 255 bytes between characters, and keeps its number and extension", () => {
  const long = `${"漢".repeat(100)}.json`;
  const [first = "", second = ""] = named(long, long);
  assert.match(first, /^漢+\.json$/);
  assert.match(second, /^漢+ \(2\)\.json$/);
  // 3 bytes a character (UTF-8, U+6F22): 83 of them and 5 bytes are 254; 82 and 9 are 255.
  assert.deepEqual([Buffer.byteLength(first), Buffer.byteLength(second)], [254, 255]);
  assert.equal(safePart("x".repeat(300)), "x".repeat(255));
  assert.equal(Buffer.byteLength(safePart(`a.${"x".repeat(300)}`)), 255);
});

test("every name of many is unlike every other, also on a file system that ignores case", () => {
  const parts = ["a", "A", "b.x", "B.x", "é", "e\u0301", "con", "a (2)", "..", "c:"];
  const wanted = Array.from({ length: 30_000 }, (_, n) =>
    [n % 7, n % 11, n % 13, n % 10]
      .slice(n % 4)
      .map((i) => parts[i % parts.length])
      .join("/"),
  );
  const found = named(...wanted);
  // By the locale's own comparison of letters, not by ours.
  const key = (path: string | undefined) => path?.normalize("NFC").toLocaleLowerCase("en");
  assert.equal(new Set(found.map(key)).size, 30_000);
  const folders = new Set(
    found.flatMap((path) =>
      path
        ?.split("/")
        .slice(0, -1)
        .map((_, i, all) => key(all.slice(0, i + 1).join("/"))),
    ),
  );
  assert.deepEqual(
    found.filter((path) => folders.has(key(path))),
    [],
  );
});

test("a hundred thousand files of one name take no longer than as many of their own", () => {
  const names = cartNames();
  for (let n = 1; n <= 100_000; n++) names.choose("same.txt", String(n));
  assert.equal(names.choose("same.txt", "last"), "same (100001).txt");
});

test("a written path loses one slash at its beginning; what is not usable is refused", () => {
  assert.equal(explicitPath("/a/b"), "a/b");
  assert.equal(explicitPath("a//./b"), "a//./b");
  assert.equal(explicitPath("..a/b.."), "..a/b..");
  for (const path of ["", "/", "//a", "a/", "a/.", ".", "..", "a/../b", "../a", "a\0b", "x".repeat(5_000)])
    assert.equal(explicitPath(path), undefined, JSON.stringify(path));
});
