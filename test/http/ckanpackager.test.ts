import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { countedCsv, memberNames, unzipped } from "../support/packaging.ts";
import { without } from "../support/tools.ts";
import { until } from "../support/until.ts";
import { MESSAGE, type PackageServer, packageServer, SECRET } from "./package-server.ts";

/*
 * Expected answers are what the original (ckanpackager 0.4.1) was seen to answer, and what its clients (its command line,
 * ckanext-ckanpackager 2.2.9) send and read; where Longshore answers otherwise on purpose, the test's name says so.
 */

const run = promisify(execFile);
const NO_PYTHON = without("Python", ["python3", "--version"], "https://www.python.org");
const FORM = "application/x-www-form-urlencoded";
const ROUTES = [
  ..."/ /status /clear_caches /package_datastore /package_dwc_archive /package_url".split(" "),
  ..."/statistics /statistics/requests /statistics/errors /statistics/other".split(" "),
];

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function send(
  url: string,
  body: string | FormData | null,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url, { method: "POST", body, headers });
  const text = await response.text();
  assert.match(response.headers.get("content-type") ?? "", /^application\/json/, text);
  return { status: response.status, body: JSON.parse(text) };
}

/** Form fields with the secret, as every client sends them. */
const post = (url: string, fields: Readonly<Record<string, string>> = {}) =>
  send(url, new URLSearchParams({ secret: SECRET, ...fields }).toString(), { "content-type": FORM });

const failed = (error: string, message: string) => ({ status: "failed", error, message });
const bad = (message: string): Answer => ({ status: 400, body: failed("BadRequestError", message) });
const SUCCESS: Answer = { status: 200, body: { status: "success", message: MESSAGE } };

const rows = ({ portal }: PackageServer, more: Readonly<Record<string, string>> = {}) => ({
  api_url: portal.apiUrl,
  resource_id: "r",
  email: "ada@example.org",
  ...more,
});

/** Waits for so many mails and gives the last one's ZIP, by what its link says. */
async function mailed(server: PackageServer, count = 1): Promise<string> {
  await until(`${count} mails have come`, () => server.mails.received.length >= count);
  const text = server.mails.received[count - 1]?.source.replaceAll("=\r\n", "") ?? "";
  const [link = "", name = ""] = /https:\/\/\S+\/([0-9a-f]{32}-\d+-\d+\.zip)/.exec(text) ?? [];
  const path = join(server.dataDir, name);
  const answer = await fetch(server.here(link));
  assert.equal(answer.status, 200);
  await writeFile(path, new Uint8Array(await answer.arrayBuffer()));
  return path;
}

describe("who comes to the ckanpackager door", () => {
  test("must know the secret, at every address, or is refused as the original refuses", async (t) => {
    const server = await packageServer(t);
    const refusal: Answer = { status: 401, body: failed("NotAuthorizedError", "Wrong/missing secret") };
    for (const door of server.doors)
      for (const route of ROUTES)
        for (const body of ["", "secret=", `secret=${SECRET}x`, `secret=wrong&secret=${SECRET}`, `Secret=${SECRET}`])
          assert.deepEqual(await send(door + route, body, { "content-type": FORM }), refusal, `${route} ${body}`);
    const [, door] = server.doors;
    assert.deepEqual(await send(`${door}/status?secret=${SECRET}`, null), refusal);
    const { status, body } = await send(`${door}/status`, '{"secret":"wrong"}');
    assert.deepEqual([status, body.status, body.success, body.msg], [401, "failed", false, "Wrong/missing secret"]);
  });

  test("is let in by nothing when no secret is set, and the log says how to set it", async (t) => {
    const server = await packageServer(t, { secret: undefined });
    for (const door of server.doors)
      for (const body of ["secret=", "secret=undefined", ""])
        assert.equal((await send(`${door}/status`, body, { "content-type": FORM })).status, 401);
    const lines = server.log.filter(({ msg }) => String(msg).includes("LONGSHORE_CKANPACKAGER_SECRET"));
    assert.deepEqual(lines.map(({ level }) => level).sort(), [30, 40], "a warning where it has a port of its own");
  });

  test("leaves neither the secret nor a user's key in the log, the jobs or the audit log", async (t) => {
    const server = await packageServer(t);
    const key = "f1b9e0a4-key-of-ada";
    const [, door] = server.doors;
    assert.deepEqual(await post(`${door}/package_datastore`, rows(server, { key })), SUCCESS);
    await post(`${door}/package_datastore`, rows(server, { key, api_url: "http://elsewhere.example/" }));
    await post(`${door}/package_datastore`, rows(server, { key, filters: `{"${key}` }));
    await send(`${door}/status?secret=${SECRET}`, `{"secret": "${SECRET}", `);
    await send(`${door}/status`, `secret=${SECRET}`, { "content-type": "multipart/form-data; boundary=x" });
    await mailed(server);
    assert.equal(server.portal.requests.at(-1)?.headers.authorization, key, "the portal alone is told");
    const jobs = await server.deps.jobs.list({ limit: 10 });
    const kept = [server.log, jobs, await server.deps.audit.list(0, 100), server.mails.received];
    const text = JSON.stringify(kept);
    assert.ok(text.includes("/package_datastore"), "there is a log to look at");
    assert.ok(!text.includes(SECRET) && !text.includes(key));
  });
});

describe("the ckanpackager door", () => {
  test("says how many workers there are, whatever defaults a client sends along, with one slash or two", async (t) => {
    const server = await packageServer(t);
    for (const door of server.doors)
      for (const path of ["/", "//", "/status", "//status"])
        assert.deepEqual(await post(door + path, { api_url: server.portal.apiUrl, resource_id: "r", limit: "x" }), {
          status: 200,
          body: { worker_count: 3 },
        });
  });

  test("packs what ckanext asks for: the ZIP holds the table alone, and the mail's link leads to it", async (t) => {
    const server = await packageServer(t);
    const [below] = server.doors;
    const fields = rows(server, {
      format: "csv",
      filters: JSON.stringify({ name: ["row 7", "row 70"] }),
      q: "",
      limit: "100",
      offset: "0",
      sort: "name",
      resource_url: "http://portal.example/dataset/d/resource/r",
    });
    assert.deepEqual(await post(`${below}//package_datastore`, fields), SUCCESS);
    const zip = await mailed(server);
    assert.deepEqual(memberNames(zip), ["resource.csv"]);
    // Rows 7 and 70 of the portal's table, by hand.
    assert.equal(unzipped(zip, "resource.csv").toString(), "_id,name,square\n7,row 7,49\n70,row 70,4900\n");
    assert.deepEqual(server.mails.received[0]?.to, ["ada@example.org"]);
  });

  test("reads forms by curl, urlencoded and multipart, and of a field that comes twice the first", async (t) => {
    const server = await packageServer(t);
    const [, door] = server.doors;
    const curl = async (flag: string) => {
      const fields = Object.entries({ secret: SECRET, ...rows(server, { limit: "3" }) });
      const args = [...fields, ["limit", "nonsense"]].flatMap(([name, value]) => [flag, `${name}=${value}`]);
      return JSON.parse((await run("curl", ["-sS", ...args, `${door}/package_datastore`])).stdout);
    };
    assert.deepEqual(await curl("--data-urlencode"), SUCCESS.body);
    assert.deepEqual(await curl("-F"), SUCCESS.body);
    const zip = await mailed(server, 2);
    assert.equal(unzipped(zip, "resource.csv").toString(), countedCsv(3));
  });

  test("reads what the original's documentation sends as well, and answers with its fields too", {
    skip: NO_PYTHON,
  }, async (t) => {
    const server = await packageServer(t);
    const [, door] = server.doors;
    const order = { secret: SECRET, ...rows(server), filters: '{"name": "row 7"}', q: null, offset: 0, limit: 1000 };
    // urllib.quote of Python 2 is urllib.parse.quote of Python 3; urllib2 calls any data a form.
    const python = "import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1]), end='')";
    const { stdout: quoted } = await run("python3", ["-c", python, JSON.stringify(order)]);
    assert.match(quoted, /^%7B/);
    const expected = { ...SUCCESS.body, success: true, msg: MESSAGE };
    for (const [body, type] of [
      [quoted, FORM],
      [JSON.stringify({ ...order, filters: { name: "row 7" } }), "application/json"],
      [JSON.stringify({ ...order, filters: { name: "row 7" } }), FORM],
    ] as const)
      assert.deepEqual((await send(`${door}/package_datastore`, body, { "content-type": type })).body, expected);
    const zip = await mailed(server, 3);
    assert.equal(unzipped(zip, "resource.csv").toString(), "_id,name,square\n7,row 7,49\n");

    const asked = () => send(`${door}/`, JSON.stringify({ secret: SECRET }));
    await until("three requests are counted", async () => (await asked()).body.processed_requests === 3);
    assert.deepEqual((await asked()).body, { worker_count: 3, queue_length: 0, processed_requests: 3 });
  });

  test("makes Darwin Core Archives, and gives out tables where the original has no workbooks", async (t) => {
    const server = await packageServer(t);
    const [, door] = server.doors;
    const fields = rows(server, { format: "xlsx", for_gbif: "", eml: "<eml>{package_id}</eml>" });
    assert.deepEqual(await post(`${door}/package_dwc_archive`, fields), SUCCESS);
    const zip = await mailed(server);
    assert.deepEqual([...memberNames(zip)].sort(), ["eml.xml", "gbif.json", "meta.xml", "occurrence.csv"]);
    assert.match(unzipped(zip, "eml.xml").toString(), /^<eml>[0-9a-f-]{36}<\/eml>$/);
  });

  test("packs a file by its address, with the user's key where the portal's own address comes along", async (t) => {
    const seen: (string | undefined)[] = [];
    const server = await packageServer(t, {
      fault(_n, { path, headers }, response) {
        if (!path.startsWith("/files/")) return false;
        seen.push(headers.authorization);
        response.writeHead(200, { "content-type": "text/plain" }).end("the bytes as they are\r\n");
        return true;
      },
    });
    const [, door] = server.doors;
    const file = {
      resource_id: "f",
      email: "ada@example.org",
      resource_url: `${server.portal.origin}/files/a%20b.txt`,
    };
    assert.deepEqual(await post(`${door}/package_url`, { ...file, key: "k" }), SUCCESS);
    const zip = await mailed(server);
    assert.deepEqual(memberNames(zip), ["a%20b.txt"]);
    assert.equal(unzipped(zip, "a%20b.txt").toString(), "the bytes as they are\r\n");
    assert.deepEqual(await post(`${door}/package_url`, { ...file, key: "k", api_url: server.portal.apiUrl }), SUCCESS);
    await mailed(server, 2);
    assert.deepEqual(seen, [undefined, "k"], "a key goes to the portal it is of, and to no other");
  });

  test("takes a limit of 0 for all rows, as the original does", async (t) => {
    const server = await packageServer(t);
    assert.deepEqual(await post(`${server.doors[1]}/package_datastore`, rows(server, { limit: "0" })), SUCCESS);
    assert.equal(unzipped(await mailed(server), "resource.csv").toString(), countedCsv(100));
  });

  test("names the first parameter that is missing; an empty one is there, and refused for what it is", async (t) => {
    const server = await packageServer(t);
    const [, door] = server.doors;
    const needed = {
      package_datastore: ["api_url", "resource_id", "email"],
      package_dwc_archive: ["api_url", "resource_id", "email"],
      package_url: ["resource_id", "email", "resource_url"],
    };
    for (const [route, names] of Object.entries(needed))
      for (const name of names) {
        const others = { ...rows(server), resource_url: `${server.portal.origin}/f.txt` } as Record<string, string>;
        const { [name]: _, ...given } = others;
        assert.deepEqual(await post(`${door}/${route}`, given), bad(`Parameter ${name} is required`));
        const { status, body } = await post(`${door}/${route}`, { ...others, [name]: "" });
        assert.deepEqual([status, body.error], [400, "BadRequestError"], `${route} ${name}`);
      }
    assert.equal((await server.deps.jobs.list({ limit: 1 })).length, 0);
  });

  test("answers in words where the original dies: filters that are no JSON, numbers that are none, an unknown format", async (t) => {
    const server = await packageServer(t);
    const url = `${server.doors[1]}/package_datastore`;
    const filters = "Parameter filters is not a JSON object";
    for (const text of ["{", "[1]", '"a"', "name:value"])
      assert.deepEqual(await post(url, rows(server, { filters: text })), bad(filters), text);
    assert.deepEqual(await post(url, rows(server, { limit: "ten" })), bad("Parameter limit is not an integer"));
    assert.deepEqual(await post(url, rows(server, { offset: "1.5" })), bad("Parameter offset is not an integer"));
    const formats = "csv, tsv, xlsx, jsonl, parquet";
    assert.deepEqual(
      await post(url, rows(server, { format: "odt" })),
      bad(`Parameter format is not one of ${formats}`),
    );
    for (const wrong of [{ limit: "-1" }, { email: "a@x.org\nBcc: b@x.org" }, { api_url: "file:///etc/passwd" }]) {
      const { status, body } = await post(url, rows(server, wrong as Record<string, string>));
      assert.deepEqual([status, body.error], [400, "BadRequestError"], JSON.stringify(wrong));
    }
    const { status, body } = await post(url, rows(server, { api_url: "http://169.254.169.254/latest" }));
    assert.deepEqual([status, body.error], [400, "BadRequestError"]);
    assert.match(String(body.message), /not set up to fetch/);
    assert.equal(server.portal.requests.length, 0);
  });

  test("says in JSON what is no form, no route, not POST or too large", async (t) => {
    const server = await packageServer(t);
    for (const door of server.doors) {
      assert.deepEqual(await send(`${door}/status`, "{nonsense"), bad("The body is not a JSON object"));
      assert.deepEqual(await send(`${door}/status`, "%7B%"), bad("The body is not a JSON object"));
      const multipart = { "content-type": "multipart/form-data; boundary=x" };
      assert.deepEqual(await send(`${door}/status`, "no part", multipart), bad("The body is not multipart/form-data"));
      assert.equal((await send(`${door}/nothing`, null)).body.error, "NotFound");
      const get = await fetch(`${door}/status`);
      assert.deepEqual([get.status, get.headers.get("allow")], [405, "POST"]);
      assert.equal(((await get.json()) as Answer["body"]).error, "MethodNotAllowed");
      const large = await send(`${door}/status`, "x".repeat(5 * 1024 ** 2));
      assert.deepEqual([large.status, large.body.error], [413, "RequestEntityTooLarge"]);
    }
  });

  test("counts as the original does: totals, requests and errors, by resource and address", async (t) => {
    const server = await packageServer(t);
    const [, door] = server.doors;
    const totals = (fields = {}) => post(`${door}/statistics`, fields);
    assert.deepEqual(await totals(), { status: 200, body: { status: true, totals: {} } });

    await post(`${door}/package_datastore`, rows(server, { email: "Ada@Example.org", limit: "5" }));
    await mailed(server);
    await post(`${door}/package_datastore`, rows(server, { email: "bob@x.org" }));
    await mailed(server, 2);
    await post(`${door}/package_datastore`, rows(server, { resource_id: "gone", email: "bob@x.org" }));
    const counted = {
      "*": { emails: 2, requests: 2, errors: 1 },
      gone: { emails: 0, requests: 0, errors: 1 },
      r: { emails: 2, requests: 2, errors: 0 },
    };
    await until("all is counted", async () => JSON.stringify((await totals()).body).includes('"gone"'));
    await until("requests are logged", async () => {
      const { "*": all } = (await totals()).body.totals as typeof counted;
      return all.requests === 2;
    });
    assert.deepEqual(await totals(), { status: 200, body: { status: true, totals: counted } });
    assert.deepEqual((await totals({ resource_id: "r" })).body.totals, { r: counted.r });
    assert.deepEqual((await totals({ resource_id: "never" })).body.totals, {});

    const { body } = await post(`${door}//statistics/requests`, { resource_id: "r" });
    const requests = body.requests as Record<string, unknown>[];
    assert.deepEqual([body.success, requests.length], [true, 2]);
    const now = Math.floor(Date.now() / 1000);
    const [first] = (await post(`${door}/statistics/requests`, { email: "Ada@Example.org" })).body.requests as Record<
      string,
      unknown
    >[];
    assert.ok(Number.isSafeInteger(first?.timestamp) && Math.abs(now - Number(first?.timestamp)) < 60);
    assert.deepEqual(
      { ...first, timestamp: 0 },
      { email: "Ada@Example.org", resource_id: "r", timestamp: 0, count: "5", domain: "example.org" },
    );
    const page = await post(`${door}/statistics/requests`, { offset: "1", limit: "1" });
    assert.equal((page.body.requests as unknown[]).length, 1);

    const errors = (await post(`${door}/statistics/errors`)).body;
    const [error] = errors.errors as Record<string, unknown>[];
    assert.deepEqual([errors.success, error?.email, error?.resource_id], [true, "bob@x.org", "gone"]);
    assert.match(String(error?.message), /Resource was not found|portal refused/);
    assert.deepEqual(Object.keys(error ?? {}), ["email", "resource_id", "timestamp", "message"]);

    assert.deepEqual(await post(`${door}/statistics/nothing`), bad("Unknown statistics request nothing"));
    const limit = await post(`${door}/statistics/requests`, { limit: "all" });
    assert.deepEqual(limit, bad("Parameter limit is not a whole number"));
  });

  test("clears what is stored: links lead nowhere, and the next order is packed anew", async (t) => {
    const server = await packageServer(t);
    const [, door] = server.doors;
    await post(`${door}/package_datastore`, rows(server));
    await rm(await mailed(server));
    assert.equal((await server.stored()).length, 1);
    assert.deepEqual(await post(`${door}/clear_caches`), {
      status: 200,
      body: { status: "success", message: "Done." },
    });
    assert.deepEqual(await server.stored(), []);
    const text = server.mails.received[0]?.source.replaceAll("=\r\n", "") ?? "";
    const [link] = /https:\/\/\S+\.zip/.exec(text) ?? [];
    assert.equal((await fetch(server.here(link))).status, 410);
    const asked = server.portal.requests.length;
    await post(`${door}/package_datastore`, rows(server));
    await readFile(await mailed(server, 2));
    assert.ok(server.portal.requests.length > asked);
  });
});
