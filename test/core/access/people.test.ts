import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Scope } from "../../../src/core/access/access-stores.ts";
import { hasNeeded, type PersonRules, personOf } from "../../../src/core/access/people.ts";
import { AppError } from "../../../src/core/errors.ts";
import { loadConfig } from "../../../src/settings/config.ts";

const OPENID = { LONGSHORE_OPENID_ISSUER: "https://id.example.org", LONGSHORE_OPENID_CLIENT_ID: "longshore" };

function rulesOf(env: Record<string, string> = {}): PersonRules {
  return loadConfig({ ...OPENID, ...env }).openid?.rules ?? assert.fail();
}

describe("who somebody is by a provider's word", () => {
  test("a name, what everybody may do, and what their groups may", () => {
    const rules = rulesOf({ LONGSHORE_OPENID_GROUP_SCOPES: "staff=operate, crawl; depositors=deposit;" });
    const claims = { sub: "1", preferred_username: " ada ", groups: ["strangers", "staff", 7, null, "staff"] };
    assert.deepEqual(personOf(claims, rules), { name: "ada", scopes: ["read", "crawl", "operate"] });
    assert.deepEqual(personOf({ ...claims, groups: "depositors" }, rules).scopes, ["deposit", "read"]);
    assert.deepEqual(personOf({ ...claims, groups: undefined }, rules).scopes, ["read"]);
    assert.deepEqual(personOf({ ...claims, groups: { staff: true } }, rules).scopes, ["read"]);
  });

  test("claims have names with dots in them, or lie within others", () => {
    const names = { LONGSHORE_OPENID_GROUPS_CLAIM: "realm_access.roles", LONGSHORE_OPENID_GROUP_SCOPES: "a=admin" };
    const claims = { preferred_username: "ada", realm_access: { roles: ["a"] } };
    assert.deepEqual(personOf(claims, rulesOf(names)).scopes, ["read", "admin"]);
    const url = "https://example.org/roles";
    const ofUrl = rulesOf({ ...names, LONGSHORE_OPENID_GROUPS_CLAIM: url });
    assert.deepEqual(personOf({ preferred_username: "ada", [url]: ["a"] }, ofUrl).scopes, ["read", "admin"]);
    const inherited = rulesOf({ LONGSHORE_OPENID_OWNER_CLAIM: "constructor.name" });
    assert.throws(() => personOf({ sub: "1" }, inherited), { code: "sign_in_refused" });
  });

  test("who has no name that can be used is refused, and so is a mail address that nobody has verified", () => {
    for (const preferred_username of [undefined, null, 1, "", "  ", ["ada"], "a\nb", "x".repeat(256)])
      assert.throws(
        () => personOf({ preferred_username }, rulesOf()),
        (error) => error instanceof AppError && error.code === "sign_in_refused" && error.details.reason === "nameless",
        String(preferred_username),
      );
    const byMail = rulesOf({ LONGSHORE_OPENID_OWNER_CLAIM: "email" });
    for (const email_verified of [undefined, false, "true"])
      assert.throws(() => personOf({ email: "ada@example.org", email_verified }, byMail), {
        code: "sign_in_refused",
        details: { reason: "unverified", name: "ada@example.org" },
      });
    assert.equal(personOf({ email: "ada@example.org", email_verified: true }, byMail).name, "ada@example.org");
    const people = { LONGSHORE_OPENID_GROUPS_CLAIM: "email", LONGSHORE_OPENID_GROUP_SCOPES: "ada@example.org=admin" };
    const claimed = { preferred_username: "eve", email: "ada@example.org" };
    assert.throws(() => personOf(claimed, rulesOf(people)), { details: { reason: "unverified", name: "eve" } });
  });

  test("who may do nothing is refused", () => {
    const rules = rulesOf({ LONGSHORE_OPENID_DEFAULT_SCOPES: "none", LONGSHORE_OPENID_GROUP_SCOPES: "staff=read" });
    assert.throws(() => personOf({ preferred_username: "ada" }, rules), {
      details: { reason: "powerless", name: "ada" },
    });
  });

  test("the provider is asked for more when what the rules look at is not there", () => {
    const grouped = rulesOf({ LONGSHORE_OPENID_GROUP_SCOPES: "staff=operate" });
    assert.equal(hasNeeded({ preferred_username: "ada" }, rulesOf()), true);
    assert.equal(hasNeeded({ sub: "1" }, rulesOf()), false);
    assert.equal(hasNeeded({ preferred_username: "ada" }, grouped), false);
    assert.equal(hasNeeded({ preferred_username: "ada", groups: [] }, grouped), true);
    assert.equal(hasNeeded({ email: "a@b.example" }, rulesOf({ LONGSHORE_OPENID_OWNER_CLAIM: "email" })), false);
  });
});

describe("settings of a provider", () => {
  const problemsOf = (env: Record<string, string>): string => {
    try {
      loadConfig(env);
    } catch (error) {
      if (error instanceof AppError) return JSON.stringify(error.details.problems);
      throw error;
    }
    return "none";
  };

  test("groups may be called as directories call them, and be told in JSON", () => {
    const entries = (text: string) => [...rulesOf({ LONGSHORE_OPENID_GROUP_SCOPES: text }).groupScopes];
    const staff: [string, Scope[]] = ["CN=Staff,OU=Archive,DC=example", ["operate", "read"]];
    assert.deepEqual(entries("CN=Staff,OU=Archive,DC=example=operate,read"), [staff]);
    assert.deepEqual(entries(JSON.stringify({ "a;b": ["admin"] })), [["a;b", ["admin"]]]);
    for (const wrong of ["staff", "=read", "{", '{"staff":"read"}'])
      assert.match(problemsOf({ ...OPENID, LONGSHORE_OPENID_GROUP_SCOPES: wrong }), /expected group=scope/, wrong);
    assert.match(
      problemsOf({ ...OPENID, LONGSHORE_OPENID_GROUP_SCOPES: "staff=reed" }),
      /there is no scope \\"reed\\"/,
    );
  });

  test("a provider is reached by TLS, or on this machine", () => {
    for (const issuer of [
      "https://id.example.org/realms/a",
      "http://127.0.0.1:8080",
      "http://[::1]/",
      "http://localhost",
    ])
      assert.equal(loadConfig({ ...OPENID, LONGSHORE_OPENID_ISSUER: issuer }).openid?.issuer, issuer);
    for (const issuer of [
      "http://id.example.org",
      "http://localhost.example.org",
      "http://127.0.0.1.example.org",
      "id",
    ])
      assert.match(problemsOf({ ...OPENID, LONGSHORE_OPENID_ISSUER: issuer }), /LONGSHORE_OPENID_ISSUER/, issuer);
  });

  test("what does not go together is said", () => {
    const { LONGSHORE_OPENID_ISSUER, LONGSHORE_OPENID_CLIENT_ID } = OPENID;
    assert.match(problemsOf({ LONGSHORE_OPENID_ISSUER }), /LONGSHORE_OPENID_CLIENT_ID: expected with/);
    assert.match(problemsOf({ LONGSHORE_OPENID_CLIENT_ID }), /LONGSHORE_OPENID_ISSUER: expected with/);
    const secrets = { LONGSHORE_OPENID_CLIENT_SECRET: "a", LONGSHORE_OPENID_CLIENT_SECRET_FILE: "/run/secrets/a" };
    assert.match(problemsOf({ ...OPENID, ...secrets }), /expected without LONGSHORE_OPENID_CLIENT_SECRET/);
    assert.match(problemsOf({ ...OPENID, LONGSHORE_OPENID_SCOPES: "profile" }), /openid among them/);
    assert.equal(loadConfig({}).openid, undefined);
  });
});
