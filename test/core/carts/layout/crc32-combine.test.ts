import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { crc32Combine } from "../../../../src/core/carts/layout/crc32-combine.ts";
import { seededRandom } from "../../../support/random.ts";

test("the CRC-32 of two runs of bytes is the one zlib finds when it reads them in a row", (t) => {
  const random = seededRandom(t);
  const bytes = Buffer.from(Array.from({ length: 100_000 }, () => random(256)));
  for (let i = 0; i < 500; i++) {
    const end = random(bytes.length + 1);
    const cut = random(end + 1);
    const [first, second] = [bytes.subarray(0, cut), bytes.subarray(cut, end)];
    assert.equal(
      crc32Combine(crc32(first), crc32(second), second.length),
      crc32(bytes.subarray(0, end)),
      `${cut} ${end}`,
    );
  }
});

test("bytes that follow may be many: 5 GiB of zeros", () => {
  // { printf hello; head -c 5G /dev/zero; } | gzip -1 -c | tail -c 8 | od -An -N 4 -t x4
  // head -c 5G /dev/zero | gzip -1 -c | tail -c 8 | od -An -N 4 -t x4
  assert.equal(crc32Combine(crc32("hello"), 0x193838c3, 5 * 1024 ** 3), 0x8367b7df);
});
