import assert from "node:assert/strict";
import { test } from "node:test";
import { AppError } from "../../src/core/errors.ts";
import { sparing, type Trouble } from "../../src/local/sparing.ts";

test("the same trouble of the same loop is told of once a minute, with how often it came; other trouble at once", () => {
  let now = 0;
  const told: Trouble[] = [];
  const trouble = sparing({ now: () => now, sleep: async () => {} }, (one) => told.push(one));
  const away = new AppError("database_unavailable", { reason: "ECONNREFUSED" });
  for (now = 0; now < 130_000; now += 1_000) trouble(away, "claiming jobs");
  assert.deepEqual(
    told.splice(0).map(({ during, times }) => [during, times]),
    [
      ["claiming jobs", 1],
      ["claiming jobs", 60],
      ["claiming jobs", 60],
    ],
  );
  trouble(away, "keeping leases");
  trouble(new Error("something else"), "keeping leases");
  assert.deepEqual(
    told.map(({ during, facts }) => [during, "err" in facts]),
    [
      ["keeping leases", false],
      ["keeping leases", true],
    ],
    "a stack is shown only where it says something",
  );
});
