import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseQuery, printQuery } from "../../../src/core/catalogue/query.ts";
import type { Query } from "../../../src/core/catalogue/search-index.ts";
import { wordsOf } from "../../../src/core/catalogue/words.ts";
import { AppError } from "../../../src/core/errors.ts";
import { seededRandom } from "../../support/random.ts";

const word = (text: string): Query => ({ word: text, isPrefix: false });
const KIB = 1024;

describe("parseQuery", () => {
  const cases: Readonly<Record<string, Query | undefined>> = {
    "": undefined,
    "  ": undefined,
    "raw data": { all: [word("raw"), word("data")] },
    "raw AND data": { all: [word("raw"), word("data")] },
    '"Raw  Data"': { phrase: ["raw", "data"] },
    '"OR"': { phrase: ["or"] },
    "spec*": { word: "spec", isPrefix: true },
    ORchid: word("ORchid"),
    "12:30": word("12:30"),
    "a b OR c": { any: [{ all: [word("a"), word("b")] }, word("c")] },
    "a (b OR c)": { all: [word("a"), { any: [word("b"), word("c")] }] },
    "((a)) b": { all: [word("a"), word("b")] },
    "-a -(b c)": { all: [{ not: word("a") }, { not: { all: [word("b"), word("c")] } }] },
    "type:image": { field: "type", is: "image", isPrefix: false },
    'project:"a b"': { field: "project", is: "a b", isPrefix: false },
    'project:"say \\"a\\""': { field: "project", is: 'say "a"', isPrefix: false },
    "path:raw/2024*": { field: "path", is: "raw/2024", isPrefix: true },
    'path:"raw data"*': { field: "path", is: "raw data", isPrefix: true },
    "width:*": { field: "width", is: "", isPrefix: true },
    "width:>1000": { field: "width", from: 1000, fromIn: false, untilIn: false },
    "width:>=1e3": { field: "width", from: 1000, fromIn: true, untilIn: false },
    "width:<-2.5": { field: "width", until: -2.5, fromIn: false, untilIn: false },
    "width:<=5": { field: "width", until: 5, fromIn: false, untilIn: true },
    "width:10..20": { field: "width", from: 10, until: 20, fromIn: true, untilIn: true },
    "width:10<..<20": { field: "width", from: 10, until: 20, fromIn: false, untilIn: false },
    "width:10..": { field: "width", from: 10, fromIn: true, untilIn: false },
    "width:..20": { field: "width", until: 20, fromIn: false, untilIn: true },
    "size:>1GiB": { field: "size", from: KIB ** 3, fromIn: false, untilIn: false },
    "size:2kB..1.5MiB": { field: "size", from: 2000, until: 1.5 * KIB ** 2, fromIn: true, untilIn: true },
    // A date is a stretch of time: after June is from July on.
    "created:2024-01..2024-06": range("created", Date.UTC(2024, 0), Date.UTC(2024, 6)),
    "created:2024": range("created", Date.UTC(2024, 0), Date.UTC(2025, 0)),
    "created:2024-02-29": range("created", Date.UTC(2024, 1, 29), Date.UTC(2024, 2, 1)),
    "created:2024-02-29T23:59Z": range("created", Date.UTC(2024, 1, 29, 23, 59), Date.UTC(2024, 2, 1)),
    "created:>2024": { field: "created", from: Date.UTC(2025, 0), fromIn: true, untilIn: false },
    "created:<=2024-12": { field: "created", until: Date.UTC(2025, 0), fromIn: false, untilIn: false },
    // Four digits are a year where times are asked for, and a number elsewhere.
    "width:>2024": { field: "width", from: 2024, fromIn: false, untilIn: false },
    "project:2024-01": { field: "project", is: "2024-01", isPrefix: false },
  };
  for (const [text, expected] of Object.entries(cases)) {
    test(`understands ${JSON.stringify(text)}`, () => assert.deepEqual(parseQuery(text), expected));
  }

  const refusals: Readonly<Record<string, readonly [column: number, expected: RegExp]>> = {
    "a OR": [5, /something to find/],
    "OR a": [1, /something to find/],
    "a AND": [6, /after AND/],
    "a -": [4, /right after -/],
    "a - b": [4, /right after -/],
    "(a": [3, /\) for the \( in column 1/],
    "()": [2, /something to find/],
    "a)": [2, /no \) without its \(/],
    'a "b': [3, /" at the end/],
    'a "b\\': [3, /" at the end/],
    '"--"': [1, /a letter or a digit between the quotes/],
    "…": [1, /a word with a letter or a digit/],
    "sp*c": [3, /\* at the end of a word only/],
    "a type:": [8, /a value right after type:/],
    'type:" "': [6, /a value between the quotes/],
    "width:>big": [8, /a number, a size or a date/],
    "width:1..b": [10, /a number, a size or a date/],
    "width:..": [7, /before or after \.\./],
    "width:20..10": [11, /an end that is not before the beginning/],
    "width:>1e999": [8, /a number/],
    "created:2023-02-29": [9, /a date/],
    "created:2024-13": [9, /a date/],
    // Columns are counted in characters, not in UTF-16 units.
    "𝒳𝒳 )": [4, /no \) without/],
    [`${"(".repeat(13)}a${")".repeat(13)}`]: [14, /at most 12 parentheses/],
    [`${"-".repeat(13)}a`]: [14, /at most 12 parentheses/],
    ["a ".repeat(201)]: [401, /at most 200 things/],
    ["a".repeat(4001)]: [4001, /at most 4000 characters/],
  };
  for (const [text, [column, expected]] of Object.entries(refusals)) {
    test(`refuses ${JSON.stringify(text.slice(0, 30))} in column ${column}`, () => {
      assert.throws(
        () => parseQuery(text),
        (error) => {
          assert.ok(error instanceof AppError);
          assert.equal(error.code, "query_invalid");
          assert.equal(error.details.column, column);
          assert.match(String(error.details.expected), expected);
          return true;
        },
      );
    });
  }

  test("any text is a query or an error with a column, and a query printed and parsed is the same", (t) => {
    const below = seededRandom(t);
    const scraps = ["a", "Ünï", "漢字", " ", " ", "OR", "AND", "-", "(", ")", '"', "\\", ":", "x:", "created:"];
    scraps.push(
      "*",
      "..",
      "<..",
      ">",
      "<=",
      "12",
      "2024",
      "2024-02",
      "1GiB",
      "1e",
      ".",
      "é\u0301",
      "\0",
      "\ud800",
      "🙂",
      "½",
      "ﷺ",
    );
    let understood = 0;
    for (let i = 0; i < 20_000; i++) {
      const text = Array.from({ length: below(9) }, () => scraps[below(scraps.length)]).join("");
      const query = parsedOrColumn(text);
      if (query === undefined) continue;
      understood += 1;
      assert.deepEqual(parseQuery(printQuery(query)), query, JSON.stringify(text));
    }
    assert.ok(understood > 1000, `only ${understood} of the texts were queries`);
  });
});

test("printing any query gives a text that parses to an equal one", (t) => {
  const below = seededRandom(t);
  for (let i = 0; i < 5000; i++) {
    const query = randomQuery(below, 3);
    assert.deepEqual(parseQuery(printQuery(query)), query, printQuery(query));
  }
});

test("words are the same without regard to accents, case and ways of writing", () => {
  const folded = (text: string) => [...wordsOf(text)].map((found) => found.folded);
  assert.deepEqual(folded("Ångström A\u030Angstro\u0308m ANGSTROM"), ["angstrom", "angstrom", "angstrom"]);
  assert.deepEqual(folded("Straße STRASSE"), ["strasse", "strasse"]);
  assert.deepEqual(folded("ΟΔΟΣ οδος"), ["οδοσ", "οδοσ"]);
  assert.deepEqual(folded("smørrebrød Łódź ﬁle"), ["smorrebrod", "lodz", "file"]);
  assert.deepEqual(folded("İstanbul"), ["istanbul"]);
  // Vowel signs are not accents: की (of) is not क.
  assert.deepEqual(folded("की"), ["की"]);
});

test("words end at signs and spaces, and every Chinese character is one", () => {
  const found = (text: string) => [...wordsOf(text)].map(({ start, end }) => text.slice(start, end));
  assert.deepEqual(found("data/run-1_raw.txt (v2)"), ["data", "run", "1", "raw", "txt", "v2"]);
  assert.deepEqual(found("光譜data測"), ["光", "譜", "data", "測"]);
  assert.deepEqual(found("-- … \0"), []);
});

function range(field: string, from: number, until: number): Query {
  return { field, from, until, fromIn: true, untilIn: false };
}

function parsedOrColumn(text: string): Query | undefined {
  try {
    return parseQuery(text);
  } catch (error) {
    assert.ok(error instanceof AppError && error.code === "query_invalid", `${JSON.stringify(text)}: ${String(error)}`);
    const column = Number(error.details.column);
    assert.ok(column >= 1 && column <= [...text].length + 1, `column ${column} of ${JSON.stringify(text)}`);
    return undefined;
  }
}

/** As `parseQuery` makes them: no part that is joined like the whole, at least two parts, words that are words. */
function randomQuery(below: (limit: number) => number, depth: number, inside?: "all" | "any"): Query {
  const pick = <T>(...choices: readonly [T, ...T[]]): T => choices[below(choices.length)] ?? choices[0];
  const kind = below(depth === 0 ? 4 : 7);
  const parts = (of: "all" | "any") => Array.from({ length: 2 + below(2) }, () => randomQuery(below, depth - 1, of));
  if (kind === 6) return { not: randomQuery(below, depth - 1) };
  if (kind === 5 && inside !== "all") return { all: parts("all") };
  if (kind === 4 && inside !== "any") return { any: parts("any") };
  if (kind === 3) return { phrase: pick(["raw", "data"], ["or"], ["光", "譜"], ["1"]) };
  const field = pick("type", "created", "größe", "a.b-c_1");
  if (kind === 2)
    return {
      field,
      ...pick({ is: "x" }, { is: "a b" }, { is: '"\\' }, { is: "1..2" }, { is: ">1" }, { is: "2024" }),
      isPrefix: pick(true, false),
    };
  if (kind === 1) return randomRange(below, field);
  return { word: pick("raw", "foo-bar.txt", "É1", "ORs", "12:30", "光譜"), isPrefix: pick(true, false) };
}

function randomRange(below: (limit: number) => number, field: string): Query {
  const numbers = [0, 0.1, -2.5, 2024, 1e21, 1e-7, 1704067200000, Number.MAX_VALUE, Number.MIN_VALUE];
  const [from = 0, until = 0] = [numbers[below(numbers.length)] ?? 0, numbers[below(numbers.length)] ?? 0].sort(
    (a, b) => a - b,
  );
  const isIn = () => below(2) === 1;
  const shape = below(3);
  if (shape === 0) return { field, from, fromIn: isIn(), untilIn: false };
  if (shape === 1) return { field, until, fromIn: false, untilIn: isIn() };
  return { field, from, until, fromIn: isIn(), untilIn: isIn() };
}
