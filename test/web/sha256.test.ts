import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { SHA256 } from "../../src/web/client/sha256.ts";
import { seededRandom } from "../support/random.ts";

test("SHA-256 in the browser is what Node computes, at every length around a block and however the bytes are cut", (t) => {
  const random = seededRandom(t);
  for (let length = 0; length <= 300; length++) {
    const bytes = Uint8Array.from({ length }, () => random(256));
    const hash = SHA256.start();
    for (let at = 0; at < length; ) {
      const end = at + 1 + random(140);
      hash.update(bytes.subarray(at, end));
      at = end;
    }
    assert.equal(hash.hexDigest(), createHash("sha256").update(bytes).digest("hex"), `${length} bytes`);
  }
});

test("hashes that take turns do not disturb each other", () => {
  const hashes = ["a", "b"].map((letter) => ({ letter, hash: SHA256.start() }));
  for (let times = 0; times < 100; times++)
    for (const { letter, hash } of hashes) hash.update(Buffer.from(letter.repeat(7)));
  for (const { letter, hash } of hashes)
    assert.equal(hash.hexDigest(), createHash("sha256").update(letter.repeat(700)).digest("hex"));
});
