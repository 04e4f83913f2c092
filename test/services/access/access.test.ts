import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { openSqlite, type Stores } from "../../../src/adapters/db/stores.ts";
import { access, hasScope, maySee, type Principal, requireScope } from "../../../src/core/access/access.ts";
import type { AuditEntry, AuditStore, Scope } from "../../../src/core/access/access-stores.ts";
import { audit, canonicalJson, entryHash } from "../../../src/core/access/audit.ts";
import { tokens } from "../../../src/core/access/tokens.ts";
import { type MovingClock, movingClock } from "../../support/moving-clock.ts";

const SOFTWARE = "Longshore/0.0.0-test";
const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

async function withStores(work: (stores: Stores, clock: MovingClock) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "longshore-access-"));
  folders.push(folder);
  const clock = movingClock();
  const stores = await openSqlite({ path: join(folder, "access.sqlite"), clock });
  try {
    await work(stores, clock);
  } finally {
    await stores.close();
  }
}

const principal = (name: string, ...scopes: Scope[]): Principal => ({ name, scopes, via: "token" });

describe("tokens", () => {
  test("a token is accepted until it expires, and speaks for its owner with its scopes", () =>
    withStores(async (stores, clock) => {
      const { text, token } = await tokens(stores.tokens, clock).create({
        owner: "ada",
        scopes: ["deposit", "read", "read"],
        expiresAt: clock.now() + 1000,
      });
      const door = access(stores.tokens, clock, { loopback: false });
      assert.deepEqual(await door.authenticate({ authorization: `Bearer ${text}` }), {
        name: "ada",
        scopes: ["deposit", "read"],
        via: "token",
        token: token.id,
      });
      clock.pass(1000);
      await assert.rejects(door.authenticate({ authorization: `Bearer ${text}` }), { code: "token_invalid" });
    }));

  test("a revoked token is refused, and revoking what does not exist says so", () =>
    withStores(async (stores, clock) => {
      const service = tokens(stores.tokens, clock);
      const { token, text } = await service.create({ owner: "ada", scopes: ["read"], expiresAt: null });
      await service.revoke(token.id);
      const door = access(stores.tokens, clock, { loopback: false });
      await assert.rejects(door.authenticate({ authorization: `Bearer ${text}` }), { code: "token_invalid" });
      await assert.rejects(service.revoke("000000000000" as typeof token.id), { code: "token_unknown" });
    }));

  test("the secret is kept nowhere: the list shows no trace of it, the store only its SHA-256", () =>
    withStores(async (stores, clock) => {
      const service = tokens(stores.tokens, clock);
      const { token, text } = await service.create({ owner: "ada", scopes: ["admin"], expiresAt: null });
      const secret = text.slice(`lsh_${token.id}_`.length);
      assert.equal(secret.length, 43, "256 bits in base64url");
      assert.ok(!JSON.stringify(await service.list()).includes("ecret"));
      const stored = await stores.tokens.get(token.id);
      const sha256sum = execFileSync("sha256sum", { input: secret, encoding: "utf8" }).slice(0, 64);
      assert.equal(stored?.secretHash, sha256sum);
    }));

  test("anything but the very token is refused", () =>
    withStores(async (stores, clock) => {
      const { token, text } = await tokens(stores.tokens, clock).create({
        owner: "ada",
        scopes: ["read"],
        expiresAt: null,
      });
      const door = access(stores.tokens, clock, { loopback: true });
      const other = `${text.slice(0, -1)}${text.endsWith("A") ? "B" : "A"}`;
      for (const wrong of [other, text.slice(0, -1), `${text}A`, text.toUpperCase(), `lsh_${token.id}_`, "x", token.id])
        await assert.rejects(door.authenticate({ authorization: `Bearer ${wrong}` }), { code: "token_invalid" }, wrong);
    }));

  test("its last use is noted at most once a minute", () =>
    withStores(async (stores, clock) => {
      const { token, text } = await tokens(stores.tokens, clock).create({ owner: "a", scopes: [], expiresAt: null });
      const door = access(stores.tokens, clock, { loopback: false });
      const use = async () => {
        await door.authenticate({ authorization: `bearer ${text}` });
        return (await stores.tokens.get(token.id))?.lastUsedAt;
      };
      const first = clock.now();
      assert.equal(await use(), first);
      clock.pass(59_999);
      assert.equal(await use(), first);
      clock.pass(1);
      assert.equal(await use(), first + 60_000);
    }));
});

describe("who is let in", () => {
  test("a server on loopback without an active token lets in anybody with every scope, until there is one", () =>
    withStores(async (stores, clock) => {
      const door = access(stores.tokens, clock, { loopback: true });
      const local = await door.authenticate({});
      assert.deepEqual([local.name, local.via], ["local", "local"]);
      for (const scope of ["deposit", "read", "crawl", "operate", "admin"] as const) assert.ok(hasScope(local, scope));
      // A proxy's own scheme is none of ours.
      assert.equal((await door.authenticate({ authorization: "Basic YTpi" })).via, "local");
      await tokens(stores.tokens, clock).create({ owner: "ada", scopes: ["read"], expiresAt: null });
      await assert.rejects(door.authenticate({}), { code: "token_missing" });
    }));

  test("a server that others reach lets in nobody without a credential", () =>
    withStores(async (stores, clock) => {
      const door = access(stores.tokens, clock, { loopback: false });
      await assert.rejects(door.authenticate({}), { code: "token_missing" });
    }));

  test("a server at which people can sign in lets in nobody without a credential, not even from its machine", () =>
    withStores(async (stores, clock) => {
      const door = access(stores.tokens, clock, { loopback: true, hasProvider: true });
      await assert.rejects(door.authenticate({}), { code: "token_missing" });
    }));

  test("a trusted proxy's user may deposit and read; a trusted proxy without a user is nobody, open or not", () =>
    withStores(async (stores, clock) => {
      const door = access(stores.tokens, clock, { loopback: true });
      assert.deepEqual(await door.authenticate({ proxy: { user: "ada" }, authorization: "Basic YTpi" }), {
        name: "ada",
        scopes: ["deposit", "read"],
        via: "proxy",
      });
      await assert.rejects(door.authenticate({ proxy: { user: undefined } }), { code: "token_missing" });
    }));

  test("scopes include what they must: operate reads, admin does everything, nothing else spreads", () => {
    const granted = (...scopes: Scope[]) =>
      (["deposit", "read", "crawl", "operate", "admin"] as const).filter((scope) =>
        hasScope(principal("x", ...scopes), scope),
      );
    assert.deepEqual(granted("deposit"), ["deposit"]);
    assert.deepEqual(granted("read"), ["read"]);
    assert.deepEqual(granted("crawl"), ["crawl"]);
    assert.deepEqual(granted("operate"), ["read", "operate"]);
    assert.deepEqual(granted("admin"), ["deposit", "read", "crawl", "operate", "admin"]);
    assert.throws(() => requireScope(principal("x", "read"), "deposit"), { code: "scope_missing" });
  });

  test("owners and operators see a thing, others do not", () => {
    assert.ok(maySee(principal("ada", "read"), "ada"));
    assert.ok(!maySee(principal("bob", "read", "deposit"), "ada"));
    assert.ok(maySee(principal("bob", "operate"), "ada"));
    assert.ok(maySee(principal("bob", "admin"), "ada"));
  });
});

describe("the audit log", () => {
  test("entries form a chain that verifies, also when they are recorded at once", () =>
    withStores(async (stores, clock) => {
      const log = audit(stores.audit, clock, SOFTWARE);
      await Promise.all(Array.from({ length: 20 }, (_, i) => log.record("ada", "job.cancel", `job/${i}`, { i })));
      const entries = await log.list(0, 100);
      assert.deepEqual(
        entries.map(({ seq }) => seq),
        Array.from({ length: 20 }, (_, i) => i + 1),
      );
      assert.equal(entries[0]?.previousHash, "0".repeat(64));
      const head = { seq: 20, hash: entries[19]?.hash };
      assert.deepEqual(await log.verifyChain(), { entries: 20, brokenAt: null, head, hasNoted: null });
    }));

  test("a changed, a dropped and an inserted entry are each found where they are", () =>
    withStores(async (stores, clock) => {
      const log = audit(stores.audit, clock, SOFTWARE);
      for (let i = 1; i <= 5; i++) await log.record("ada", "bundle.deposit", `job/${i}`, { nested: { i, ok: true } });
      const entries = await log.list(0, 100);
      const verify = (tampered: readonly AuditEntry[]) => audit(fixedLog(tampered), clock, SOFTWARE).verifyChain();

      assert.equal((await verify(entries)).brokenAt, null);
      const changed = entries.map((entry) => (entry.seq === 3 ? { ...entry, actor: "eve" } : entry));
      assert.equal((await verify(changed)).brokenAt, 3);
      const deep = entries.map((entry) =>
        entry.seq === 4 ? { ...entry, details: { nested: { i: 5, ok: true } } } : entry,
      );
      assert.equal((await verify(deep)).brokenAt, 4);
      assert.equal((await verify(entries.filter(({ seq }) => seq !== 2))).brokenAt, 3);
      const forged = { ...entries[1], target: "job/99" } as AuditEntry;
      const resealed = entries.map((entry) => (entry.seq === 2 ? { ...forged, hash: entryHash(forged) } : entry));
      assert.equal((await verify(resealed)).brokenAt, 3);
    }));

  test("the hash is SHA-256 over the entry's canonical JSON, as sha256sum computes it", () => {
    const entry = {
      seq: 1,
      at: 1_700_000_000_000,
      actor: "ada",
      action: "job.set",
      target: "job/7",
      details: { reason: "stuck", state: "failed" },
      software: "Longshore/1.2.3",
      outcome: "success",
      previousHash: "0".repeat(64),
    } as const;
    // Written by hand: members in order of their names, no white space.
    const text = `{"action":"job.set","actor":"ada","at":1700000000000,"details":{"reason":"stuck","state":"failed"},"outcome":"success","previousHash":"${"0".repeat(64)}","seq":1,"software":"Longshore/1.2.3","target":"job/7"}`;
    const sha256sum = execFileSync("sha256sum", { input: text, encoding: "utf8" }).slice(0, 64);
    assert.equal(entryHash(entry), sha256sum);
    // As an entry was hashed before it said with what it was done and how it came out.
    const earlier = `{"action":"job.set","actor":"ada","at":1700000000000,"details":{"reason":"stuck","state":"failed"},"previousHash":"${"0".repeat(64)}","seq":1,"target":"job/7"}`;
    assert.equal(
      entryHash({ ...entry, software: null, outcome: null }),
      execFileSync("sha256sum", { input: earlier, encoding: "utf8" }).slice(0, 64),
    );
  });

  test("canonical JSON orders members and writes values as RFC 8785 does", () => {
    // RFC 8785 §3.2.2 and §3.2.3, examples reduced to what our details may hold.
    assert.equal(canonicalJson({ b: [1, { d: null, c: "€" }], a: true }), '{"a":true,"b":[1,{"c":"€","d":null}]}');
    assert.equal(
      canonicalJson([333333333.3333333, 1e30, 4.5, 0.002, 1e-27]),
      "[333333333.3333333,1e+30,4.5,0.002,1e-27]",
    );
    assert.equal(canonicalJson('\u000f\nA\'B"\\\\"/'), '"\\u000f\\nA\'B\\"\\\\\\\\\\"/"');
    assert.equal(canonicalJson({ "\u20ac": 1, "\r": 2, "1": 3 }), '{"\\r":2,"1":3,"\u20ac":1}');
  });
});

/** A log as somebody with a hand on the database could leave it. */
function fixedLog(entries: readonly AuditEntry[]): AuditStore {
  return {
    append: () => Promise.reject(new Error("nothing is added to this log")),
    list: async (afterSeq, limit) => entries.filter(({ seq }) => seq > afterSeq).slice(0, limit),
    newest: async (beforeSeq = Infinity, limit) =>
      entries
        .filter(({ seq }) => seq < beforeSeq)
        .toReversed()
        .slice(0, limit),
  };
}
