import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { monthOf } from "../../src/web/pages/schedule-calendar.ts";
import { json } from "../http/client.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

type Fields = Readonly<Record<string, string>>;

const EVIL = `<script>alert("x")</script>`;

/** What the form is shown with, before somebody types. */
const UNTOUCHED = { timeZone: "UTC", overlap: "skip", misfire: "none", "notify.when": "failure" };

test("a month has the days of its time zone, also those that are longer, and not every time of a busy day", () => {
  const eachHour = (after: number) => (Math.floor(after / 3_600_000) + 1) * 3_600_000;
  const now = Date.parse("2026-10-10T22:30Z");
  const days = monthOf("2026-10", "Europe/London", eachHour, now);
  assert.equal(days.length, 31);
  // date -u -d 'TZ="Europe/London" 2026-10-25': summer time ends on that day, which has 25 hours.
  const begins = [0, 24, 25].map((at) => new Date(days[at]?.begin ?? 0).toISOString());
  assert.deepEqual(begins, ["2026-09-30T23:00:00.000Z", "2026-10-24T23:00:00.000Z", "2026-10-26T00:00:00.000Z"]);
  assert.deepEqual([days[8]?.times, days[8]?.hasMore], [[], false]); // over
  const [tenth, eleventh] = [days[9], days[10]];
  assert.deepEqual([tenth?.times, tenth?.hasMore], [[], false]); // 23:00Z is the eleventh's first
  assert.deepEqual(eleventh?.times[0], Date.parse("2026-10-10T23:00Z"));
  assert.deepEqual([eleventh?.times.length, eleventh?.hasMore], [4, true]);
  const never = monthOf("2026-02", "Asia/Kathmandu", () => null, now);
  assert.deepEqual([never.length, never[0]?.begin], [28, Date.parse("2026-01-31T18:15Z")]); // UTC+5:45
});

describe("pages of schedules", () => {
  let server: ServerProcess;
  before(async () => {
    server = await startServer();
  });
  after(() => server?.stop());

  const get = (path: string) => fetch(`${server.url}${path}`);
  const text = async (path: string) => (await get(path)).text();
  const send = (path: string, fields: Fields = {}) =>
    fetch(`${server.url}${path}`, { method: "POST", body: new URLSearchParams(fields), redirect: "manual" });
  const create = (kind: string, fields: Fields) => send(`/schedules/new?kind=${kind}`, { ...UNTOUCHED, ...fields });
  async function created(kind: string, fields: Fields): Promise<string> {
    const answer = await create(kind, fields);
    assert.equal(answer.status, 303, await answer.text());
    return answer.headers.get("location") ?? "";
  }
  const declared = (path: string) => json<Record<string, unknown>>(`${server.url}/api/v1${path}`);

  test("a schedule is on a calendar, month by month, by the clocks that one asks for", async () => {
    const path = await created("shell", {
      name: "at noon",
      expression: "0 12 * * *",
      timeZone: "Asia/Tokyo",
      "action.command": "true",
    });
    assert.match(await text(path), new RegExp(`href="${path}/calendar"`));
    const year = new Date().getUTCFullYear() + 1;
    const month = await text(`${path}/calendar?month=${year}-03`);
    assert.match(month, new RegExp(`March ${year}`));
    assert.equal([...month.matchAll(/<li>12:00<\/li>/g)].length, 31);
    const elsewhere = await text(`${path}/calendar?month=${year}-03&timeZone=UTC`);
    assert.equal([...elsewhere.matchAll(/<li>03:00<\/li>/g)].length, 31); // Tokyo is nine hours ahead
    assert.ok(elsewhere.includes(`month=${year}-04&amp;timeZone=UTC`) && elsewhere.includes(`month=${year}-02&amp;`));
    const refused = await get(`${path}/calendar?timeZone=${encodeURIComponent(EVIL)}`);
    assert.equal(refused.status, 400);
    assert.match(await refused.text(), /aria-invalid="true"/);
    assert.equal((await get(`${path}/calendar?month=2026-13`)).status, 400);
    assert.equal((await send(`${path}/remove`)).status, 303);
  });

  test("each kind of action can be declared, as the API has it", async () => {
    const shell = await created("shell", {
      name: "nightly",
      expression: "30 3 * * *",
      "action.command": "echo one\r\necho two",
      environment: "A=1\r\nB=x = y\r\n",
      timeoutMs: "90",
      "conditions.window.from": "02:00",
      "conditions.window.until": "05:00",
      rerun: "on",
    });
    const { action, environment, timeoutMs, conditions, rerun, overlap } = await declared(shell);
    assert.deepEqual(
      { action, environment, timeoutMs, conditions, rerun, overlap },
      {
        action: { kind: "shell", command: "echo one\necho two", stdin: null, user: null },
        environment: { A: "1", B: "x = y" },
        timeoutMs: 90_000,
        conditions: {
          window: { from: "02:00", until: "05:00" },
          loadBelow: null,
          free: null,
          online: [],
          waitMs: 0,
        },
        rerun: true,
        overlap: "skip",
      },
    );
    const program = await created("program", {
      name: "program",
      expression: "@daily",
      "action.file": "/bin/echo",
      "action.args": "a b\r\n-c",
    });
    assert.deepEqual((await declared(program)).action, {
      kind: "program",
      file: "/bin/echo",
      args: ["a b", "-c"],
      user: null,
    });
    const http = await created("http", {
      name: "call",
      expression: "0 * * * *",
      "action.method": "POST",
      "action.url": "http://127.0.0.1:9/",
      "action.headers": "X-One: a: b\r\nX-Two:c",
      "action.body": "{}",
    });
    assert.deepEqual((await declared(http)).action, {
      kind: "http",
      method: "POST",
      url: "http://127.0.0.1:9/",
      headers: { "X-One": "a: b", "X-Two": "c" },
      body: "{}",
    });
    const [name = ""] = Object.keys(await declared("/schedules/actions"));
    assert.ok((await text("/schedules/new?kind=built-in")).includes(`<option value="${name}">${name}: `));
    // Without a mail server nobody can be told; the form says so, and keeps what was typed.
    const mail = await create("mail", {
      name: "mail",
      expression: "@weekly",
      "action.to": "a@example.org",
      "action.subject": "Hello",
      "action.text": "x",
    });
    assert.equal(mail.status, 400);
    const again = await mail.text();
    assert.match(again, /mail needs LONGSHORE_SMTP_URL/);
    assert.match(again, /value="a@example\.org"/);
  });

  test("what is wrong stands beside its field, and what was typed is kept", async () => {
    const refused = await create("shell", {
      name: EVIL,
      expression: "61 * * * *",
      "action.command": "true",
      lock: "a b",
    });
    assert.equal(refused.status, 400);
    const page = await refused.text();
    assert.match(page, /id="expression-problem">minute &quot;61&quot;/);
    assert.ok(page.includes('value="&lt;script&gt;') && !page.includes(EVIL));
    for (const [name, fields] of [
      ["timeZone", { timeZone: "Mars/Base" }],
      ["action.command", { "action.command": " " }],
      ["lock", { lock: "a b" }],
      ["environment", { environment: "no pair" }],
      ["conditions.window.from", { "conditions.window.from": "02:00" }],
      ["timeoutMs", { timeoutMs: "soon" }],
      ["name", { name: "nightly" }],
    ] as const) {
      const one = await create("shell", { name: "x", expression: "@daily", "action.command": "true", ...fields });
      const shown = await one.text();
      assert.ok(one.status >= 400 && shown.includes(`id="${name}-problem"`), `${name}: ${one.status}`);
      if (!["name", "timeZone", "action.command"].includes(name)) assert.match(shown, /<details open>/, name);
    }
    assert.equal((await json<{ items: unknown[] }>(`${server.url}/api/v1/schedules?name=x`)).items.length, 0);
  });

  test("an expression's times are told by the clocks of its zone, and what is odd about it", async () => {
    const shown = await text(
      `/schedules/when?${new URLSearchParams({ expression: "0 6 * * 1", timeZone: "Asia/Tokyo" })}`,
    );
    // 06:00 in Tokyo is 21:00 UTC of the day before, all year round.
    assert.equal([...shown.matchAll(/<dt>Mon, \d/g)].length, 10);
    assert.equal(
      [...shown.matchAll(/<strong>06:00<\/strong> <span class="soft"><time datetime="[\d-]+T21:00:00/g)].length,
      10,
    );
    assert.match(shown, /Asia\/Tokyo/);
    const wrong = await get(`/schedules/when?${new URLSearchParams({ expression: "* * *" })}`);
    assert.equal(wrong.status, 200);
    assert.match(await wrong.text(), /class="notice">/);
    assert.match(await text(`/schedules/when?expression=${encodeURIComponent("0 0 31 2 *")}`), /It is never due/);
  });

  test("a schedule is run now, its run's page has what it printed, and its history tells of it", async () => {
    const address = await created("shell", {
      name: "prints",
      expression: "0 0 1 1 *",
      "action.command": `printf '%s\\n' '${EVIL}'; exit 3`,
    });
    assert.match(await text(address), /It has not run yet/);
    const run = (await send(`${address}/run`)).headers.get("location") ?? "";
    await until("it has run", async () => (await text(run)).includes("failed"));
    const page = await text(run);
    assert.ok(page.includes("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;\n</pre>") && !page.includes(EVIL));
    assert.match(page, /<dt>Exit code<\/dt><dd>3</);
    assert.match(page, /somebody wanted it/);
    const [, output = ""] = /href="([^"]+)" download=/.exec(page) ?? [];
    assert.equal(await text(output), `${EVIL}\n`);
    assert.ok((await text(address)).includes(`href="${run}"`));
    assert.match(await text("/schedules"), /class="badge bad">failed</);

    const tried = (await send(`${address}/test`)).headers.get("location") ?? "";
    await until("it was tried", async () => (await text(tried)).includes("failed"));
    assert.match(await text(tried), /PATH=/);
    assert.equal((await get(`${address}/runs/999999`)).status, 404);
  });

  test("of much output the end is shown, from the beginning of a line", async () => {
    const address = await created("shell", {
      name: "talks",
      expression: "0 0 1 1 *",
      "action.command": "seq -f 'line %08.0f' 1 20000",
    });
    const run = (await send(`${address}/run`)).headers.get("location") ?? "";
    await until("it has run", async () => (await text(run)).includes("succeeded"));
    const page = await text(run);
    const [, shown = ""] = /<pre tabindex="0">([^<]*)<\/pre>/.exec(page) ?? [];
    assert.ok(shown.startsWith("line ") && shown.endsWith("line 00020000\n"));
    assert.ok(shown.length <= 64 * 1024 && shown.length > 63 * 1024, String(shown.length));
    assert.match(page, /The last 64\.0 KiB/);
  });

  test("a run that goes on can be ended from its page", async () => {
    const address = await created("shell", { name: "sleeps", expression: "0 0 1 1 *", "action.command": "sleep 600" });
    const run = (await send(`${address}/run`)).headers.get("location") ?? "";
    await until("it runs", async () => (await text(run)).includes('badge busy">running'));
    assert.equal((await send(`${run}/cancel`)).status, 303);
    await until("it has ended", async () => (await text(run)).includes("cancelled"));
    assert.doesNotMatch(await text(run), /\/cancel"/);
  });

  test("a schedule is paused, resumed, changed and removed; a form that is stale does not overwrite", async () => {
    const address = await created("shell", { name: "steady", expression: "0 5 * * *", "action.command": "true" });
    assert.equal((await send(`${address}/pause`)).status, 303);
    assert.match(await text(address), /these times pass without a run/);
    assert.equal((await send(`${address}/resume`)).status, 303);
    assert.doesNotMatch(await text(address), /these times pass/);

    const form = await text(`${address}/edit`);
    const [, changedAt = ""] = /name="changedAt" value="(\d+)"/.exec(form) ?? [];
    assert.match(form, /<textarea id="action\.command"[^>]*>\ntrue<\/textarea>/);
    const edited = { ...UNTOUCHED, name: "steady", expression: "0 7 * * *", "action.command": "echo 7" };
    const changed = await send(`${address}/edit?kind=shell`, { ...edited, changedAt });
    assert.equal(changed.status, 303, await changed.text());
    assert.match(await text(address), /At 07:00/);
    const stale = await send(`${address}/edit?kind=shell`, { ...edited, expression: "0 9 * * *", changedAt });
    assert.equal(stale.status, 409);
    assert.match(await stale.text(), /has been changed since the form was shown/);
    assert.match(await text(address), /At 07:00/);

    assert.equal((await send(`${address}/remove`)).headers.get("location"), "/schedules");
    assert.equal((await get(address)).status, 404);
  });

  test("a crontab is checked with lines and columns, imported as a whole, and saved again", async () => {
    const given = (crontab: string, step: string) =>
      send("/schedules/import", { form: "user", timeZone: "UTC", prefix: "line ", text: crontab, do: step });
    const checked = await given("0 4 * * * true\r\n0 25 * * * true\r\n", "check");
    assert.equal(checked.status, 200);
    const findings = await checked.text();
    assert.match(findings, /Line 2, column 3/);
    assert.match(findings, /hour &quot;25&quot;/);
    assert.equal((await given("0 25 * * * true\r\n", "import")).status, 400);
    const good = "# schedule: imported\r\n0 4 * * * echo imported\r\n";
    assert.match(await (await given(good, "check")).text(), /Schedules that would be made: 1</);
    assert.deepEqual((await declared("/schedules?name=imported")).items, []);
    assert.equal((await given(good, "import")).status, 303);
    assert.match(await text("/schedules"), />imported<\/a>/);
    const page = await text("/schedules");
    const [, saved = ""] = /href="([^"]+)" download="longshore\.crontab"/.exec(page) ?? [];
    assert.match(await text(saved), /^0 4 \* \* \* echo imported$/m);
    const again = await given(good, "import");
    assert.equal(again.status, 409);
    assert.match(await again.text(), /A schedule of this name exists already/);
  });

  // The last one: the first token closes a server that was open.
  test("who only reads is offered nothing that the API refuses them", async () => {
    const address = await created("http", {
      name: "looked at",
      expression: "@daily",
      "action.url": "http://127.0.0.1:9/",
      "action.method": "GET",
    });
    const made = await fetch(`${server.url}/api/v1/tokens`, {
      method: "POST",
      body: JSON.stringify({ owner: "rea", scopes: ["read"] }),
      headers: { "content-type": "application/json" },
    });
    const { token } = (await made.json()) as { token: string };
    const cookie = ((await send("/sign-in", { token })).headers.get("set-cookie") ?? "").split(";")[0] ?? "";
    const page = (path: string) => fetch(`${server.url}${path}`, { headers: { cookie } });
    const shown = await (await page(address)).text();
    assert.match(shown, /<h1>looked at<\/h1>/);
    assert.doesNotMatch(shown, /Run now|\/edit"/);
    assert.doesNotMatch(await (await page("/schedules")).text(), /New schedule|Import/);
    for (const path of ["/schedules/new", `${address}/edit`, "/schedules/import"])
      assert.equal((await page(path)).status, 403, path);
  });
});
