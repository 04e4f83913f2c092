import assert from "node:assert/strict";
import { test } from "node:test";
import { laneOf } from "../../../src/core/packages/cost.ts";
import type { Recipe } from "../../../src/core/packages/package.ts";

const recipe = (given: Partial<Recipe>): Recipe => ({
  kind: "datastore",
  resourceId: "r",
  format: "csv",
  manifest: false,
  ...given,
});
const lane = (door: boolean, given: Partial<Recipe>) => laneOf({ door, recipe: recipe(given) }, 50_000);

test("a file by URL is made in the fast lane, and so are few rows; many, and all of them, in the slow one", () => {
  for (const door of [true, false]) {
    assert.equal(lane(door, { kind: "url" }), "fast");
    assert.equal(lane(door, { limit: 50_000 }), "fast");
    assert.equal(lane(door, { limit: 50_001 }), "slow");
    assert.equal(lane(door, {}), "slow");
    assert.equal(lane(door, { kind: "dwca" }), "slow");
  }
});

// ckanpackager: slow when a limit is given and int(limit) - int(offset or 0) > SLOW_REQUEST.
test("the door reckons as ckanpackager: less the offset, and a limit of 0 is few; natively 0 is all", () => {
  assert.equal(lane(true, { limit: 60_000, offset: 10_000 }), "fast");
  assert.equal(lane(false, { limit: 60_000, offset: 10_000 }), "slow");
  assert.equal(lane(true, { limit: 0 }), "fast");
  assert.equal(lane(false, { limit: 0 }), "slow");
});
