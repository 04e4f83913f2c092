import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { AuditEntry, AuditFilter, AuditStore, Token, TokenStore } from "../../src/core/access/access-stores.ts";
import { tokenId } from "../../src/core/ids.ts";

interface Opened {
  readonly tokens: TokenStore;
  readonly audit: AuditStore;
  close(): Promise<void>;
}

/** What every TokenStore and AuditStore must do. One fresh database for the whole suite. */
export function accessConformance(name: string, open: () => Promise<Opened>): void {
  describe(`TokenStore: ${name}`, () => {
    let opened: Opened;
    let tokens: TokenStore;
    before(async () => {
      opened = await open();
      tokens = opened.tokens;
    });
    after(() => opened?.close());

    test("no token is active where there is none", async () => {
      assert.equal(await tokens.anyActive(1_000), false);
      assert.deepEqual(await tokens.list(), []);
    });

    test("a token is read back as it was made, and its id can be taken once", async () => {
      const made = token("one", { scopes: ["read", "deposit"], expiresAt: 5_000, rateLimit: "15/900s" });
      await tokens.insert(made);
      assert.deepEqual(await tokens.get(made.id), made);
      assert.equal(await tokens.get(tokenId("none")), undefined);
      await assert.rejects(tokens.insert({ ...made, owner: "thief" }));
      assert.deepEqual(await tokens.list(), [made]);
    });

    test("a token is active until it expires or is revoked", async () => {
      assert.equal(await tokens.anyActive(4_999), true);
      assert.equal(await tokens.anyActive(5_000), false);
      await tokens.insert(token("two", { createdAt: 2_000 }));
      assert.equal(await tokens.anyActive(1e15), true);
      assert.equal(await tokens.revoke(tokenId("two"), 7_000), true);
      assert.equal(await tokens.anyActive(1e15), false);
    });

    test("revoking twice keeps the first time, and revoking nothing says so", async () => {
      assert.equal(await tokens.revoke(tokenId("two"), 9_000), true);
      assert.equal((await tokens.get(tokenId("two")))?.revokedAt, 7_000);
      assert.equal(await tokens.revoke(tokenId("none"), 9_000), false);
    });

    test("touch keeps when a token was last used, and the list is in the order of making", async () => {
      await tokens.touch(tokenId("one"), 3_000);
      await tokens.touch(tokenId("none"), 3_000);
      assert.deepEqual(
        (await tokens.list()).map(({ id, lastUsedAt }) => ({ id, lastUsedAt })),
        [
          { id: "one", lastUsedAt: 3_000 },
          { id: "two", lastUsedAt: null },
        ],
      );
    });
  });

  describe(`AuditStore: ${name}`, () => {
    let opened: Opened;
    let audit: AuditStore;
    before(async () => {
      opened = await open();
      audit = opened.audit;
    });
    after(() => opened?.close());

    test("an entry follows the last one, and is read back as it was appended", async () => {
      let seen: AuditEntry | undefined;
      const first = await audit.append((last) => {
        seen = last;
        return entry(last, { text: "it's \u0000 漢", n: null });
      });
      assert.equal(seen, undefined);
      const second = await audit.append((last) => {
        seen = last;
        return entry(last, {});
      });
      assert.deepEqual(seen, first);
      assert.deepEqual(await audit.list(0, 10), [first, second]);
      assert.deepEqual(await audit.list(1, 10), [second]);
      assert.deepEqual(await audit.list(0, 1), [first]);
    });

    test("entries are found by who, what and to what", async () => {
      const store = (await audit.list(0, 100)).length;
      const facts = [
        { actor: "bob", action: "a.one", target: "x/1" },
        { actor: "ann", action: "a.two", target: "x/1" },
        { actor: "ann", action: "a.three", target: "x/2" },
      ];
      for (const fact of facts) await audit.append((last) => ({ ...entry(last, {}), ...fact }));
      const found = async (filter: Parameters<AuditStore["list"]>[2], afterSeq = 0) =>
        (await audit.list(afterSeq, 100, filter)).map(({ seq }) => seq - store);
      assert.deepEqual(await found({ target: "x/1" }), [1, 2]);
      assert.deepEqual(await found({ target: "x/1" }, store + 1), [2]);
      assert.deepEqual(await found({ target: "x/1", actor: "bob" }), [1]);
      assert.deepEqual(await found({ actions: ["a.three", "a.one"] }), [1, 3]);
      assert.deepEqual(await found({ actions: [] }), []);

      const newest = async (limit: number, filter?: AuditFilter, beforeSeq?: number) =>
        (await audit.newest(beforeSeq, limit, filter)).map(({ seq }) => seq - store);
      assert.deepEqual(await newest(2), [3, 2]);
      assert.deepEqual(await newest(2, {}, store + 2), [1, 0]);
      assert.deepEqual(await newest(10, { target: "x/1", actor: "ann" }), [2]);
      assert.deepEqual(await newest(10, { actions: [] }), []);
    });

    test("an append that fails leaves nothing, and does not stop the next", async () => {
      const before = await audit.list(0, 100);
      const failing = audit.append(() => {
        throw new Error("no entry");
      });
      await assert.rejects(failing, /no entry/);
      assert.deepEqual(await audit.list(0, 100), before);
      await audit.append((last) => entry(last, {}));
    });

    test("appends at the same time never interleave: each names the one before it", async () => {
      const from = (await audit.list(0, 1_000)).length;
      await Promise.all(Array.from({ length: 16 }, (_, i) => audit.append((last) => entry(last, { i }))));
      const all = await audit.list(0, 1_000);
      assert.equal(all.length, from + 16);
      assert.ok(all.every((each, i) => each.seq === i + 1 && each.previousHash === (all[i - 1]?.hash ?? "none")));
    });
  });
}

function token(id: string, given: Partial<Token> = {}): Token {
  return {
    id: tokenId(id),
    owner: "ann",
    scopes: ["admin"],
    secretHash: "ab".repeat(32),
    createdAt: 1_000,
    expiresAt: null,
    revokedAt: null,
    lastUsedAt: null,
    rateLimit: null,
    ...given,
  };
}

/** The store does not look into the hashes, so any that differ will do. */
function entry(last: AuditEntry | undefined, details: AuditEntry["details"]): AuditEntry {
  const seq = (last?.seq ?? 0) + 1;
  const previousHash = last?.hash ?? "none";
  return {
    seq,
    at: 1_000,
    actor: "ann",
    action: "job.cancel",
    target: "job/1",
    details,
    software: seq % 2 === 0 ? null : "Longshore/0.0.0-test",
    outcome: seq % 2 === 0 ? null : "failure",
    previousHash,
    hash: `hash-${seq}`,
  };
}
