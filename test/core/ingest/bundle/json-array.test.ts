import assert from "node:assert/strict";
import { test } from "node:test";
import { AppError } from "../../../../src/core/errors.ts";
import { jsonArrayElements } from "../../../../src/core/ingest/bundle/json-array.ts";
import { assertGrowsLinearly } from "../../../support/growth.ts";
import { seededRandom } from "../../../support/random.ts";
import { chunked } from "../../../support/tars.ts";

async function elements(text: string | Uint8Array, chunkSize?: number): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const element of jsonArrayElements(chunked(Buffer.from(text as string), chunkSize))) found.push(element);
  return found;
}

async function failure(text: string | Uint8Array, chunkSize?: number): Promise<AppError> {
  const error = await elements(text, chunkSize).then(
    () => assert.fail(`read without an error: ${text}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof AppError, String(error));
  return error;
}

const AWKWARD = ` [ {"a": "]}[{,\\"\\\\", "b\\u005d": [1, [2, {"c": "é漢🚢"}]]},
  [], {}, "x,y]", "\\\\", "\\"",\t-1.5e3 ,true,false,null,[[[]]], "" ]\r\n `;

test("elements are the same as JSON.parse finds, wherever the stream is cut", async () => {
  const whole = JSON.parse(AWKWARD);
  for (let size = 1; size <= Buffer.byteLength(AWKWARD); size++)
    assert.deepEqual(await elements(AWKWARD, size), whole, `chunks of ${size}`);
});

test("an empty array has no elements, and a byte order mark is no part of the document", async () => {
  assert.deepEqual(await elements("[]"), []);
  assert.deepEqual(await elements(" [ \n ] "), []);
  assert.deepEqual(await elements("\ufeff[1]", 1), [1]);
});

test("a document that is JSON but no array is told from one that is no JSON", async () => {
  for (const text of ["{}", '"text"', "12", "-1", "true", "null", ' {"a": [1]}'])
    assert.equal((await failure(text)).code, "metadata_invalid", text);
  for (const text of ["", "   ", "<xml/>", "]", ",", "'a'", "[", "[1", "[1,", "[{", '["', "[1]]", "[1],", "[] []"])
    assert.equal((await failure(text)).code, "metadata_not_json", text);
});

test("a fault names its line and column, or those of the element it is in", async () => {
  const at = async (text: string) => {
    for (const size of [1, 3, 1000]) {
      const { code, details } = await failure(text, size);
      assert.equal(code, "metadata_not_json");
      if (size === 1000) return [details.line, details.column];
    }
    return [];
  };
  assert.deepEqual(await at("x"), [1, 1]);
  assert.deepEqual(await at("[1,\n ,2]"), [2, 2]);
  assert.deepEqual(await at("[1,\n2,\n]"), [3, 1]);
  assert.deepEqual(await at('[{"a": 1},\n  {"a": 1 "b": 2}]'), [2, 11]);
  assert.deepEqual(await at('[{"a": 1},\n  {"a": 1,\n   "b" 2}]'), [3, 8]);
  assert.deepEqual(await at('[{"é漢": 1}, {"a": x}]'), [1, 13]);
  assert.deepEqual(await at('[{"a": 1}'), [1, 10]);
  assert.deepEqual(await at("[1]\n\n!"), [3, 1]);
});

test("text that is not UTF-8 is no JSON", async () => {
  for (const bytes of [
    Buffer.from('["\xff"]', "latin1"),
    Buffer.from('["\xed\xa0\x80"]', "latin1"),
    Buffer.from('["é"').subarray(0, 3),
  ])
    for (const size of [1, 100]) {
      const { code, details } = await failure(bytes, size);
      assert.deepEqual([code, details.expected], ["metadata_not_json", "UTF-8 text"]);
    }
});

test("an element of more than a million characters is refused without waiting for its end", async () => {
  let given = 0;
  async function* endless() {
    yield Buffer.from('[\n {"a": "');
    for (;;) {
      given += 65_536;
      yield Buffer.alloc(65_536, "x");
    }
  }
  await assert.rejects(jsonArrayElements(endless()).next(), (error: AppError) => {
    assert.deepEqual([error.code, error.details.line, error.details.column], ["metadata_invalid", 2, 2]);
    return true;
  });
  assert.ok(given < 2 * 1024 ** 2);
});

test("a string of nothing but backslashes costs linear time", async () => {
  await assertGrowsLinearly(60_000, async (length) => {
    const text = `[${JSON.stringify("\\".repeat(length))}]`;
    assert.equal(String((await elements(text))[0]).length, length);
  });
});

test("thousands of random documents are read as JSON.parse reads them, and damaged ones refused as it refuses them", async (t) => {
  const pick = seededRandom(t);
  const TEXTS = ["", "a", '"', "\\", "]", "},{", "é", "🚢", "\n", "\u0000", "[[", '\\"'];
  const value = (depth: number): unknown => {
    const kind = pick(depth > 3 ? 4 : 6);
    if (kind === 0) return TEXTS[pick(TEXTS.length)];
    if (kind === 1) return pick(10 ** 9) / 10 ** pick(10);
    if (kind === 2) return pick(2) === 1;
    if (kind === 3) return null;
    const inner = Array.from({ length: pick(4) }, () => value(depth + 1));
    return kind === 4 ? inner : Object.fromEntries(inner.map((one, i) => [`${TEXTS[pick(TEXTS.length)]}${i}`, one]));
  };
  for (let round = 0; round < 3_000; round++) {
    let text = JSON.stringify(
      Array.from({ length: pick(6) }, () => value(0)),
      null,
      pick(3),
    );
    if (round % 2) {
      const at = pick(text.length);
      const damage = ["", "]", "[", "{", "}", '"', ",", "\\", "0", " ", "\n", "x"][pick(12)] ?? "";
      text = (text.slice(0, at) + damage + text.slice(at + pick(3))).toWellFormed();
    }
    let expected: unknown;
    try {
      expected = JSON.parse(text);
    } catch {
      expected = undefined;
    }
    const what = `round ${round}: ${text}`;
    const found = await elements(text, 1 + pick(20)).catch((error: unknown) => {
      assert.ok(error instanceof AppError, `${what}: ${error}`);
      return undefined;
    });
    assert.deepEqual(found, Array.isArray(expected) ? expected : undefined, what);
  }
});
