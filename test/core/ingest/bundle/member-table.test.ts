import assert from "node:assert/strict";
import { test } from "node:test";
import { memberTable, type StagedMember } from "../../../../src/core/ingest/bundle/member-table.ts";
import { seededRandom } from "../../../support/random.ts";

test("members come back as they were added, by path and in order", (t) => {
  const random = seededRandom(t);
  const hex = (digits: number) => Array.from({ length: digits }, () => random(16).toString(16)).join("");
  // More than one block of rows, and every value a tar, a digest or a CRC-32 can have.
  const members = Array.from({ length: 10_000 }, (_, i): StagedMember => {
    const path = `data/${i}`;
    return {
      path,
      contentPath: i % 3 === 0 ? `v1/content/renamed/${i}` : `v1/content/${path}`,
      sizeBytes: i % 7 === 0 ? Number.MAX_SAFE_INTEGER - i : random(1_000_000),
      digests: { sha512: hex(128), sha1: hex(40) },
      crc32: i === 0 ? 0xffff_ffff : random(0x1_0000_0000),
      modifiedAt: i % 2 === 0 ? -random(2_000_000_000) : random(2_000_000_000) + 0.25,
    };
  });
  const table = memberTable();
  for (const member of members) table.add(member);
  assert.equal(table.size, 10_000);
  assert.deepEqual([...table], members);
  for (const i of [0, 1, 4095, 4096, 9999]) assert.deepEqual(table.get(`data/${i}`), members[i]);
  assert.equal(table.get("data/10000"), undefined);
});

test("a table tells how many bytes its members have", () => {
  const table = memberTable();
  assert.deepEqual([table.size, table.sizeBytes, [...table]], [0, 0, []]);
  const facts = { digests: {}, crc32: 0, modifiedAt: 0 };
  table.add({ path: "data/a", contentPath: "v1/content/data/a", sizeBytes: 2 ** 40, ...facts });
  table.add({ path: "data/b", contentPath: "v1/content/data/b", sizeBytes: 1, ...facts });
  assert.equal(table.sizeBytes, 2 ** 40 + 1);
});
