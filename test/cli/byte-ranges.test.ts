import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { byteRanges } from "../../src/cli/get/byte-ranges.ts";
import { seededRandom } from "../support/random.ts";

describe("byte ranges", () => {
  test("say what a bit per byte says, whatever is added and removed", (t) => {
    const random = seededRandom(t);
    const SIZE = 60;
    for (let round = 0; round < 200; round++) {
      const ranges = byteRanges();
      const bits = new Array<boolean>(SIZE).fill(false);
      for (let step = 0; step < 12; step++) {
        const from = random(SIZE);
        const until = from + random(SIZE - from + 1);
        const add = random(3) > 0;
        if (add) ranges.add(from, until);
        else ranges.remove(from, until);
        bits.fill(add, from, until);

        const holes = bits.indexOf(false) < 0 ? SIZE : bits.indexOf(false);
        assert.equal(ranges.bytes, bits.filter(Boolean).length);
        assert.equal(ranges.prefixEnd, holes);
        const listed = ranges.list().flatMap((range) => [range.from, range.until]);
        const edges = bits.flatMap((bit, i) => (bit === (bits[i - 1] ?? false) ? [] : [i]));
        assert.deepEqual(listed, bits.at(-1) ? [...edges, SIZE] : edges);
        const gap = ranges.firstGap(SIZE, 7);
        const end = bits.indexOf(true, holes);
        const expected = { from: holes, until: Math.min(end < 0 ? SIZE : end, holes + 7) };
        assert.deepEqual(gap, holes === SIZE ? undefined : expected);
      }
    }
  });
});
