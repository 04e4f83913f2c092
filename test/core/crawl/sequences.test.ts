import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { frameSequences } from "../../../src/core/crawl/grouping/sequences.ts";
import { seededRandom } from "../../support/random.ts";

const told = (names: readonly string[]) =>
  frameSequences(names).map(({ kind, files, details }) => ({ kind, names: files.map((file) => names[file]), details }));

describe("frame sequences", () => {
  test("frames are in the order of their numbers, and those that are missing are told", () => {
    assert.deepEqual(told(["s.0009.dpx", "s.0002.dpx", "s.0001.dpx", "s.0005.dpx", "s.dpx"]), [
      {
        kind: "sequence",
        names: ["s.0001.dpx", "s.0002.dpx", "s.0005.dpx", "s.0009.dpx"],
        details: {
          name: "s.%04d.dpx",
          first: 1,
          last: 9,
          missing: 5,
          gaps: [
            [3, 4],
            [6, 8],
          ],
        },
      },
      { kind: "file", names: ["s.dpx"], details: undefined },
    ]);
  });

  test("paddings are kept apart, and a padded number may outgrow its zeros", () => {
    const names = ["f.1.exr", "f.2.exr", "f.0001.exr", "f.0002.exr", "f.10000.exr", "f.01.exr"];
    assert.deepEqual(
      told(names).map(({ names: frames, details }) => [details?.name, frames]),
      [
        ["f.%d.exr", ["f.1.exr", "f.2.exr"]],
        ["f.%04d.exr", ["f.0001.exr", "f.0002.exr", "f.10000.exr"]],
        [undefined, ["f.01.exr"]],
      ],
    );
  });

  test("the number that counts is the last that tells files apart; endings have none, unless they are nothing else", () => {
    const sequences = (names: readonly string[]) => told(names).map(({ details }) => details?.name);
    assert.deepEqual(sequences(["scan_003_1024x768.png", "scan_004_1024x768.png"]), ["scan_%03d_1024x768.png"]);
    assert.deepEqual(sequences(["a_01_1.png", "a_01_2.png", "a_02_1.png", "a_02_2.png"]), [
      "a_01_%d.png",
      "a_02_%d.png",
    ]);
    assert.deepEqual(sequences(["clip.mp3", "clip.mp4"]), [undefined, undefined]);
    assert.deepEqual(sequences(["run.000", "run.001"]), ["run.%03d"]);
    assert.deepEqual(sequences(["one7.dpx", "two7.dpx"]), [undefined, undefined]);
    assert.deepEqual(sequences([`t${"1".repeat(40)}.dpx`, `t${"2".repeat(40)}.dpx`]), [undefined, undefined]);
  });

  test("whatever frames are there, each sequence has them all, and its gaps are the others", (t) => {
    const random = seededRandom(t);
    for (let round = 0; round < 100; round++) {
      const series = Array.from({ length: 1 + random(5) }, (_, n) => {
        const start = random(50);
        const numbers = Array.from({ length: 60 }, (_, at) => start + at).filter(() => random(3) > 0);
        // printf's own rule, from its documentation: at least so many digits, zeros in front.
        const width = random(2) === 0 ? 1 : 3 + random(3);
        return { head: `${"abcde"[n]}_`, numbers, width };
      }).filter(({ numbers }) => numbers.length > 1);
      const names = series.flatMap(({ head, numbers, width }) =>
        numbers.map((number) => `${head}${String(number).padStart(width, "0")}.dpx`),
      );
      const shuffled = names.map((name) => ({ name, at: random(1_000_000) })).sort((a, b) => a.at - b.at);
      const found = told(shuffled.map(({ name }) => name));
      assert.equal(found.length, series.length);
      for (const { head, numbers } of series) {
        const { names: frames, details } = found.find(({ names: [first] }) => first?.startsWith(head)) ?? {};
        assert.deepEqual(
          frames,
          names.filter((name) => name.startsWith(head)),
        );
        const gaps = (details?.gaps ?? []) as readonly (readonly [number, number])[];
        const missing = gaps.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, at) => from + at));
        const [first = 0, last = 0] = [numbers[0], numbers.at(-1)];
        const all = Array.from({ length: last - first + 1 }, (_, at) => first + at);
        assert.deepEqual(
          missing,
          all.filter((number) => !numbers.includes(number)),
        );
        assert.equal(details?.missing, missing.length);
      }
    }
  });

  test("a hundred thousand frames with as many gaps take no longer than they should", () => {
    const names = Array.from({ length: 100_000 }, (_, n) => `big.${String(2 * n).padStart(7, "0")}.dpx`);
    const [only, ...others] = told(names);
    assert.equal(others.length, 0);
    assert.equal(only?.details?.missing, 99_999);
    assert.ok(Array.isArray(only?.details?.gaps) && only.details.gaps.length === 100);
  });
});
