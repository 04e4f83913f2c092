import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Scope } from "../../src/core/access/access-stores.ts";
import { webFace } from "../../src/web/face.ts";
import { json } from "../http/client.ts";
import { type RealServer, realServer } from "../http/real-server.ts";

type Fields = Readonly<Record<string, string>>;

/** One field of each kind, and a status that only operators give. */
const LOANS = {
  name: "loans",
  title: "Loans of <tapes>",
  fields: {
    title: { type: "string", label: "Title", minLength: 1, maxLength: 80 },
    mail: { type: "string", label: "Mail", format: "email" },
    copies: { type: "integer", label: "Copies", minimum: 1, maximum: 9, default: 1 },
    urgent: { type: "boolean", label: "Urgent" },
    kind: { type: "string", label: "Kind", enum: ["film", "sound"] },
    day: { type: "string", label: "Day", format: "date", age: { most: "14d" } },
    notes: { type: "string", label: "Notes", maxLength: 5000 },
    parts: { type: "array", label: "Parts", items: { type: "integer" } },
  },
  required: ["title", "mail"],
  unique: [["title", "kind"]],
  statuses: {
    Requested: { next: { Lent: ["operate"], Cancelled: ["owner"] } },
    Lent: { next: { Returned: ["operate"] } },
    Returned: {},
    Cancelled: {},
  },
  initial: "Requested",
  permissions: { create: ["read"], read: ["owner", "operate"], change: ["owner"], remove: ["operate"] },
};

const EVIL = `<script>alert("x")</script>`;
const ESCAPED = "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;";

describe("pages of registers", () => {
  let server: RealServer;
  const cookies: Record<string, string> = {};
  before(async () => {
    server = await realServer({ face: webFace, worker: false });
    const scopes: Record<string, Scope[]> = { ada: ["read"], eve: ["read"], ops: ["operate"], boss: ["admin"] };
    await server.deps.registers.declare(JSON.stringify(LOANS));
    for (const [name, own] of Object.entries(scopes)) {
      const { authorization } = await server.token(name, ...own);
      const answer = await fetch(`${server.url}/sign-in`, {
        method: "POST",
        body: new URLSearchParams({ token: authorization.slice("Bearer ".length) }),
        redirect: "manual",
      });
      cookies[name] = (answer.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
    }
  });
  after(() => server.stop());

  const get = (who: string, path: string) => fetch(`${server.url}${path}`, { headers: { cookie: cookies[who] ?? "" } });
  const text = async (who: string, path: string) => (await get(who, path)).text();
  const hidden = (page: string, name: string) =>
    new RegExp(`name="${name}" value="([^"]+)"`).exec(page)?.[1] ?? assert.fail(`no ${name} in the form`);
  /** Sends what the form of a page would send. */
  function send(who: string, path: string, fields: Fields): Promise<Response> {
    return fetch(`${server.url}${path}`, {
      method: "POST",
      body: new URLSearchParams(fields),
      headers: { cookie: cookies[who] ?? "" },
      redirect: "manual",
    });
  }
  const ofForm = (page: string) => ({ formToken: hidden(page, "formToken") });
  const loan = (fields: Fields) =>
    Object.fromEntries(
      Object.entries({ title: "T", mail: "a@example.org", ...fields }).map(([k, v]) => [`field.${k}`, v]),
    );
  /** @returns the address of the entry. */
  async function added(who: string, fields: Fields): Promise<string> {
    const form = await text(who, "/registers/loans/new");
    const answer = await send(who, "/registers/loans/new", {
      ...ofForm(form),
      key: hidden(form, "key"),
      ...loan(fields),
    });
    assert.equal(answer.status, 303, await answer.text());
    return answer.headers.get("location") ?? "";
  }

  test("the form has a control for each field, as it is declared", async () => {
    assert.match(await text("ada", "/registers"), /href="\/registers\/loans">Loans of &lt;tapes&gt;</);
    const form = await text("ada", "/registers/loans/new");
    for (const control of [
      /<input type="text" id="field\.title"[^>]* required[^>]* maxlength="80"/,
      /<input type="email" id="field\.mail"[^>]* required/,
      /<input type="number" id="field\.copies"[^>]* value="1" min="1" max="9" step="1"/,
      /<select id="field\.urgent"[^>]*>.*<option value="true">yes/,
      /<select id="field\.kind"[^>]*>.*<option value="sound">sound/,
      /<input type="date" id="field\.day" /,
      /<textarea id="field\.notes" /,
      /At most 14 days ago/,
    ])
      assert.match(form, control);
  });

  test("an entry that is added has the types of its fields, whatever they were typed as", async () => {
    const address = await added("ada", {
      title: "Nights",
      copies: "3",
      urgent: "false",
      kind: "film",
      notes: "one\r\ntwo",
      parts: "[1, 2]",
    });
    const id = Number(address.split("/").at(-1));
    const { fields } = await server.deps.registers.entry({ name: "ada", scopes: ["read"], via: "token" }, "loans", id);
    assert.deepEqual(fields, {
      title: "Nights",
      mail: "a@example.org",
      copies: 3,
      urgent: false,
      kind: "film",
      notes: "one\ntwo",
      parts: [1, 2],
    });
    const page = await text("ada", address);
    assert.match(page, /Made: Requested/);
    assert.match(page, /<dd>Nights<\/dd>/);
    const { items } = await json<{ items: { actor: string; action: string }[] }>(
      `${server.url}/api/v1/audit?action=entry.create&limit=1`,
      await server.token("root", "admin"),
    );
    assert.deepEqual([items[0]?.actor, items[0]?.action], ["ada", "entry.create"]);
  });

  test("what is wrong stands beside its field, and what was typed is kept", async () => {
    const form = await text("ada", "/registers/loans/new");
    const fields = loan({ title: EVIL, mail: "nobody", copies: "12", parts: "[1" });
    const refused = await send("ada", "/registers/loans/new", { ...ofForm(form), key: hidden(form, "key"), ...fields });
    assert.equal(refused.status, 422);
    const again = await refused.text();
    for (const shown of [
      /role="alert"/,
      /id="field\.mail"[^>]*aria-describedby="field\.mail-problem" aria-invalid="true"[^>]* value="nobody"/,
      /id="field\.copies-problem">must be &lt;= 9</,
      /id="field\.parts-problem">must be array</,
      /<textarea id="field\.parts"[^>]*>\n\[1<\/textarea>/,
    ])
      assert.match(again, shown);
    assert.ok(again.includes(`value="${ESCAPED}"`) && !again.includes(EVIL));
    assert.doesNotMatch(again, /id="field\.title-problem"/);
  });

  test("a form that is sent twice makes one entry; the same values under another are refused with a link", async () => {
    const form = await text("ada", "/registers/loans/new");
    const sent = { ...ofForm(form), key: hidden(form, "key"), ...loan({ title: "Twice", kind: "sound" }) };
    const [first, second] = [
      await send("ada", "/registers/loans/new", sent),
      await send("ada", "/registers/loans/new", sent),
    ];
    assert.equal(first.headers.get("location"), second.headers.get("location"));
    const other = await send("ada", "/registers/loans/new", { ...sent, key: "another" });
    assert.equal(other.status, 409);
    assert.ok((await other.text()).includes(`href="${first.headers.get("location")}"`));
  });

  test("script in a field stays text, in the table, on the entry's page and in its form", async () => {
    const address = await added("eve", { title: EVIL, notes: `${EVIL}\nmore` });
    for (const path of ["/registers/loans", address, `${address}/edit`]) {
      const page = await text("eve", path);
      assert.ok(page.includes(ESCAPED), path);
      assert.ok(!page.includes(EVIL), path);
    }
  });

  test("a reader is offered what the register allows them, and a form that is stale says so", async () => {
    const address = await added("ada", { title: "Steps" });
    const [own, ops] = [await text("ada", address), await text("ops", address)];
    assert.ok(own.includes('value="Cancelled">') && !own.includes('value="Lent">') && own.includes("/edit"));
    assert.ok(ops.includes('value="Lent">') && !ops.includes('value="Cancelled">') && !ops.includes("/edit"));
    assert.equal((await get("eve", address)).status, 404);

    const step = (to: string, page: string) =>
      send("ops", `${address}/status`, { ...ofForm(page), version: hidden(page, "version"), to, reason: "for a week" });
    assert.equal((await step("Lent", ops)).status, 303);
    const after = await text("ops", address);
    assert.match(after, /Requested → Lent/);
    assert.match(after, /for a week/);
    const stale = await step("Lent", ops);
    assert.equal(stale.status, 409);
    assert.match(await stale.text(), /role="alert">This was not done: the entry has changed/);
    // Nobody does by a form of their own what the buttons do not offer.
    const refused = await send("ada", `${address}/status`, { ...ofForm(own), version: "2", to: "Returned" });
    assert.equal(refused.status, 403);
    assert.match(await refused.text(), /entry_refused/);
    assert.equal((await send("ops", `${address}/status`, { version: "2", to: "Returned" })).status, 403);
  });

  test("fields are changed as a whole; somebody who was quicker is not overwritten unseen", async () => {
    const address = await added("ada", { title: "Before", notes: "gone soon", parts: "[3]" });
    const form = await text("ada", `${address}/edit`);
    assert.match(form, /<textarea id="field\.parts"[^>]*>\n\[3\]<\/textarea>/);
    const sent = (fields: Fields, page: string) =>
      send("ada", `${address}/edit`, { ...ofForm(page), version: hidden(page, "version"), ...loan(fields) });
    assert.equal((await sent({ title: "After", notes: "", parts: "[3]", copies: "2" }, form)).status, 303);
    const page = await text("ada", address);
    assert.match(page, /<dd>After<\/dd>/);
    assert.doesNotMatch(page, /gone soon/);
    assert.match(page, /changed: Title, Copies, Notes/);
    const stale = await sent({ title: "Too late" }, form);
    assert.equal(stale.status, 409);
    const again = await stale.text();
    assert.match(again, /somebody has changed the entry meanwhile/);
    assert.match(again, /value="Too late"/);
    assert.equal((await sent({ title: "Now seen" }, again)).status, 303);
  });

  test("entries are found by status and by any field, page by page", async () => {
    for (let nth = 0; nth < 60; nth++) await added("eve", { title: `Many ${nth}`, copies: nth < 55 ? "5" : "6" });
    const first = await text("eve", "/registers/loans?field.copies=5&status=Requested&field.title=");
    assert.ok(first.includes(">Many 0<") && !first.includes(">Many 50<"));
    const [, next = ""] = /href="([^"]+)">Later entries/.exec(first) ?? [];
    const second = await text("eve", next.replaceAll("&amp;", "&"));
    assert.ok(second.includes(">Many 54<") && !second.includes(">Many 0<") && !second.includes(">Many 55<"));
    assert.doesNotMatch(second, /Later entries/);
    assert.match(await text("eve", "/registers/loans?status=Lent"), /There is no such entry/);
    assert.equal((await get("eve", "/registers/none")).status, 404);
  });

  test("what one may not remove stays; what is removed is gone from the table", async () => {
    const address = await added("ada", { title: "Remove me" });
    const own = await text("ada", address);
    assert.doesNotMatch(own, /\/remove"/);
    assert.equal((await send("ada", `${address}/remove`, ofForm(own))).status, 403);
    const page = await text("ops", address);
    assert.equal((await send("ops", `${address}/remove`, ofForm(page))).headers.get("location"), "/registers/loans");
    assert.equal((await get("ops", address)).status, 404);
  });

  test("entries are saved as files from the page", async () => {
    const page = await text("eve", "/registers/loans");
    const [, address = ""] = /href="([^"]+format=csv)"/.exec(page) ?? [];
    const saved = await get("eve", address);
    assert.match(saved.headers.get("content-disposition") ?? "", /^attachment; filename="loans-/);
    assert.match(await saved.text(), /^id,title,mail/);
  });

  test("a register is declared from the page, once nothing is wrong with it", async () => {
    const blank = await text("boss", "/declare-register");
    const formToken = hidden(blank, "formToken");
    assert.match(await text("boss", "/registers"), /href="\/declare-register"/);
    assert.doesNotMatch(await text("ops", "/registers"), /declare-register/);
    assert.equal((await get("ops", "/declare-register")).status, 403);
    const declaration = { ...LOANS, name: "books", title: "Books", initial: "Lost" };
    const declare = (what: object, verb: string) =>
      send("boss", "/declare-register", { formToken, text: JSON.stringify(what), do: verb });
    const wrong = await declare({ ...declaration, title: EVIL }, "declare");
    assert.equal(wrong.status, 400);
    const told = await wrong.text();
    assert.match(told, /<strong>initial<\/strong>: there is no status &quot;Lost&quot;/);
    assert.ok(told.includes(`&quot;title&quot;:&quot;&lt;script&gt;`) && !told.includes(EVIL)); // what was typed is kept
    const right = { ...declaration, initial: "Requested" };
    assert.match(await (await declare(right, "check")).text(), /Nothing is wrong with books/);
    assert.equal((await get("boss", "/registers/books")).status, 404);
    assert.equal((await declare(right, "declare")).headers.get("location"), "/registers/books");
    assert.match(
      await text("boss", "/registers/books/declaration"),
      /^ {2}&quot;initial&quot;: &quot;Requested&quot;/m,
    );
  });

  test("entries are imported from the page: all of them, or none, with each line that is wrong", async () => {
    const page = await text("ops", "/registers/loans/import");
    assert.match(await text("ops", "/registers/loans"), /href="\/registers\/loans\/import"/);
    const importing = (lines: string) =>
      send("ops", "/registers/loans/import", { formToken: hidden(page, "formToken"), format: "csv", text: lines });
    const head = "title,mail,copies\r\n";
    const wrong = await importing(`${head}First,a@example.org,1\r\nSecond,a@example.org,99\r\n`);
    assert.equal(wrong.status, 422);
    assert.match(await wrong.text(), /<strong>line 3, copies<\/strong>/);
    assert.match(await text("ops", "/registers/loans?field.title=First"), /There is no such entry/);
    const made = await importing(`${head}First,a@example.org,1\r\n`);
    assert.equal(made.headers.get("location"), "/registers/loans");
    assert.match(await text("ops", "/registers/loans?field.title=First"), />First</);
    const [entry] = await server.deps.audit.newest(undefined, 1);
    assert.deepEqual([entry?.action, entry?.target], ["register.import", "register/loans"]);
  });
});
