import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { keyRing } from "../../src/core/access/key-ring.ts";
import { type Agreements, requireSameKey } from "../../src/core/nodes/agreements.ts";

/** What all Agreements must do. @param open gives empty ones. */
export function agreementsConformance(
  name: string,
  open: () => Promise<{ readonly agreements: Agreements; close(): Promise<void> }>,
): void {
  async function fresh(t: TestContext): Promise<Agreements> {
    const { agreements, close } = await open();
    t.after(close);
    return agreements;
  }

  describe(`Agreements: ${name}`, () => {
    test("the first value counts, for everybody and for good; other subjects are another matter", async (t) => {
      const agreements = await fresh(t);
      const told = await Promise.all(["a", "b", "c", "d"].map((value) => agreements.agree("x", value)));
      assert.equal(new Set(told).size, 1);
      assert.equal(await agreements.agree("x", "e"), told[0]);
      assert.equal(await agreements.agree("y", "e"), "e");
    });

    test("a node with another secret key is told so, and what is kept does not give the key away", async (t) => {
      const agreements = await fresh(t);
      const key = "the key of the first node, 32 characters and more";
      await requireSameKey(agreements, keyRing(key));
      await requireSameKey(agreements, keyRing(key));
      await assert.rejects(requireSameKey(agreements, keyRing(`${key}!`)), { code: "secret_key_differs" });
      const kept = await agreements.agree("secret key", "");
      assert.match(kept, /^[\w-]{43}$/);
      assert.ok(!kept.includes(key));
    });
  });
}
