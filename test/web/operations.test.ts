import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { webFace } from "../../src/web/face.ts";
import { type RealServer, realServer } from "../http/real-server.ts";

const HOSTILE = "<img src=x onerror=alert(1)>";

describe("pages for operators", () => {
  let server: RealServer;
  before(async () => {
    server = await realServer({ face: webFace, worker: false });
  });
  after(() => server.stop());
  const page = async (path: string) => fetch(`${server.url}${path}`);
  const textOf = async (path: string) => (await page(path)).text();
  const send = (path: string, fields: Record<string, string>) =>
    fetch(`${server.url}${path}`, { method: "POST", body: new URLSearchParams(fields), redirect: "manual" });

  test("the first tells of room, queues and messages, and leads to the others", async () => {
    const text = await textOf("/operations");
    for (const words of ["Free in the archive", "Jobs that wait for a worker", "Messages that wait to be delivered"])
      assert.ok(text.includes(words), words);
    const parts = [...text.matchAll(/href="(\/operations\/[a-z]+)"/g)].map(([, path = ""]) => path);
    assert.equal(parts.length, 6);
    for (const path of parts) assert.equal((await page(path)).status, 200, path);
  });

  test("a part is paused with a reason, which is shown as text, and goes on again", async () => {
    const paused = await send("/operations/switches/pause", { switch: "ingest", reason: HOSTILE });
    assert.deepEqual([paused.status, paused.headers.get("location")], [303, "/operations/switches"]);
    assert.equal(await server.deps.switches.mayRun("ingest"), false);
    const text = await textOf("/operations/switches");
    assert.ok(text.includes("&lt;img src=x onerror=alert(1)&gt;"));
    assert.ok(!text.includes("<img"));
    assert.match(text, /Resume ingest/);
    assert.doesNotMatch(text, /Resume carts/);
    await send("/operations/switches/resume", { switch: "ingest" });
    assert.equal(await server.deps.switches.mayRun("ingest"), true);
  });

  test("work on a path is paused, and nothing that is no path", async () => {
    await send("/operations/switches/pause", { switch: "/data/x/../slow/", reason: "" });
    assert.match(await textOf("/operations/switches"), /Resume \/data\/slow"/);
    assert.equal((await send("/operations/switches/pause", { switch: "slow" })).status, 400);
    await send("/operations/switches/resume", { switch: "/data/slow" });
    assert.doesNotMatch(await textOf("/operations/switches"), /\/data\/slow/);
  });

  test("the nodes that are there are shown with what they do for all", async () => {
    const facts = { role: "server", version: "1", lanes: { fast: 2, slow: 1, run: 0 }, tasks: null } as const;
    await server.stores.nodes.see({ name: "host-1", address: "http://127.0.0.1:1", ...facts });
    await server.stores.leases.take("scheduler", "host-1", 60_000);
    const text = await textOf("/operations/nodes");
    assert.match(text, /host-1<[\s\S]*alive<[\s\S]*scheduler<[\s\S]*fast 2, slow 1, run 0/);
  });

  test("what waits for a node that is not there is shown, by its kind", async () => {
    await server.deps.jobs.submit({ kind: "odd", lane: "run", owner: "ada", input: {} });
    assert.match(await textOf("/operations/nodes"), /1 jobs of the kind odd wait in the lane run/);
    await server.stores.nodes.see({
      name: "host-2",
      address: null,
      role: "worker",
      version: "1",
      lanes: { fast: 0, slow: 0, run: 1 },
      tasks: ["odd"],
    });
    assert.doesNotMatch(await textOf("/operations/nodes"), /of the kind odd/);
  });

  test("a check begins as a job", async () => {
    const begun = await send("/operations/fixity/runs", { minutes: "5" });
    const [, id = ""] = /^\/jobs\/(\d+)$/.exec(begun.headers.get("location") ?? "") ?? [];
    const [entry] = await server.deps.audit.newest(undefined, 1);
    assert.deepEqual([entry?.action, entry?.target, entry?.details], ["fixity.start", `job/${id}`, { minutes: 5 }]);
    assert.equal((await send("/operations/fixity/runs", { minutes: "0" })).status, 400);
    assert.match(await textOf("/operations/fixity?which=never"), /There are none/);
  });

  test("the audit log is read from its end, page by page, and by who did what to what", async () => {
    const { audit } = server.deps;
    for (let nth = 1; nth <= 60; nth++) await audit.record("ada", "test.count", `job/${nth}`, { nth });
    await audit.record(HOSTILE, "test.markup", "nothing", { HOSTILE }, "failure");
    const first = await textOf("/operations/audit");
    assert.ok(first.indexOf("job/60") < first.indexOf("job/59"));
    assert.match(first, /<a href="\/jobs\/60">job\/60<\/a>/);
    assert.ok(!first.includes("<img"));
    const [, older = ""] = /href="([^"]+)">Older</.exec(first) ?? [];
    const second = await textOf(older.replaceAll("&amp;", "&"));
    assert.ok(second.includes(">job/5<") && !second.includes(">job/60<"));
    const filtered = await textOf("/operations/audit?actor=ada&action=&target=job%2F7");
    assert.deepEqual(filtered.match(/\/jobs\/\d+/g), ["/jobs/7"]);
  });

  test("the audit log is verified, also against an entry that was noted", async () => {
    const sound = await textOf("/operations/audit/verification?seq=&hash=");
    assert.match(sound, /entries are in order/);
    const [last] = await server.deps.audit.newest(undefined, 1);
    assert.ok(last && sound.includes(last.hash));
    const noted = (hash: string) => textOf(`/operations/audit/verification?seq=${last.seq}&hash=${hash}`);
    assert.match(await noted(last.hash), /still in the log/);
    assert.match(await noted("0".repeat(64)), /not in the log as it was noted/);
    assert.equal((await page("/operations/audit/verification?seq=1&hash=")).status, 400);
  });

  test("settings are shown as they are in force", async () => {
    const text = await textOf("/operations/settings");
    assert.match(text, /LONGSHORE_DATA_DIR<[\s\S]*?environment/);
    assert.match(text, /LONGSHORE_PORT<[\s\S]*?7700<[\s\S]*?default/);
  });

  // The last: the first token closes the server.
  test("a token is made, shown this once, and revoked by who has signed in with it", async () => {
    const refused = await send("/operations/tokens", { owner: "ada", days: "30" });
    assert.equal(refused.status, 400); // it may do nothing
    assert.match(await refused.text(), /Choose at least one thing that it may do/);
    const wrong = { owner: HOSTILE, days: "7", rateLimit: "often", "scope-crawl": "on" };
    const again = await (await send("/operations/tokens", wrong)).text();
    assert.match(again, /role="alert">No token was made/);
    assert.match(
      again,
      /id="rateLimit"[^>]*aria-invalid="true" value="often"[\s\S]{0,400}id="rateLimit-problem">This is neither/,
    );
    assert.match(again, /id="owner"[^>]* value="&lt;img src=x onerror=alert\(1\)&gt;"/);
    assert.match(again, /name="scope-crawl" value="on" checked/);
    assert.match(again, /<option value="7" selected>/);
    assert.ok(!again.includes("<img") && !again.includes("owner-problem"));
    assert.deepEqual(await server.deps.tokens.list(), []);
    assert.equal((await send("/operations/tokens", { owner: "ada", days: "31", "scope-read": "on" })).status, 400);
    const made = await send("/operations/tokens", { owner: "ada", days: "30", "scope-admin": "on" });
    const [token = ""] = /lsh_[0-9a-f]{12}_[\w-]{43}/.exec(await made.text()) ?? [];
    assert.notEqual(token, "");
    assert.match(made.headers.get("cache-control") ?? "", /no-store/);
    const [info] = await server.deps.tokens.list();
    assert.deepEqual([info?.owner, info?.scopes], ["ada", ["admin"]]);
    // Thirty days from now, within the minute that the test may take.
    assert.ok(Math.abs((info?.expiresAt ?? 0) - Date.now() - 30 * 86_400_000) < 60_000);

    const signedIn = await send("/sign-in", { token });
    const cookie = (signedIn.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
    const asAda = (path: string, init: RequestInit = {}) =>
      fetch(`${server.url}${path}`, { ...init, headers: { cookie }, redirect: "manual" });
    const list = await (await asAda("/operations/tokens")).text();
    assert.ok(!list.includes(token));
    const [, formToken = ""] = /name="formToken" value="([^"]+)"/.exec(list) ?? [];
    const revoke = (fields: Record<string, string>) =>
      asAda(`/operations/tokens/${info?.id}/revoke`, { method: "POST", body: new URLSearchParams(fields) });
    assert.equal((await revoke({})).status, 403);
    assert.equal((await revoke({ formToken })).status, 303);
    assert.notEqual((await server.deps.tokens.list())[0]?.revokedAt, null);
  });
});

test("who operates sees neither tokens nor settings, and who reads nothing of it", async () => {
  const server = await realServer({ face: webFace, worker: false, loopback: false });
  try {
    const as = async (...scopes: Parameters<RealServer["token"]>[1][]) => {
      const headers = await server.token("ada", ...scopes);
      return (path: string) => fetch(`${server.url}${path}`, { headers, redirect: "manual" });
    };
    const operator = await as("operate");
    const text = await (await operator("/operations")).text();
    assert.match(text, /\/operations\/audit"/);
    assert.doesNotMatch(text, /\/operations\/(tokens|settings)"/);
    for (const path of ["/operations/tokens", "/operations/settings"]) assert.equal((await operator(path)).status, 403);
    const reader = await as("read");
    assert.doesNotMatch(await (await reader("/home")).text(), /\/operations"/);
    for (const part of ["", "/switches", "/nodes", "/fixity", "/audit", "/audit/verification"])
      assert.equal((await reader(`/operations${part}`)).status, 403, part);
  } finally {
    await server.stop();
  }
});
