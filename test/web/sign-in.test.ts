import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { composeOpenid } from "../../src/compose/openid.ts";
import { keyRing } from "../../src/core/access/key-ring.ts";
import type { ProviderSignIn } from "../../src/core/access/provider-sign-in.ts";
import { sealedSessions } from "../../src/core/access/sessions.ts";
import { attemptCookies, farewellCookie } from "../../src/http/provider-cookies.ts";
import { sessionCookie } from "../../src/http/session-cookie.ts";
import { signIn as signInFindings } from "../../src/local/doctor-openid.ts";
import { loadConfig } from "../../src/settings/config.ts";
import { webFace } from "../../src/web/face.ts";
import { bundle } from "../http/bundle.ts";
import { deposit, finished, problem } from "../http/client.ts";
import { type RealServer, realServer } from "../http/real-server.ts";
import { type HttpBrowser, httpBrowser, type Shown } from "../support/http-browser.ts";
import { type LyingProvider, lyingProvider } from "../support/lying-provider.ts";
import { CLIENT_ID, CLIENT_SECRET, type OpenidProvider, openidProvider } from "../support/openid-provider.ts";
import { testBrowser, withoutBrowser } from "./browser.ts";

const KEYS = keyRing("a key that all nodes of this test have");
const HOUR_MS = 3_600_000;
const SESSION = "longshore_session";

const PEOPLE = {
  ada: { groups: ["depositors", "<b>others</b>"] },
  olive: { groups: ["operators"] },
  mallory: { preferred_username: 1 },
};

/** A server whose people sign in at a provider, and a clock that runs ahead as far as it is told to. */
interface Place {
  readonly server: RealServer;
  readonly openid: ProviderSignIn;
  /** Another node, with a provider's metadata of its own. */
  readonly otherNode: ProviderSignIn;
  ahead(ms: number): void;
}

type Env = Readonly<Record<string, string>>;

const configOf = (issuer: string, env: Env = {}) =>
  loadConfig({
    LONGSHORE_OPENID_ISSUER: issuer,
    LONGSHORE_OPENID_NAME: "Example House",
    LONGSHORE_OPENID_CLIENT_ID: CLIENT_ID,
    LONGSHORE_OPENID_CLIENT_SECRET: CLIENT_SECRET,
    LONGSHORE_OPENID_GROUP_SCOPES: "depositors=deposit;operators=operate,deposit",
    ...env,
  });

async function placeAt(issuer: string, env: Env = {}): Promise<Place> {
  const config = configOf(issuer, env);
  let aheadMs = 0;
  let url = "";
  const clock = { ...systemClock, now: () => systemClock.now() + aheadMs };
  const compose = async () =>
    (await composeOpenid(config, { keys: KEYS, clock, publicUrl: () => url })) ?? assert.fail();
  const [openid, otherNode] = [await compose(), await compose()];
  const sessions = sealedSessions(KEYS, clock, config.openid?.issuer);
  const server = await realServer({ face: webFace, loopback: false, wrap: (deps) => ({ ...deps, openid, sessions }) });
  ({ url } = server);
  return {
    server,
    openid,
    otherNode,
    ahead(ms) {
      aheadMs = ms;
    },
  };
}

/** Fills in the provider's own forms. */
async function signIn({ server }: Place, name: string, to = "/home", browser = httpBrowser()) {
  const asked = await browser.go(`${server.url}/sign-in/openid?to=${encodeURIComponent(to)}`);
  const consent = await browser.send(asked, { login: name, password: "any" });
  const shown = await browser.send(consent, {});
  return { browser, shown };
}

/** As far as the answer, which is not gone to. @returns its address. */
async function answerFor({ server }: Place, browser: HttpBrowser): Promise<string> {
  const shown = await browser.go(`${server.url}/sign-in/openid`, "/callback");
  return shown.headers.get("location") ?? assert.fail(shown.text);
}

const hasSession = ({ cookies }: HttpBrowser) => cookies.some(({ name }) => name === SESSION);
const noticeOf = ({ text }: Shown) => /role="alert"[^>]*>([^<]*)</.exec(text)?.[1] ?? "";

describe("signing in at a provider", () => {
  let provider: OpenidProvider;
  let place: Place;
  before(async () => {
    provider = await openidProvider(PEOPLE);
    place = await placeAt(provider.issuer);
    await provider.serve(place.server.url);
  });
  after(async () => {
    await place?.server.stop();
    await provider?.stop();
  });
  const lastEntry = async () => (await place.server.deps.audit.newest(undefined, 1))[0] ?? assert.fail();

  test("who signs in comes back to where they were going, as who the provider says, and the log has it", async () => {
    const { shown } = await signIn(place, "ada", "/jobs?state=failed");
    assert.equal(shown.url, `${place.server.url}/jobs?state=failed`);
    assert.match(shown.text, /Signed in as ada/);
    const { actor, action, target, details, outcome } = await lastEntry();
    assert.deepEqual(
      { actor, action, target, details, outcome },
      {
        actor: "ada",
        action: "session.begin",
        target: "person/ada",
        details: { via: "openid", issuer: provider.issuer, subject: "ada", scopes: ["deposit", "read"] },
        outcome: "success",
      },
    );
  });

  test("groups say what somebody may do; a script's request needs the form token too", async () => {
    const { browser, shown } = await signIn(place, "ada");
    const [, formToken = ""] = /name="form-token" content="([^"]+)"/.exec(shown.text) ?? [];
    const cookie = browser.cookieFor(place.server.url);
    const body = bundle({ "a.txt": "hello\n" });
    const sent = (headers: Record<string, string>) =>
      fetch(`${place.server.url}/api/v1/bundles`, { method: "POST", body, headers });
    await problem(await sent({ cookie, "content-type": "application/x-tar" }), 403, "form_stale");
    const { id } = await deposit(place.server, body, { cookie, "x-form-token": formToken });
    assert.equal((await finished(place.server, id, { cookie })).owner, "ada");

    const bob = await signIn(place, "bob");
    const [, bobsToken = ""] = /name="form-token" content="([^"]+)"/.exec(bob.shown.text) ?? [];
    const bobs = { cookie: bob.browser.cookieFor(place.server.url), "x-form-token": bobsToken };
    await problem(await sent({ ...bobs, "content-type": "application/x-tar" }), 403, "scope_missing");
    assert.equal((await bob.browser.go(`${place.server.url}/jobs/${id}`)).status, 404, "it is ada's");
    const olive = await signIn(place, "olive");
    assert.equal((await olive.browser.go(`${place.server.url}/jobs/${id}`)).status, 200);
    assert.match(olive.shown.text, /href="\/operations"/);
    assert.equal((await olive.browser.go(`${place.server.url}/operations/tokens`)).status, 403);
  });

  test("an answer is believed in the browser that asked for it, once, and unchanged", async () => {
    const { browser } = await signIn(place, "ada");
    const answer = await answerFor(place, browser);
    const refused = async (who: HttpBrowser, url: string) => {
      const shown = await who.go(url);
      assert.match(noticeOf(shown), /begun elsewhere/);
      assert.equal(shown.status, 400);
    };
    const another = httpBrowser();
    await refused(another, answer);
    assert.ok(!hasSession(another));
    const state = new URL(answer).searchParams.get("state") ?? "";
    const changed = `${state.slice(0, -1)}${state.endsWith("A") ? "B" : "A"}`;
    await refused(browser.copy(), answer.replace(state, changed));
    await refused(browser.copy(), answer.replace(/&?state=[^&]*/, ""));
    const tampered = browser
      .copy()
      .cookies.map((one) =>
        one.name.startsWith("longshore_attempt") ? { ...one, value: `${one.value.slice(0, -2)}AA` } : one,
      );
    await refused(httpBrowser(tampered), answer);
    // What is sealed for something else is no attempt.
    const session = tampered.find(({ name }) => name === SESSION)?.value ?? "";
    const disguised = tampered.map((one) =>
      one.name.startsWith("longshore_attempt") ? { ...one, value: session } : one,
    );
    await refused(httpBrowser(disguised), answer);

    const replaying = browser.copy();
    assert.equal((await browser.go(answer)).url, `${place.server.url}/home`);
    await refused(browser, answer); // the attempt is over
    await refused(replaying, answer); // the provider takes a code once
  });

  test("an answer that names another provider is not believed", async () => {
    const { browser } = await signIn(place, "ada");
    const answer = new URL(await answerFor(place, browser));
    answer.searchParams.set("iss", "https://elsewhere.example"); // RFC 9207
    const shown = await browser.go(answer.href);
    assert.match(noticeOf(shown), /cannot be relied upon/);
    assert.equal(shown.status, 403);
  });

  test("two tabs do not get in each other's way, and many leave no heap of cookies", async () => {
    const { browser } = await signIn(place, "ada");
    const [first, second] = [await answerFor(place, browser), await answerFor(place, browser)];
    assert.equal((await browser.go(first)).url, `${place.server.url}/home`);
    assert.equal((await browser.go(second)).url, `${place.server.url}/home`);
    for (let nth = 0; nth < 12; nth++) await answerFor(place, browser);
    assert.ok(browser.cookies.filter(({ name }) => name.startsWith("longshore_attempt")).length <= 5);
  });

  test("whichever node the answer comes to, it is the same", async () => {
    const { state, sealed } = await place.openid.begin("/jobs");
    const forged = new URLSearchParams({ state, code: "none", iss: provider.issuer });
    await assert.rejects(place.otherNode.complete(`?${forged}`, sealed), { code: "sign_in_stale" });
    const { browser } = await signIn(place, "ada");
    const answer = new URL(await answerFor(place, browser));
    const attempt = browser.cookies.find(({ name }) => name.startsWith("longshore_attempt"));
    const { credential } = await place.otherNode.complete(answer.search, attempt?.value);
    assert.deepEqual([credential.name, credential.scopes], ["ada", ["deposit", "read"]]);
  });

  test("nobody is sent to another host after signing in", async () => {
    for (const to of ["//evil.example", "/\\evil.example", "https://evil.example", `/${"x".repeat(1_500)}`]) {
      const { shown } = await signIn(place, "ada", to);
      assert.equal(shown.url, `${place.server.url}/home`, to);
    }
  });

  test("who does not want to is told so, and so is who has no name that can be used", async () => {
    const browser = httpBrowser();
    const asked = await browser.go(`${place.server.url}/sign-in/openid`);
    const [, cancel = ""] = /href="([^"]+\/abort)"/.exec(asked.text) ?? [];
    const denied = await browser.go(new URL(cancel, asked.url).href);
    assert.match(noticeOf(denied), /Example House has not let you in/);
    assert.equal(denied.status, 403);
    const { browser: other, shown } = await signIn(place, "mallory");
    assert.match(noticeOf(shown), /claim preferred_username/);
    assert.ok(!hasSession(other));
  });

  test("a session ends after its time, and an attempt after ten minutes", async () => {
    const { browser } = await signIn(place, "ada");
    const answer = await answerFor(place, browser);
    try {
      place.ahead(11 * 60_000);
      assert.match(noticeOf(await browser.go(answer)), /begun elsewhere/);
      assert.equal((await browser.go(`${place.server.url}/home`)).url, `${place.server.url}/home`);
      place.ahead(12 * HOUR_MS);
      assert.match((await browser.go(`${place.server.url}/jobs`)).url, /\/sign-in\?to=%2Fjobs$/);
    } finally {
      place.ahead(0);
    }
  });

  test("signing out ends the session here, and leads to the provider's own page", async () => {
    const { browser, shown } = await signIn(place, "ada");
    const out = await browser.send(shown, {}, "/sign-out");
    assert.ok(!hasSession(browser));
    assert.match(out.text, /You are signed out here/);
    const [, address = ""] = /^0;url=(.*)$/.exec(out.headers.get("refresh") ?? "") ?? [];
    assert.ok(address.startsWith(`${provider.issuer}/session/end?`), address);
    assert.ok(new URL(address).searchParams.has("id_token_hint"));
    const { action, target } = await lastEntry();
    assert.deepEqual([action, target], ["session.end", "person/ada"]);
    // The provider asks, and comes back; then it asks for a name again.
    const back = await browser.send(await browser.go(address), { logout: "yes" });
    assert.equal(back.url, `${place.server.url}/sign-in`);
    assert.match((await browser.go(`${place.server.url}/sign-in/openid`)).text, /name="login"/);
  });

  test("tokens go on to let people in, and their sessions too end in the log", async () => {
    const { authorization } = await place.server.token("eve", "read");
    const browser = httpBrowser();
    const page = await browser.go(`${place.server.url}/sign-in?to=/jobs`);
    assert.match(page.text, /href="\/sign-in\/openid\?to=%2Fjobs">Sign in with Example House</);
    const shown = await browser.send(page, { token: authorization.slice("Bearer ".length) });
    assert.equal(shown.url, `${place.server.url}/jobs`);
    assert.deepEqual((await lastEntry()).details, { via: "token" });
    const out = await browser.send(shown, {}, "/sign-out");
    assert.equal(out.url, `${place.server.url}/sign-in`);
    assert.equal((await lastEntry()).action, "session.end");
  });

  test("while the provider is away, the page says so, tokens work, and an answer can still be taken later", async () => {
    const { browser, shown } = await signIn(place, "ada");
    const answer = await answerFor(place, browser);
    await provider.stop();
    try {
      const away = await browser.go(answer);
      assert.match(noticeOf(away), /Example House does not answer just now/);
      assert.equal(away.status, 503);
      assert.equal((await browser.go(`${place.server.url}/home`)).url, `${place.server.url}/home`, "sessions go on");
      // Its addresses have been asked for just now, so they are not asked for again; half a minute later they are.
      place.ahead(31_000);
      const asked = await browser.go(`${place.server.url}/sign-in/openid`);
      assert.match(noticeOf(asked), /does not answer just now/);
      const out = await browser.copy().send(shown, {}, "/sign-out");
      assert.match(out.text, /signed out here.*you may still be signed in/);
    } finally {
      await provider.start();
      place.ahead(0);
    }
    assert.equal((await browser.go(answer)).url, `${place.server.url}/home`);
  });

  test("people sign in and out in a real browser", { skip: withoutBrowser() }, async () => {
    const browser = await testBrowser();
    try {
      const { page, assertAccessible, assertQuiet, close } = await browser.open(`${place.server.url}/jobs`);
      await assertAccessible();
      assertQuiet();
      await page.route(/googleapis/, (route) => route.fulfill({ body: "" })); // the provider's pages like fonts from there
      await page.getByRole("link", { name: "Sign in with Example House" }).click();
      await page.locator("input[name=login]").fill("ada");
      await page.locator("input[name=password]").fill("any");
      await page.locator("button[type=submit]").click();
      await page.locator("button[type=submit]").click();
      await page.waitForURL(`${place.server.url}/jobs`);
      assert.equal(await page.getByText("Signed in as ada").count(), 1);
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByRole("button", { name: "Yes, sign me out" }).click();
      await page.waitForURL(`${place.server.url}/sign-in`);
      await page.goto(`${place.server.url}/sign-in/openid/callback?state=none`);
      assert.equal(await page.getByRole("alert").count(), 1);
      await assertAccessible();
      await close();
    } finally {
      await browser.close();
    }
  });
});

describe("a provider that does not say what is true", () => {
  let provider: LyingProvider;
  let place: Place;
  before(async () => {
    provider = await lyingProvider(CLIENT_ID);
    place = await placeAt(provider.issuer, { LONGSHORE_OPENID_DEFAULT_SCOPES: "none" });
  });
  after(async () => {
    await place?.server.stop();
    await provider?.stop();
  });
  const now = () => Math.floor(Date.now() / 1_000);

  for (const [what, lie] of Object.entries({
    "for another client": { claims: { aud: "another" } },
    "for several, and another of them asked": { claims: { aud: [CLIENT_ID, "another"], azp: "another" } },
    "with the nonce of another attempt": { claims: { nonce: "another" } },
    "without a nonce": { claims: { nonce: undefined } },
    "in another provider's name": { claims: { iss: "https://another.example" } },
    "that was good until two minutes ago": { claims: { iat: now() - 500, exp: now() - 120 } },
    "that somebody else has signed": { isForged: true },
    "that nobody has signed": { isUnsigned: true },
  }))
    test(`an ID token ${what} signs nobody in`, async () => {
      provider.tell(lie);
      const browser = httpBrowser();
      const shown = await browser.go(`${place.server.url}/sign-in/openid`);
      assert.match(noticeOf(shown), /cannot be relied upon/);
      assert.equal(shown.status, 403);
      assert.ok(!hasSession(browser));
    });

  test("a provider that calls itself otherwise is none", async () => {
    // As those do that let in anybody's accounts; and by the address of its metadata a provider is not known.
    for (const path of ["/tenant", "/.well-known/openid-configuration"]) {
      const config = configOf(`${provider.issuer}${path}`);
      const openid = await composeOpenid(config, { keys: KEYS, clock: systemClock, publicUrl: () => place.server.url });
      await assert.rejects(openid?.begin("/home") ?? assert.fail(), { code: "remote_unavailable" }, path);
    }
  });

  test("clocks may be half a minute apart", async () => {
    provider.tell({ claims: { iat: now() - 300, exp: now() - 30, groups: "operators" } });
    const browser = httpBrowser();
    const shown = await browser.go(`${place.server.url}/sign-in/openid`);
    assert.match(shown.text, /Signed in as eve/);
    // It has no page for signing out.
    assert.equal((await browser.send(shown, {}, "/sign-out")).url, `${place.server.url}/sign-in`);
  });

  test("who may do nothing is told so, and the log has it", async () => {
    provider.tell({ claims: { groups: ["strangers"] } });
    const browser = httpBrowser();
    const shown = await browser.go(`${place.server.url}/sign-in/openid`);
    assert.match(noticeOf(shown), /you may do nothing here/);
    assert.ok(!hasSession(browser));
    const [entry] = await place.server.deps.audit.newest(undefined, 1);
    assert.deepEqual([entry?.action, entry?.outcome, entry?.target], ["session.begin", "failure", "person/eve"]);
  });
});

test("a provider that is not there when the server starts is asked again by whoever wants to sign in", async () => {
  const provider = await openidProvider(PEOPLE);
  await provider.stop();
  const env = { LONGSHORE_OPENID_CLIENT_AUTH: "basic" };
  const place = await placeAt(provider.issuer, env);
  const lookedAt = async () => {
    const config = configOf(provider.issuer, env);
    return (await Array.fromAsync(signInFindings(config, config.openid ?? assert.fail())))[0];
  };
  try {
    const asked = await httpBrowser().go(`${place.server.url}/sign-in/openid?to=/jobs`);
    assert.match(noticeOf(asked), /does not answer just now/);
    assert.equal(asked.status, 503);
    assert.match(asked.text, /<input name="token"/);
    const { status, found = "" } = (await lookedAt()) ?? {};
    assert.equal(status, "fail");
    assert.match(found, /ECONNREFUSED/);
    await provider.start();
    await provider.serve(place.server.url, "basic");
    assert.equal((await lookedAt())?.status, "ok");
    assert.match((await signIn(place, "ada")).shown.text, /Signed in as ada/);
  } finally {
    await place.server.stop();
    await provider.stop();
  }
});

test("behind a proxy, cookies are for our own paths, over HTTPS alone", () => {
  const attempt = { state: "0123456789abcdef0123", sealed: "sealed" };
  const options = { publicUrl: "https://archive.example.org/longshore" };
  const other = { cookie: "longshore_attempt_x=1" };
  assert.deepEqual(attemptCookies(other, attempt, 600, options), [
    "longshore_attempt_0123456789abcdef=sealed; Path=/longshore/sign-in/openid; Max-Age=600; HttpOnly; SameSite=Lax; Secure",
  ]);
  assert.match(sessionCookie("sealed", 60, options), /; Path=\/longshore; .*; Secure$/);
  assert.match(sessionCookie("sealed", 60, { publicUrl: "https://archive.example.org" }), /; Path=\/; /);
  // Longer than browsers keep: it is left out, and an earlier one is forgotten.
  assert.match(farewellCookie("x".repeat(4_000), 60, options), /^longshore_farewell=; .*Max-Age=0/);
});

test("nobody's word of a provider counts that is not, or not any more, the one of the settings", () => {
  const credential = { kind: "person", name: "ada", scopes: ["read"], issuer: "https://one.example" } as const;
  const text = sealedSessions(KEYS, systemClock, "https://one.example").begin(credential);
  assert.deepEqual(sealedSessions(KEYS, systemClock, "https://one.example").read(text)?.credential, credential);
  assert.equal(sealedSessions(KEYS, systemClock, "https://two.example").read(text), undefined);
  assert.equal(sealedSessions(KEYS, systemClock).read(text), undefined);
});
