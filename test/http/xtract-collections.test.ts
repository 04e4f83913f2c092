import assert from "node:assert/strict";
import { test } from "node:test";
import { collections } from "../../src/http/doors/xtract-collections.ts";

const OWN = "3f1c2a90-0000-4000-8000-00000000abcd";
const OTHER = "aaaa-0000-3333";

test("without a way to Globus, every collection is this machine", () => {
  const { urlOf, pathOf } = collections({ hasGlobus: false });
  assert.equal(urlOf(OTHER, "/srv/a b/50%"), "file:///srv/a%20b/50%25");
  assert.equal(pathOf("file:///srv/a%20b/50%25"), "/srv/a b/50%");
  assert.equal(urlOf(OTHER, "relative"), "file:///relative");
});

test("with one, only the own collection is, and shows its folder as the top", () => {
  const { urlOf, pathOf } = collections({ ownCollection: OWN, ownFolder: "/srv/globus", hasGlobus: true });
  assert.equal(urlOf(OWN.toUpperCase(), "/data"), "file:///srv/globus/data");
  assert.equal(pathOf("file:///srv/globus/data"), "/data");
  assert.equal(pathOf("file:///srv/globus"), "");
  assert.equal(pathOf("file:///srv/globus-else"), "/srv/globus-else", "no folder of the collection's");
  assert.equal(urlOf(OTHER, "/data/x y"), `globus://${OTHER}/data/x%20y`);
  assert.equal(pathOf(`globus://${OTHER}/data/x%20y`), "/data/x y");
});

test("an endpoint's URL in place of a path is taken as it is", () => {
  const { urlOf, pathOf } = collections({ hasGlobus: true });
  for (const url of ["s3://bucket/prefix", "archive:", "https://host/index/", "file:///srv"])
    assert.equal(urlOf(OTHER, url), url);
  assert.equal(pathOf("s3://bucket/prefix/"), "s3://bucket/prefix");
});

test("what is not Unicode is refused: no address can have it", () => {
  const { urlOf } = collections({ hasGlobus: true });
  assert.throws(() => urlOf(OTHER, "/data/\ud800"), { code: "request_invalid" });
  assert.throws(() => urlOf("\ud800", "/data"), { code: "request_invalid" });
});
