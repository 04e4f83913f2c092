import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { DropFiles, DropStore } from "../../../src/core/drop/drop.ts";
import type { LookParts } from "../../../src/core/drop/look.ts";
import { jobId } from "../../../src/core/ids.ts";
import type { Jobs } from "../../../src/core/jobs/jobs.ts";
import { openDrop } from "../../support/dropping.ts";

const KILLED = new Error("killed");

/** What changes something: a look that dies around any other call dies around one of these. */
const STEPS = ["add", "change", "submit", "quarantine"];

/** The same collaborators, until the process dies just before or just after a step: then none answers any more. */
function killedAt(parts: LookParts, step: number, when: "before" | "after") {
  let steps = 0;
  let isDead = false;
  const mortal = <T extends DropStore | DropFiles | Pick<Jobs, "submit" | "get">>(port: T): T =>
    new Proxy(port, {
      get(target, key) {
        const call: unknown = Reflect.get(target, key);
        if (typeof call !== "function" || !STEPS.includes(String(key))) return call;
        return async (...args: readonly unknown[]) => {
          if (isDead || (++steps === step && when === "before")) {
            isDead = true;
            throw KILLED;
          }
          const result: unknown = await Reflect.apply(call, target, args);
          if (steps !== step) return result;
          isDead = true;
          throw KILLED;
        };
      },
    });
  const { store, files, jobs } = parts;
  return {
    parts: { store: mortal(store), files: mortal(files), jobs: mortal(jobs) },
    hasDied: () => isDead,
  };
}

test("a look that is killed at any step takes each delivery once, and loses none", async (t) => {
  const fixture = await openDrop(t, { removal: "always" });
  const { place, looked, deliveries, jobs, lying } = fixture;
  const wrong = createHash("md5").update("other").digest("hex");
  let kills = 0;
  for (const when of ["before", "after"] as const) {
    for (let step = 1, lived = false; !lived; step++) {
      const round = `${when}-${step}`;
      await place(`good-${round}`, round);
      await place(`bad-${round}`, round);
      await place(`bad-${round}.md5`, `${wrong}  bad-${round}\n`);
      const { parts, hasDied } = killedAt(fixture.parts, step, when);
      // From the first sight to the removal; whoever comes after the dead one goes on.
      for (let looks = 0; ; looks++) {
        assert.ok(looks < 40, JSON.stringify(await deliveries()));
        await looked(hasDied() ? {} : parts).catch((error: unknown) => {
          if (error !== KILLED) throw error;
          kills++;
        });
        for (const { state, job, removalJob } of await deliveries())
          if (state === "taking" || state === "removing")
            await fixture.over(await jobs.get(jobId((removalJob ?? job) as number)));
        const open = (await deliveries()).filter(({ state }) => state !== "removed" && state !== "quarantined");
        const seen = (await deliveries()).filter(({ name }) => name.endsWith(round)).length;
        if (open.length === 0 && seen === 2) break;
      }
      lived = !hasDied();
      const files = (await lying()).filter((path) => path.includes(`-${round}`) && !path.startsWith("."));
      assert.deepEqual(files, [], "nothing is left");
    }
  }
  assert.ok(kills >= 14, `it died ${kills} times only: the steps are no longer seen`);
  const found = await deliveries();
  const { transactions } = await fixture.stores.catalogue.totals();
  assert.equal(found.filter(({ state }) => state === "removed").length, transactions, "each good one once");
  const names = found.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length, "no delivery was seen as two");
  const kept = (await lying()).filter((path) => path.startsWith(".quarantine"));
  assert.equal(kept.filter((path) => /\/bad-\w+-\d+$/.test(path)).length, transactions, "each bad one is kept");
  assert.equal(kept.filter((path) => path.endsWith(".md5")).length, transactions);
});
