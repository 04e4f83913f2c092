import assert from "node:assert/strict";
import { test } from "node:test";
import { keyRing } from "../../../src/core/access/key-ring.ts";
import { type LinkClaim, signedLinks } from "../../../src/core/access/links.ts";

const KEY = "a key that is long enough for tests, at least";
const CLAIM: LinkClaim = { kind: "order", id: "aB3_-x", generation: 40, expiresAt: 1_800_000_000_000 };

test("a link says what was signed, and fits into a path as it is", () => {
  const links = signedLinks(keyRing(KEY));
  const text = links.sign(CLAIM);
  assert.equal(encodeURIComponent(text), text);
  assert.deepEqual(links.read("order", text), CLAIM);
});

test("a link is what HKDF and HMAC make of it elsewhere", () => {
  // From Python's hmac and hashlib, by RFC 5869 and RFC 2104.
  assert.equal(signedLinks(keyRing(KEY)).sign(CLAIM), "aB3_-x.14.tro8w0.WosYBaLLpPvnEJAXCK8ONQ");
});

test("no part of a link can be changed, nor its kind", () => {
  const links = signedLinks(keyRing(KEY));
  const text = links.sign(CLAIM);
  for (let at = 0; at < text.length; at++) {
    const other = text[at] === "1" ? "2" : "1";
    assert.equal(links.read("order", `${text.slice(0, at)}${other}${text.slice(at + 1)}`), undefined, `at ${at}`);
  }
  for (const changed of ["", text.slice(1), text.slice(0, -1), `${text}A`, `${text}.`, text.replaceAll(".", "/")])
    assert.equal(links.read("order", changed), undefined, changed);
  assert.equal(links.read("cart", text), undefined);
});

test("another key's links are not ours", () => {
  const text = signedLinks(keyRing(`${KEY}!`)).sign(CLAIM);
  assert.equal(signedLinks(keyRing(KEY)).read("order", text), undefined);
});
