import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { openAssets } from "../../src/web/assets.ts";
import { webFace } from "../../src/web/face.ts";
import { html, markupOf } from "../../src/web/html.ts";
import { bundle } from "../http/bundle.ts";
import { deposit, finished, json, problem } from "../http/client.ts";
import { type RealServer, realServer } from "../http/real-server.ts";
import { until } from "../support/until.ts";

const HOSTILE = `<script>alert("x")</script>' onmouseover='y`;

test("what stands in a template is text, whatever it looks like", () => {
  assert.equal(
    markupOf(html`<a title="${HOSTILE}">${HOSTILE}</a>`),
    '<a title="&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&#39; onmouseover=&#39;y">&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&#39; onmouseover=&#39;y</a>',
  );
  assert.equal(markupOf(html`${[html`<b>`, "<b>", 1, null, false]}`), "<b>&lt;b&gt;1");
  // U+202E turns the direction: "harmless.exe" would end in "exe.txt".
  assert.equal(markupOf(html`${"a\u202Etxt.exe"}`), "a\\u202Etxt.exe");
});

describe("pages of a server that is open to its machine", () => {
  let server: RealServer;
  before(async () => {
    server = await realServer({ face: webFace });
  });
  after(() => server.stop());
  const page = async (path: string, init: RequestInit = {}) => fetch(`${server.url}${path}`, init);

  test("people who find the address are shown the home page; programs are told of the API", async () => {
    const shown = await page("/", { headers: { accept: "text/html" } });
    assert.equal(shown.url, `${server.url}/home`);
    assert.match(await shown.text(), /<h1>Home<\/h1>/);
    assert.equal((await json<{ api: string }>(`${server.url}/`)).api, "/api/v1");
  });

  test("a page allows no script, style or frame but our own, and none inline", async () => {
    const shown = await page("/home");
    const policy = shown.headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
    const text = await shown.text();
    assert.doesNotMatch(text, /<script(?![^>]*src=)|<style|\sstyle=|\son\w+=/);
    for (const [, address = ""] of text.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)) {
      const asset = await page(address);
      assert.equal(asset.status, 200, address);
      assert.match(asset.headers.get("cache-control") ?? "", /immutable/);
    }
  });

  test("a job's page tells its tasks, history and result, and the home page the deposit", async () => {
    const { id } = await deposit(server, bundle({ "a.txt": "hello\n" }));
    await finished(server, id);
    const text = await (await page(`/jobs/${id}`)).text();
    assert.match(text, /succeeded/);
    assert.match(text, /<h2>Tasks<\/h2>/);
    assert.match(text, /<h2>History<\/h2>/);
    assert.match(await (await page("/home")).text(), /Recent deposits/);
    assert.match(await (await page("/jobs?state=succeeded&kind=&owner=")).text(), new RegExp(`/jobs/${id}"`));
  });

  test("a transaction is looked through like folders, its files have previews, whatever they are called", async () => {
    const evil = "<img src=x onerror=alert(1)>.txt";
    const { id } = await deposit(
      server,
      bundle({ [evil]: "<b>bold</b>\n", "sub/table.csv": 'a,b\n1,"x ""y"""\n', "sub/page.html": "<script>1</script>" }),
    );
    await finished(server, id);
    const top = await (await page(`/archive/${id}`)).text();
    assert.ok(top.includes("&lt;img src=x onerror=alert(1)&gt;.txt"));
    assert.ok(!top.includes("<img"));
    assert.match(
      top,
      /<strong>Digests computed<\/strong> <span class="badge good">succeeded[\s\S]*<strong>Ingested<\/strong>/,
    );
    const [, after = ""] = /href="([^"]+premis)"/.exec(top) ?? assert.fail("no PREMIS");
    assert.equal((await page(after)).status, 200);
    assert.match(await (await page(`/archive/${id}?events=1000000`)).text(), /Nothing is noted/);
    const sub = await (await page(`/archive/${id}?folder=data%2Fsub`)).text();
    const fileCalled = (text: string, name: string) =>
      new RegExp(`href="(/files/\\d+)">${name}<`).exec(text)?.[1] ?? assert.fail(name);
    const table = await (await page(fileCalled(sub, "table.csv"))).text();
    assert.match(table, /<th scope="col">a<\/th>/);
    assert.match(table, /<td>x &quot;y&quot;<\/td>/);
    const text = await (await page(fileCalled(top, "&lt;img[^<]*"))).text();
    assert.match(text, /<pre tabindex="0">&lt;b&gt;bold/);
    // A page that somebody has deposited is never shown as one of ours.
    const view = await page(`${fileCalled(sub, "page.html")}/view`);
    assert.equal(view.status, 415);
    assert.equal((await page("/archive/987654")).status, 404);
  });

  test("a search shows what was found, where, and how to narrow it down; what is wrong with a query is said", async () => {
    const find = async (q: string) => page(`/search?${new URLSearchParams({ q })}`);
    await until("it is indexed", async () => (await (await find("name:table.csv")).text()).includes("table.csv</a>"));
    assert.match(await (await find("table")).text(), /<mark>table<\/mark>/);
    const wrong = await find('"open');
    assert.equal(wrong.status, 400);
    assert.match(await wrong.text(), /role="alert"/);
    assert.match(await (await find("<b>nothing</b>")).text(), /Nothing was found|&lt;b&gt;/);
  });

  test("what goes wrong is a page with its code and the request's id", async () => {
    const missing = await page("/jobs/999999");
    assert.equal(missing.status, 404);
    assert.match(await missing.text(), /job_unknown/);
    assert.equal((await page("/jobs?state=odd")).status, 400);
    for (const path of ["web/face.ts", "core/errors.ts", "web/client/../face.ts", "..%2Fpackage.json"])
      assert.equal((await page(`/assets/v/${path}`)).status, 404, path);
  });

  test("a page of another site cannot send our forms", async () => {
    const sent = await page("/jobs/1/cancel", { method: "POST", headers: { origin: "https://evil.example" } });
    assert.equal(sent.status, 403);
    assert.match(await sent.text(), /origin_refused/);
  });
});

describe("signing in", () => {
  let server: RealServer;
  let text: string;
  before(async () => {
    server = await realServer({ face: webFace, loopback: false });
    const { authorization } = await server.token("ada", "deposit", "read");
    text = authorization.slice("Bearer ".length);
  });
  after(() => server.stop());
  const send = (path: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
    fetch(`${server.url}${path}`, {
      method: "POST",
      body: new URLSearchParams(fields),
      headers,
      redirect: "manual",
    });
  const page = (path: string, cookie = "") =>
    fetch(`${server.url}${path}`, { headers: { cookie }, redirect: "manual" });
  async function signedIn(): Promise<string> {
    const answer = await send("/sign-in?to=/jobs", { token: text });
    assert.deepEqual([answer.status, answer.headers.get("location")], [303, "/jobs"]);
    const given = answer.headers.get("set-cookie") ?? "";
    assert.match(given, /; HttpOnly; SameSite=Lax$/);
    assert.ok(!given.includes(text), "the token cannot be read from the cookie");
    return given.slice(0, given.indexOf(";"));
  }

  test("who has not signed in is asked to, and comes back to where they were going", async () => {
    const asked = await page("/jobs?state=failed");
    assert.deepEqual([asked.status, asked.headers.get("location")], [303, "/sign-in?to=%2Fjobs%3Fstate%3Dfailed"]);
    const cookie = await signedIn();
    assert.match(await (await page("/home", cookie)).text(), /Signed in as ada/);
  });

  test("nobody is sent to another host after signing in", async () => {
    for (const to of ["//evil.example", "/\\evil.example", "https://evil.example", "/ok\n"]) {
      const answer = await send(`/sign-in?to=${encodeURIComponent(to)}`, { token: text });
      assert.equal(answer.headers.get("location"), "/home", to);
    }
  });

  test("a token that is not valid is refused, and says so", async () => {
    for (const token of ["", "abc", `${text.slice(0, -1)}_`]) {
      const answer = await send("/sign-in", { token });
      assert.equal(answer.status, 401);
      assert.match(await answer.text(), /role="alert"/);
      assert.equal(answer.headers.get("set-cookie"), null);
    }
  });

  test("a form needs its session's token, and so does a script's request to the API", async () => {
    const cookie = await signedIn();
    const { id } = await deposit(server, bundle({ "a.txt": "hello\n" }), {
      authorization: `Bearer ${text}`,
    });
    const shown = await (await page(`/jobs/${id}`, cookie)).text();
    const [, formToken = ""] = /name="formToken" value="([^"]+)"/.exec(shown) ?? [];
    const stale = await send(`/jobs/${id}/retry`, { formToken: "" }, { cookie });
    assert.equal(stale.status, 403);
    assert.match(await stale.text(), /form_stale/);
    // It is too late to begin it again, but the form was accepted.
    const accepted = await send(`/jobs/${id}/retry`, { formToken }, { cookie });
    assert.match(await accepted.text(), /job_state_conflict/);

    const api = (headers: Record<string, string>) =>
      fetch(`${server.url}/api/v1/jobs/${id}/retry`, { method: "POST", headers: { cookie, ...headers } });
    await problem(await api({}), 403, "form_stale");
    await problem(await api({ "x-form-token": formToken }), 409, "job_state_conflict");
    assert.equal((await fetch(`${server.url}/api/v1/jobs/${id}`, { headers: { cookie } })).status, 200);
  });

  test("a session ends with its token, and when somebody signs out", async () => {
    const { text: short, token } = await server.deps.tokens.create({ owner: "eve", scopes: ["read"], expiresAt: null });
    const answer = await send("/sign-in", { token: short });
    const cookie = (answer.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
    assert.equal((await page("/home", cookie)).status, 200);
    await server.deps.tokens.revoke(token.id);
    assert.equal((await page("/home", cookie)).status, 303);
    const out = await send("/sign-out", {}, { cookie });
    assert.match(out.headers.get("set-cookie") ?? "", /^longshore_session=; .*Max-Age=0/);
  });

  test("a cookie that somebody has made up or changed is none", async () => {
    const cookie = await signedIn();
    for (const forged of [
      `${cookie}x`,
      "longshore_session=e30",
      cookie.replace(/(.{20})(.)(.*)$/, (_, before, one, after) => `${before}${one === "A" ? "B" : "A"}${after}`),
    ])
      assert.equal((await page("/home", forged)).status, 303, forged);
  });
});

test("the SDK is served to pages with what it imports, and nothing else of the server", async () => {
  const assets = await openAssets("");
  const [, version = ""] = /^\/assets\/([^/]+)\//.exec(assets.addressOf("app.js")) ?? [];
  const seen = new Set<string>();
  async function follow(path: string): Promise<void> {
    if (seen.has(path)) return;
    seen.add(path);
    const { bytes, isCurrent } = await assets.read(version, path);
    assert.ok(isCurrent);
    const text = Buffer.from(bytes).toString();
    // What is left of types would be an error of syntax in a browser; Node says so as well.
    assert.doesNotMatch(text, /^(import|export) type /m, path);
    for (const [, target = ""] of text.matchAll(/^(?:import|export) [^;]*?from\s+"(\.[^"]+)";/gms))
      await follow(join(dirname(path), target));
  }
  await follow("sdk/index.js");
  assert.ok(seen.size > 20, [...seen].join(" "));
});
