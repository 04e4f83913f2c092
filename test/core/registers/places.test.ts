import assert from "node:assert/strict";
import { test } from "node:test";
import { csvLine, readCsv, withoutGuard } from "../../../src/core/registers/csv.ts";
import type { Entry } from "../../../src/core/registers/entry.ts";
import { filledArgument, filledPath, filledText } from "../../../src/core/registers/places.ts";

const entry = (fields: Entry["fields"]): Entry => ({
  register: "downloads",
  id: 7,
  owner: "ada",
  status: "Requested",
  version: 1,
  attempts: 0,
  reason: null,
  fields,
  job: null,
  settled: false,
  dueAt: null,
  createdAt: 0,
  updatedAt: 0,
});

test("places are filled with fields and with what every entry has; braces can be said", () => {
  const given = entry({ fname: "a.mkv", n: 3, list: [1], none: null });
  assert.equal(filledText("{fname} {n} {list} {none} {entry} {owner} {{x}}", given), "a.mkv 3 [1]  7 ada {x}");
});

test("a value is one plain name in a path, or several where that is said; of a date, a folder each", () => {
  const given = entry({ path: "ada/films", day: "2026-11-17" });
  assert.equal(filledPath("in/{path:folders}", given), "in/ada/films");
  assert.equal(filledPath("{day:folders}/x", given), "2026/11/17/x");
  assert.throws(() => filledPath("in/{path}", given), { code: "action_failed" });
});

test("no value leads out of a folder", () => {
  for (const path of ["..", ".", "", "../x", "a/../b", "/etc", "a//b", "a\\b", "a\0b", "a/", "x".repeat(256)])
    assert.throws(() => filledPath("in/{path:folders}", entry({ path })), { code: "action_failed" }, path);
});

test("no value becomes an option of a command; what stands behind other text is text", () => {
  const given = entry({ fname: "-rf" });
  assert.throws(() => filledArgument("{fname}", given, {}), { code: "action_failed" });
  assert.equal(filledArgument("name={fname}", given, {}), "name=-rf");
  assert.equal(filledArgument("{input}", given, { input: "/srv/-rf" }), "/srv/-rf");
});

test("CSV is read as it was written, whatever is in it", () => {
  const cells = ["plain", "", 'a "b"', "x,y", "line\nend", "cr\r\nlf", "=1+1", "'=1", "-5", " space ", "\t=x"];
  const [record, ...others] = readCsv(csvLine(cells));
  assert.deepEqual(record?.cells.map(withoutGuard), cells);
  assert.deepEqual(others, []);
});

test("CSV has any line ends, quotes and blank lines, and lines are counted as editors count them", () => {
  const found = [...readCsv('\ufeffa,b\n"1\n2",x\r\n\r\n"",\rlast,"q""q"')];
  assert.deepEqual(found, [
    { line: 1, cells: ["a", "b"] },
    { line: 2, cells: ["1\n2", "x"] },
    { line: 5, cells: ["", ""] },
    { line: 6, cells: ["last", 'q"q'] },
  ]);
  for (const text of ['a\n"b', 'a\n"b"c', 'a\nb"c'])
    assert.throws(() => [...readCsv(text)], {
      code: "request_invalid",
      details: { line: 2, expected: "CSV", found: text.slice(2) },
    });
});
