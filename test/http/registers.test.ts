import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Scope } from "../../src/core/access/access-stores.ts";
import { depositFiles } from "./cart-client.ts";
import { json, problem } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

type Fields = Readonly<Record<string, string>>;
interface WireEntry {
  readonly id: number;
  readonly status: string;
  readonly version: number;
  readonly owner: string;
  readonly fields: Record<string, unknown>;
}

const REQUESTS = {
  name: "requests",
  title: "Requests",
  fields: {
    fname: { type: "string", label: "File", minLength: 1, maxLength: 100 },
    size: { type: "integer", minimum: 0 },
    urgent: { type: "boolean", default: false },
    mail: { type: "string", format: "email" },
  },
  required: ["fname"],
  aliases: { file_name: "fname" },
  unique: [["fname", "size"]],
  statuses: {
    Requested: { next: { Taken: ["anyone"], Cancelled: ["owner"], Approved: ["operate"], Never: [] } },
    Taken: { next: { Complete: ["anyone"], Requested: ["anyone"] } },
    Complete: {},
    Cancelled: {},
    Approved: {},
    Never: {},
  },
  initial: "Requested",
  permissions: { create: ["read"], read: ["owner", "operate"], remove: ["owner", "operate"] },
};

describe("registers over HTTP", () => {
  let server: RealServer;
  const tokens: Record<string, Fields> = {};
  before(async () => {
    server = await realServer({ worker: false });
    const scopes: Record<string, Scope[]> = { ada: ["read"], eve: ["read"], ops: ["operate"], root: ["admin"] };
    for (const [name, own] of Object.entries(scopes)) tokens[name] = await server.token(name, ...own);
    assert.equal((await declare(REQUESTS)).status, 200);
  });
  after(() => server.stop());

  function call(who: string, method: string, path: string, body?: unknown, headers: Fields = {}): Promise<Response> {
    const type: Fields = body === undefined ? {} : { "content-type": "application/json" };
    return fetch(`${server.url}/api/v1${path}`, {
      method,
      headers: { ...tokens[who], ...type, ...headers },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  }
  const declare = (one: { readonly name: string }, who = "root") => call(who, "PUT", `/registers/${one.name}`, one);
  let files = 0;
  async function entry(who = "ada", fields: Record<string, unknown> = {}): Promise<WireEntry> {
    const response = await call(who, "POST", "/registers/requests/entries", {
      fields: { fname: `file-${++files}`, ...fields },
    });
    assert.equal(response.status, 201, await response.clone().text());
    const made = (await response.json()) as WireEntry;
    assert.equal(response.headers.get("location"), `/api/v1/registers/requests/entries/${made.id}`);
    return made;
  }
  const setStatus = (who: string, id: number, body: object) =>
    call(who, "POST", `/registers/requests/entries/${id}/status`, body);

  describe("declarations", () => {
    test("what is wrong with one is told with its place", async () => {
      const { statuses } = REQUESTS;
      const wrong: [object, string][] = [
        [{ ...REQUESTS, initial: "Nowhere" }, "initial"],
        [{ ...REQUESTS, required: ["nothing"] }, "required.0"],
        [{ ...REQUESTS, unique: [["fname", "nothing"]] }, "unique.0"],
        [{ ...REQUESTS, aliases: { x: "nothing" } }, "aliases.x"],
        [{ ...REQUESTS, fields: { fname: { type: "string", maxLenght: 3 } } }, "fields.fname"],
        [{ ...REQUESTS, fields: { ...REQUESTS.fields, status: { type: "string" } } }, "fields.status"],
        [{ ...REQUESTS, fields: { 'a"; drop table jobs; --': { type: "string" } } }, 'fields.a"; drop table jobs; --'],
        [{ ...REQUESTS, sqliteView: 'x" as select 1; --' }, "sqliteView"],
        [{ ...REQUESTS, statuses: { ...statuses, Taken: { next: { Gone: [] } } } }, "statuses.Taken.next"],
        [
          { ...REQUESTS, statuses: { ...statuses, Taken: { next: { Complete: ["king"] } } } },
          "statuses.Taken.next.Complete.0",
        ],
        [
          { ...REQUESTS, statuses: { ...statuses, Taken: { expires: { after: "soon", to: "Complete" } } } },
          "statuses.Taken.expires.after",
        ],
        [
          { ...REQUESTS, statuses: { ...statuses, Taken: { mail: { to: "{nobody}", subject: "s", text: "t" } } } },
          "statuses.Taken.mail.to",
        ],
        [
          { ...REQUESTS, statuses: { ...statuses, Taken: { action: { do: "fly", success: "a", failure: "b" } } } },
          "statuses.Taken.action.do",
        ],
        [
          {
            ...REQUESTS,
            statuses: {
              ...statuses,
              Taken: { action: { do: "webhook", url: "https://x.example", success: "Complete", failure: "Nope" } },
            },
          },
          "statuses.Taken.action.failure",
        ],
        [{ ...REQUESTS, surprise: 1 }, ""],
      ];
      for (const [declaration, at] of wrong) {
        const { details } = await problem(
          await call("root", "PUT", "/registers/requests", declaration),
          400,
          "register_invalid",
        );
        const problems = details.problems as { readonly at: string }[];
        assert.ok(
          problems.some((one) => one.at === at),
          `${at}: ${JSON.stringify(problems)}`,
        );
        await problem(await call("ops", "POST", "/registers/check", declaration), 400, "register_invalid");
      }
      await problem(await declare({ ...REQUESTS, name: "Other" }), 400, "request_invalid");
      await problem(await call("root", "PUT", "/registers/other", REQUESTS), 400, "register_invalid");
      await problem(await declare(REQUESTS, "ops"), 403, "scope_missing");
    });

    test("one that contradicts entries is refused with what contradicts, and nothing changes", async () => {
      const { id } = await entry("ada", { size: 7 });
      await setStatus("ada", id, { to: "Taken" });
      const { Taken: _, ...statuses } = REQUESTS.statuses;
      const narrower = {
        ...REQUESTS,
        fields: { ...REQUESTS.fields, size: { type: "integer", maximum: 5 } },
        statuses: { ...statuses, Requested: {} },
        required: ["fname", "mail"],
      };
      for (const answer of [declare(narrower), call("ops", "POST", "/registers/check", narrower)]) {
        const { details } = await problem(await answer, 409, "register_contradicted");
        const about = (details.problems as { entry: number; field: string; message: string }[])
          .filter((one) => one.entry === id)
          .map(({ field, message }) => `${field}: ${message}`)
          .sort();
        assert.deepEqual(about, [': its status "Taken" is not declared', "mail: must be given", "size: must be <= 5"]);
      }
      const { revision } = await json<{ revision: number }>(`${server.url}/api/v1/registers/requests`, tokens.ada);
      assert.equal(revision, 1);
      assert.equal((await call("ops", "POST", "/registers/check", { ...REQUESTS, title: "New" })).status, 200);
    });

    test("one without entries can be forgotten, one of a file only changes there", async () => {
      const declaration = { ...REQUESTS, name: "passing" };
      await declare(declaration);
      const made = await call("ada", "POST", "/registers/passing/entries", { fields: { fname: "a" } });
      const { id } = (await made.json()) as WireEntry;
      await problem(await call("root", "DELETE", "/registers/passing"), 409, "register_in_use");
      assert.equal((await call("ada", "DELETE", `/registers/passing/entries/${id}`)).status, 204);
      assert.equal((await call("root", "DELETE", "/registers/passing")).status, 204);
      await problem(await call("ada", "GET", "/registers/passing"), 404, "register_unknown");
      const fixed = { name: "fixed", text: JSON.stringify({ ...REQUESTS, name: "fixed" }), source: "file" as const };
      const judge = { keysOf: () => [], end: () => undefined };
      await server.stores.registers.declare({ ...fixed, view: null }, judge, 1);
      await problem(
        await declare({ ...REQUESTS, name: "fixed", title: "Mine" } as typeof REQUESTS),
        409,
        "register_fixed",
      );
      await problem(await call("root", "DELETE", "/registers/fixed"), 409, "register_fixed");
    });
  });

  describe("entries", () => {
    test("they have defaults, types and aliases, and what is wrong with one is told by field", async () => {
      const made = await entry("ada", { fname: undefined, file_name: "aliased", size: "12" });
      assert.deepEqual(made.fields, { fname: "aliased", size: 12, urgent: false });
      const body = { fields: { size: -1, mail: "no address", surprise: 1 } };
      const answer = await call("ada", "POST", "/registers/requests/entries", body);
      const { details } = await problem(answer, 422, "entry_invalid");
      const fields = (details.problems as { field: string }[]).map(({ field }) => field).sort();
      assert.deepEqual(fields, ["fname", "mail", "size", "surprise"]);
      await problem(await call("ada", "POST", "/registers/nothing/entries", body), 404, "register_unknown");
    });

    test("a form with script in it is text, and stays text", async () => {
      const fname = '<script>alert("x")</script>';
      const made = await entry("ada", { fname });
      assert.equal(made.fields.fname, fname);
      const { headers } = await call("ada", "GET", `/resources/requests?fname=${encodeURIComponent(fname)}`);
      assert.match(headers.get("content-type") ?? "", /^application\/json/);
      assert.equal(headers.get("x-content-type-options"), "nosniff");
    });

    test("others' entries do not exist for who may not see them; operators see all", async () => {
      const { id } = await entry("ada");
      await problem(await call("eve", "GET", `/registers/requests/entries/${id}`), 404, "entry_unknown");
      await problem(await setStatus("eve", id, { to: "Taken" }), 404, "entry_unknown");
      const seen = async (who: string) => {
        const found = await call(who, "GET", "/registers/requests/entries?limit=1000");
        return ((await found.json()) as { items: WireEntry[] }).items.some((one) => one.id === id);
      };
      assert.deepEqual([await seen("ada"), await seen("eve"), await seen("ops")], [true, false, true]);
      await problem(await call("ada", "GET", "/registers/requests/counts"), 403, "entry_refused");
      assert.equal((await call("ops", "GET", "/registers/requests/counts")).status, 200);
      assert.equal((await fetch(`${server.url}/api/v1/registers/requests/entries`)).status, 401);
    });

    test("of ten clients who race for the same change one wins, and the others get 409", async () => {
      const { id } = await entry("ada");
      const answers = await Promise.all(Array.from({ length: 10 }, () => setStatus("ada", id, { to: "Taken" })));
      const sorted = answers.map(({ status }) => status).sort();
      assert.deepEqual(sorted, [200, ...Array.from({ length: 9 }, () => 409)]);
      const history = await json<{ items: { from: string | null; to: string }[] }>(
        `${server.url}/api/v1/registers/requests/entries/${id}/history`,
        tokens.ada,
      );
      assert.deepEqual(
        history.items.map(({ from, to }) => [from, to]),
        [
          [null, "Requested"],
          ["Requested", "Taken"],
        ],
      );
    });

    test("a status changes as declared, by those who may, from where and in which version it is said to be", async () => {
      const { id, version } = await entry("ada");
      await problem(await setStatus("ada", id, { to: "Complete" }), 409, "entry_conflict");
      await problem(await setStatus("ada", id, { to: "Taken", from: "Complete" }), 409, "entry_conflict");
      await problem(await setStatus("ada", id, { to: "Taken", version: version + 1 }), 409, "entry_conflict");
      await problem(await setStatus("ada", id, { to: "Approved" }), 403, "entry_refused");
      await problem(await setStatus("ops", id, { to: "Never" }), 403, "entry_refused");
      await problem(await setStatus("ops", id, { to: "Cancelled" }), 403, "entry_refused");
      const taken = await setStatus("ada", id, { to: "Taken", from: "Requested", version, reason: "mine" });
      assert.equal(((await taken.json()) as WireEntry).status, "Taken");
    });

    test("no two have the same unique fields, and a repeated request makes one", async () => {
      await entry("ada", { fname: "one of a kind", size: 1 });
      const again = { fields: { fname: "one of a kind", size: 1 } };
      await problem(await call("eve", "POST", "/registers/requests/entries", again), 409, "entry_exists");
      const body = { fields: { fname: "repeated" } };
      const key = { "idempotency-key": "k1" };
      const twice = [1, 2].map(() => call("ada", "POST", "/registers/requests/entries", body, key));
      const ids = await Promise.all(twice.map(async (one) => ((await (await one).json()) as WireEntry).id));
      assert.equal(ids[0], ids[1]);
      const others = await call("eve", "POST", "/registers/requests/entries", body, key);
      assert.notEqual(((await others.json()) as WireEntry).id, ids[0], "keys are each caller's own");
    });

    test("the list goes page by page, by fields and status", async () => {
      for (let n = 0; n < 5; n++) await entry("ada", { size: 77 });
      const seen: number[] = [];
      for (let cursor: string | null = ""; cursor !== null; ) {
        const at = `field=size%3D77&status=Requested&limit=2${cursor && `&cursor=${cursor}`}`;
        const page: { items: WireEntry[]; next: string | null } = await json(
          `${server.url}/api/v1/registers/requests/entries?${at}`,
          tokens.ada,
        );
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.next;
      }
      assert.equal(new Set(seen).size, 5);
      await problem(await call("ada", "GET", "/registers/requests/entries?field=nothing%3D1"), 400, "request_invalid");
    });
  });

  describe("as resources", () => {
    const at = (rest = "") => `/resources/requests${rest}`;

    test("entries are flat, found by any field, and paged by Link", async () => {
      for (let n = 0; n < 3; n++) await entry("ada", { size: 88, urgent: true });
      const first = await call("ada", "GET", at("?size=88&urgent=true&limit=2"));
      const text = await first.text();
      const list = JSON.parse(text) as Record<string, unknown>[];
      assert.equal(list.length, 2);
      assert.ok(text.startsWith('[\n  {\n    "attempts": 0,\n    "createdAt": '), text.slice(0, 100));
      const link = /<([^>]+)>; rel="next"/.exec(first.headers.get("link") ?? "")?.[1] ?? "";
      const second = await fetch(server.url + link, { headers: tokens.ada ?? {} });
      assert.equal(((await second.json()) as unknown[]).length, 1);
      assert.equal(second.headers.get("link"), null);
      await problem(await call("ada", "GET", at("?surprise=1")), 400, "request_invalid");
      const all = (await (await call("ada", "GET", at("/all"))).json()) as { owner: string }[];
      assert.ok(all.length > 3 && all.every(({ owner }) => owner === "ada"));
    });

    test("they are made, replaced, changed and removed by id, in the path or in the body", async () => {
      const posted = await call("ada", "POST", at(), { fname: "resource", size: 1 });
      assert.equal(posted.status, 201);
      const { id } = (await posted.json()) as { id: number };
      const put = await call("ada", "PUT", at(), { id, fname: "replaced" });
      assert.deepEqual([put.status, ((await put.json()) as { size: unknown }).size], [200, null]);
      const patched = await call("ada", "PATCH", at(`/${id}`), { size: 5, status: "Taken" });
      const { fname, size, status } = (await patched.json()) as Record<string, unknown>;
      assert.deepEqual([fname, size, status], ["replaced", 5, "Taken"]);
      await problem(await call("ada", "PATCH", at(`/${id}`), { status: "Taken" }), 409, "entry_conflict");
      await problem(await call("ada", "PUT", at(), { id, size: 5 }), 422, "entry_invalid");
      await problem(await call("ada", "PUT", at(), { fname: "which?" }), 400, "request_invalid");
      await problem(await call("ada", "POST", at(), "{"), 400, "request_invalid");
      assert.equal((await call("ada", "DELETE", at(), { id })).status, 200);
      await problem(await call("ada", "GET", at(`/${id}`)), 404, "entry_unknown");
      await problem(await call("ada", "DELETE", at(), { fname: "replaced" }), 404, "entry_unknown");
      await problem(await call("ada", "DELETE", at(), {}), 400, "request_invalid");
    });

    test("a change by name and old status says how many it has changed, none included", async () => {
      await entry("ada", { fname: "by name", size: 1 });
      await entry("ada", { fname: "by name", size: 2 });
      const change = { where: { fname: "by name", status: "Requested" }, set: { status: "Taken" } };
      const answer = await call("ada", "PATCH", at(), change);
      assert.deepEqual(await answer.json(), { changed: 2 });
      await problem(await call("ada", "PATCH", at(), change), 404, "entry_unknown");
    });
  });

  describe("as files", () => {
    const csv = async (who = "ada") => (await call(who, "GET", "/registers/sheets/export?format=csv")).text();
    before(() => declare({ ...REQUESTS, name: "sheets", unique: [] } as typeof REQUESTS));

    test("an export keeps the order of fields, harms no spreadsheet, and can be imported again", async () => {
      const nasty = ["=HYPERLINK(1)", "+1", "-2+3", "@x", "'=quoted", 'a "b", c\r\nd', "\t=1"];
      for (const fname of nasty) await call("ada", "POST", "/registers/sheets/entries", { fields: { fname, size: 1 } });
      const text = await csv();
      // RFC 4180; an apostrophe before what a spreadsheet would take for a formula (OWASP, "CSV Injection"), "+1" being a number.
      const lines = text.split("\r\n");
      assert.equal(lines[0], "id,fname,size,urgent,mail,status,version,attempts,reason,owner,createdAt,updatedAt");
      const cells = nasty.map(
        (_, n) =>
          /^\d+,("(?:[^"]|"")*"|[^,]*),1,false,,Requested,1,0,,ada,/.exec(text.split(/\r\n(?=\d+,)/)[n + 1] ?? "")?.[1],
      );
      assert.deepEqual(cells, ["'=HYPERLINK(1)", "+1", "'-2+3", "'@x", "''=quoted", '"a ""b"", c\r\nd"', "'\t=1"]);
      const response = await call("eve", "POST", "/registers/sheets/import", text, { "content-type": "text/csv" });
      assert.equal(response.status, 201, await response.clone().text());
      const { created, firstId } = (await response.json()) as { created: number; firstId: number };
      assert.equal(created, nasty.length);
      const back = (await (await call("eve", "GET", "/registers/sheets/export?format=json")).json()) as WireEntry[];
      assert.deepEqual(
        back.map((one) => (one as unknown as { fname: string }).fname),
        nasty,
      );
      assert.equal(back[0]?.id, firstId);
      const list = await call("eve", "POST", "/registers/sheets/import", back);
      assert.equal(((await list.json()) as { created: number }).created, nasty.length);
    });

    test("an import with anything wrong makes nothing, and names the lines", async () => {
      const before = await csv("ops");
      const text = 'fname,size,status\r\ngood,1,Requested\r\n,2,\r\n"two\nlines",x,\r\nlast,4,Complete\r\n';
      const answer = await call("ada", "POST", "/registers/sheets/import", text, { "content-type": "text/csv" });
      const { details } = await problem(answer, 422, "entry_invalid");
      const found = (details.problems as { line: number; field: string }[]).map(({ line, field }) => [line, field]);
      assert.deepEqual(found, [
        [3, "fname"],
        [4, "size"],
        [6, "status"],
      ]);
      const columns = await call("ada", "POST", "/registers/sheets/import", "fname,nothing\r\na,b\r\n", {
        "content-type": "text/csv",
      });
      await problem(columns, 422, "entry_invalid");
      const broken = await call("ada", "POST", "/registers/sheets/import", 'fname\r\n"a', {
        "content-type": "text/csv",
      });
      await problem(broken, 400, "request_invalid");
      assert.equal(await csv("ops"), before);
      const asOperator = "fname,status\r\nkept,Complete\r\n";
      const kept = await call("root", "POST", "/registers/sheets/import", asOperator, { "content-type": "text/csv" });
      assert.equal(kept.status, 201);
    });
  });

  test("a link to a cart needs nothing else, until it expires", async () => {
    const open = await realServer();
    try {
      const { ids } = await depositFiles(open, { "a.txt": "hello" });
      const made = await fetch(`${open.url}/api/v1/carts`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ files: [{ id: ids["a.txt"] }] }),
      });
      const { id } = (await made.json()) as { id: string };
      const link = (expiresAt: number) =>
        `${open.url}/links/cart/${open.deps.links.sign({ kind: "cart", id, generation: 0, expiresAt })}/files.zip`;
      await open.token("somebody", "read");
      const answer = await fetch(link(Date.now() + 60_000));
      assert.deepEqual([answer.status, answer.headers.get("content-type")], [200, "application/zip"]);
      assert.equal(Buffer.from(await answer.arrayBuffer()).toString("latin1", 0, 2), "PK");
      await problem(await fetch(link(Date.now() - 60_000)), 410, "cart_expired");
      await problem(await fetch(`${open.url}/links/cart/nonsense/files.zip`), 404, "link_invalid");
    } finally {
      await open.stop();
    }
  });
});
