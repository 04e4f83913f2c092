import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { familiesOf, splitFamily } from "../../../src/core/crawl/grouping/families.ts";
import type { Family, Group } from "../../../src/core/crawl/grouping/groups.ts";
import { seededRandom } from "../../support/random.ts";

const group = (...files: number[]): Group => ({ files, kind: "test" });

/** Connected components the slow and obvious way: spread from a group until nothing more is reached. */
function reachable(start: number, groups: readonly Group[]): ReadonlySet<number> {
  const reached = new Set([start]);
  for (let before = 0; before < reached.size; ) {
    before = reached.size;
    for (const [other, { files }] of groups.entries()) {
      if ([...reached].some((one) => groups[one]?.files.some((file) => files.includes(file)))) reached.add(other);
    }
  }
  return reached;
}

function randomGroups(random: (below: number) => number): {
  readonly groups: readonly Group[];
  readonly sizes: readonly number[];
} {
  const sizes = Array.from({ length: 1 + random(40) }, () => random(100));
  const groups = Array.from({ length: random(30) }, () =>
    group(...new Set(Array.from({ length: 1 + random(4) }, () => random(sizes.length)))),
  );
  return { groups, sizes };
}

function checkFacts(
  { groups: members, files, sizeBytes }: Family,
  groups: readonly Group[],
  sizes: readonly number[],
): void {
  const expected = new Set(members.flatMap((member) => groups[member]?.files ?? []));
  assert.deepEqual(
    [...files].sort((a, b) => a - b),
    [...expected].sort((a, b) => a - b),
  );
  assert.equal(
    sizeBytes,
    [...expected].reduce((sum, file) => sum + (sizes[file] ?? 0), 0),
  );
}

describe("families", () => {
  test("groups that share files are one family, each file once; others are families of their own", () => {
    const groups = [group(0, 1), group(2), group(1, 3), group(4, 5), group(3, 4)];
    assert.deepEqual(familiesOf(groups, [1, 2, 4, 8, 16, 32]), [
      { groups: [0, 2, 3, 4], files: [0, 1, 3, 4, 5], sizeBytes: 59 },
      { groups: [1], files: [2], sizeBytes: 4 },
    ]);
    assert.deepEqual(familiesOf([], []), []);
  });

  test("families are the connected parts, whatever the groups are", (t) => {
    const random = seededRandom(t);
    for (let round = 0; round < 300; round++) {
      const { groups, sizes } = randomGroups(random);
      const families = familiesOf(groups, sizes);
      assert.deepEqual(
        families.flatMap((family) => family.groups).toSorted((a, b) => a - b),
        [...groups.keys()],
      );
      for (const family of families) {
        assert.deepEqual(new Set(family.groups), reachable(family.groups[0] ?? 0, groups));
        checkFacts(family, groups, sizes);
      }
    }
  });

  test("a split has every group once and whole, in parts that are no larger than allowed or have one group", (t) => {
    const random = seededRandom(t);
    for (let round = 0; round < 300; round++) {
      const { groups, sizes } = randomGroups(random);
      const mostBytes = random(300);
      for (const family of familiesOf(groups, sizes)) {
        const parts = splitFamily(family, groups, sizes, mostBytes);
        assert.deepEqual(
          parts.flatMap((part) => part.groups).toSorted((a, b) => a - b),
          family.groups,
        );
        for (const part of parts) {
          checkFacts(part, groups, sizes);
          assert.ok(part.sizeBytes <= mostBytes || part.groups.length === 1);
        }
        if (family.sizeBytes <= mostBytes) assert.deepEqual(parts, [family]);
      }
    }
  });

  test("a chain of groups is cut where it is long enough, and shared files travel twice only there", () => {
    const groups = Array.from({ length: 6 }, (_, n) => group(n, n + 1));
    const sizes = Array<number>(7).fill(10);
    const [family] = familiesOf(groups, sizes);
    assert.ok(family);
    const parts = splitFamily(family, groups, sizes, 40);
    assert.deepEqual(
      parts.map((part) => part.groups),
      [
        [0, 1, 2],
        [3, 4, 5],
      ],
    );
    assert.deepEqual(
      parts.map((part) => part.sizeBytes),
      [40, 40],
    );
  });

  test("a long chain of hundred thousand groups is one family", () => {
    const groups = Array.from({ length: 100_000 }, (_, n) => group(n + 1, n));
    const sizes = Array.from({ length: 100_001 }, () => 1);
    assert.equal(familiesOf(groups.toReversed(), sizes).length, 1);
  });
});
