import assert from "node:assert/strict";
import { test } from "node:test";
import { membersOf, mergedObject, objectOf, selectedObject } from "../../../src/core/documents/json-object.ts";
import { seededRandom } from "../../support/random.ts";

/** JSON text with white space, escapes and nesting; no member twice, and no name that is a number. */
function randomJson(random: (below: number) => number, depth: number): string {
  const blank = () => ["", " ", "\n\t"][random(3)] ?? "";
  const string = () => JSON.stringify(["", "a", 'q"u', "\\", "{[,:]}", "é\u0000漢", "a.b"][random(7)]);
  const kind = random(depth > 0 ? 7 : 5);
  if (kind < 2) return string();
  if (kind === 2) return String(random(1_000) - 500);
  if (kind === 3) return ["true", "false", "null"][random(3)] ?? "";
  if (kind === 4) return "1.50e3";
  const parts = Array.from({ length: random(4) }, (_, i) => {
    const value = `${blank()}${randomJson(random, depth - 1)}${blank()}`;
    return kind === 5 ? value : `${blank()}"k${i}${["", "\\n", '\\"', "{"][random(4)]}"${blank()}:${value}`;
  });
  return kind === 5 ? `[${parts.join(",")}]` : `{${parts.join(",")}}`;
}

function randomObject(random: (below: number) => number): string {
  for (;;) {
    const text = randomJson(random, 4);
    if (text.startsWith("{")) return text;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The same as the text's, over parsed values: JSON.parse is the oracle. */
function merged(base: unknown, change: unknown): unknown {
  if (!isObject(base) || !isObject(change)) return change;
  const all = { ...base };
  for (const [name, value] of Object.entries(change)) all[name] = merged(base[name], value);
  return all;
}

test("members are those that JSON.parse finds, in their order, and put together again mean the same", (t) => {
  const random = seededRandom(t);
  for (let i = 0; i < 2_000; i++) {
    const text = randomObject(random);
    const parsed = JSON.parse(text) as Record<string, unknown>;
    const members = membersOf(text);
    assert.deepEqual([...members.keys()], Object.keys(parsed), text);
    for (const [name, value] of members) assert.deepEqual(JSON.parse(value), parsed[name], text);
    assert.deepEqual(JSON.parse(objectOf(members)), parsed, text);
  }
});

test("a change is put over an object as over its parsed value", (t) => {
  const random = seededRandom(t);
  for (let i = 0; i < 2_000; i++) {
    const [base, change] = [randomObject(random), randomObject(random)];
    const expected = merged(JSON.parse(base), JSON.parse(change));
    assert.deepEqual(JSON.parse(mergedObject(base, change)), expected, `${base} ← ${change}`);
  }
});

test("order and digits survive what parsing would lose", () => {
  const text = '{"b": 1.0, "2": 9007199254740993, "1": {"z": 1e400}, "__proto__": {"a": 1}}';
  assert.equal(
    mergedObject(text, '{"2":9007199254740995}'),
    '{"b":1.0,"2":9007199254740995,"1":{"z": 1e400},"__proto__":{"a": 1}}',
  );
  assert.equal(mergedObject(text, '{"__proto__":{"b":2}}').endsWith('"__proto__":{"a":1,"b":2}}'), true);
  assert.equal(objectOf(membersOf('{"a":1,"a":2,"b":3}')), '{"a":2,"b":3}');
});

test("only what is selected is left", () => {
  const text = '{"a":1,"b":{"c":2,"d":[{"e":3,"f":4},5]},"bc":{}}';
  const select = (includes: string[], excludes: string[] = []) => selectedObject(text, { includes, excludes });
  assert.equal(select([]), text);
  assert.equal(select(["a"]), '{"a":1}');
  assert.equal(select(["b"]), '{"b":{"c":2,"d":[{"e":3,"f":4},5]}}');
  assert.equal(select(["b*"]), '{"b":{"c":2,"d":[{"e":3,"f":4},5]},"bc":{}}');
  assert.equal(select(["b.c"]), '{"b":{"c":2}}');
  assert.equal(select(["b.d.e"]), '{"b":{"d":[{"e":3}]}}');
  assert.equal(select(["*.c"]), '{"b":{"c":2}}');
  assert.equal(select([], ["b.d", "bc"]), '{"a":1,"b":{"c":2}}');
  assert.equal(select(["b"], ["*.f"]), '{"b":{"c":2,"d":[{"e":3},5]}}');
  assert.equal(select(["none"]), "{}");
});
