import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until } from "../support/until.ts";
import { bundle } from "./bundle.ts";
import { deposit, finished, json, problem, type WireJob } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

const tar = bundle({ "a.txt": "hello" });

describe("jobs", () => {
  let server: RealServer;
  before(async () => {
    server = await realServer({ worker: false });
  });
  after(() => server.stop());

  const send = (method: string, path: string, body?: unknown) =>
    fetch(`${server.url}/api/v1${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });

  test("are listed newest first, in pages that neither repeat nor miss one", async () => {
    const made: number[] = [];
    for (let i = 0; i < 5; i++) made.unshift((await deposit(server, tar)).id);
    const seen: number[] = [];
    let cursor = "";
    for (;;) {
      const page = await json<{ items: WireJob[]; next: string | null }>(`${server.url}/api/v1/jobs?limit=2${cursor}`);
      assert.ok(page.items.length <= 2 && page.items.length > 0);
      seen.push(...page.items.map(({ id }) => id));
      if (page.next === null) break;
      cursor = `&cursor=${page.next}`;
    }
    assert.deepEqual(seen, made);
    const exact = await json<{ items: WireJob[]; next: string | null }>(`${server.url}/api/v1/jobs?limit=5`);
    assert.deepEqual([exact.items.length, exact.next], [5, null], "a full page is not a promise of more");
  });

  test("are filtered by state, several states, kind and owner", async () => {
    const failed = await deposit(server, new TextEncoder().encode("no tar".repeat(200)));
    const ids = async (query: string) =>
      (await json<{ items: WireJob[] }>(`${server.url}/api/v1/jobs?${query}`)).items.map(({ id }) => id);
    assert.deepEqual(await ids("state=failed"), [failed.id]);
    assert.ok((await ids("state=failed&state=queued")).length > 1);
    assert.deepEqual(await ids("kind=verify"), []);
    assert.deepEqual(await ids("owner=nobody"), []);
    assert.equal((await ids("owner=local&state=failed&kind=ingest")).length, 1);
  });

  test("queries that are not understood are 400, naming every wrong parameter", async () => {
    const unknown = await problem(await send("GET", "/jobs?stat=failed&limit=2"), 400, "request_invalid");
    assert.match(JSON.stringify(unknown.details), /stat/);
    const many = await problem(await send("GET", "/jobs?limit=0&state=lost&cursor=%20"), 400, "request_invalid");
    assert.deepEqual((many.details.problems as { path: string }[]).map(({ path }) => path).sort(), [
      "cursor",
      "limit",
      "state",
    ]);
    for (const path of ["/jobs?limit=1001", "/jobs?cursor=bm8", "/jobs/0", "/jobs/x", "/jobs/1?verbose=1"])
      await problem(await send("GET", path), 400, "request_invalid");
  });

  test("an unknown job is 404", async () => {
    await problem(await send("GET", "/jobs/4711"), 404, "job_unknown");
    await problem(await send("POST", "/jobs/4711/cancel"), 404, "job_unknown");
    await problem(await send("GET", "/jobs/4711/events"), 404, "job_unknown");
  });

  test("a queued job is cancelled at once and can be set failed by an operator, each with a line in the audit log", async () => {
    const { id } = await deposit(server, tar);
    const response = await send("POST", `/jobs/${id}/cancel`);
    const cancelled = (await response.json()) as WireJob;
    assert.deepEqual([response.status, cancelled.state, cancelled.error?.code], [200, "cancelled", "job_cancelled"]);
    await problem(await send("POST", `/jobs/${id}/cancel`), 409, "job_state_conflict");

    const set = await send("PATCH", `/jobs/${id}`, { state: "failed", reason: "checked by hand" });
    assert.equal(((await set.json()) as WireJob).state, "failed");
    await problem(await send("PATCH", `/jobs/${id}`, { state: "running", reason: "x" }), 400, "request_invalid");
    await problem(await send("PATCH", `/jobs/${id}`, { state: "failed" }), 400, "request_invalid");
    await problem(await send("PATCH", `/jobs/${id}`, { priority: 11 }), 400, "request_invalid");
    await problem(await send("PATCH", `/jobs/${id}`, { priority: 0.5 }), 400, "request_invalid");
    await problem(await send("PATCH", `/jobs/${id}`, { priority: 1 }), 409, "job_state_conflict");

    const { items } = await json<{ items: Record<string, unknown>[] }>(`${server.url}/api/v1/audit?limit=1000`);
    const lines = items.filter(({ target }) => target === `job/${id}`);
    assert.deepEqual(
      lines.map(({ action }) => action),
      ["bundle.deposit", "job.cancel", "job.set"],
    );
    assert.deepEqual(lines[2]?.details, { state: "failed", reason: "checked by hand" });
  });

  test("a job whose bytes are gone cannot be retried", async () => {
    const { id } = await deposit(server, new TextEncoder().encode("no tar".repeat(200)));
    await problem(await send("POST", `/jobs/${id}/retry`), 409, "job_state_conflict");
  });
});

describe("job events", () => {
  let server: RealServer;
  before(async () => {
    server = await realServer();
  });
  after(() => server.stop());

  const events = (id: number, headers: Record<string, string> = {}, query = "") =>
    fetch(`${server.url}/api/v1/jobs/${id}/events${query}`, { headers });

  test("tell the history, then what happens, and end with the finished job", async () => {
    const { id } = await deposit(server, tar);
    const response = await events(id, { accept: "text/event-stream" });
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    const messages = parse(await response.text());
    assert.deepEqual(
      messages.flatMap(({ event, data }) => (event === "state" ? [data.state] : [])),
      ["running", "queued", "running", "succeeded"],
    );
    assert.ok(messages.some(({ event, data }) => event === "task" && data.name === "catalogue"));
    assert.ok(messages.some(({ event }) => event === "progress"));
    const last = messages.at(-1);
    assert.deepEqual([last?.event, last?.data.state, last?.data.id], ["end", "succeeded", id]);
    const ids = messages.flatMap(({ id: seq }) => (seq === undefined ? [] : [Number(seq)]));
    assert.deepEqual(
      ids,
      [...new Set(ids)].sort((a, b) => a - b),
    );
  });

  test("go on after Last-Event-ID: cut anywhere, the pieces make the whole history", async () => {
    const { id } = await deposit(server, tar);
    await finished(server, id);
    const whole = parse(await (await events(id)).text()).filter((message) => message.id !== undefined);
    for (const [index, { id: seq = "" }] of whole.entries()) {
      const byHeader = parse(await (await events(id, { "last-event-id": seq })).text());
      assert.deepEqual(
        byHeader.filter((message) => message.id !== undefined),
        whole.slice(index + 1),
      );
      assert.equal(byHeader.at(-1)?.event, "end");
      const byQuery = parse(await (await events(id, {}, `?lastEventId=${seq}`)).text());
      assert.equal(byQuery.filter((message) => message.id !== undefined).length, whole.length - index - 1);
    }
  });

  test("are a page of JSON when JSON is asked for", async () => {
    const { id } = await deposit(server, tar);
    await finished(server, id);
    const accept = { accept: "application/json" };
    const first = (await (await events(id, accept, "?limit=3")).json()) as Page;
    assert.equal(first.items.length, 3);
    const rest = (await (await events(id, accept, `?cursor=${first.next}`)).json()) as Page;
    assert.equal(rest.next, null);
    const all = (await (await events(id, accept)).json()) as Page;
    assert.deepEqual([...first.items, ...rest.items], all.items);
    assert.deepEqual(Object.keys(all.items[0] ?? {}), ["seq", "at", "type", "data"]);
  });

  test("a watcher that leaves is let go, and HEAD does not wait for an end", async () => {
    let watching = 0;
    const quiet = await realServer({
      worker: false,
      wrap: (deps) => ({
        ...deps,
        jobs: {
          ...deps.jobs,
          async *watch(...args) {
            watching++;
            try {
              yield* deps.jobs.watch(...args);
            } finally {
              watching--;
            }
          },
        },
      }),
    });
    try {
      const { id } = await deposit(quiet, tar);
      const leaving = new AbortController();
      const response = await fetch(`${quiet.url}/api/v1/jobs/${id}/events`, { signal: leaving.signal });
      await response.body?.getReader().read();
      assert.equal(watching, 1);
      leaving.abort();
      await until("nobody watches for it any more", () => watching === 0);
      await until("its request is logged", () =>
        quiet.log.some(({ msg, aborted }) => msg === "request" && aborted === true),
      );
      const head = await fetch(`${quiet.url}/api/v1/jobs/${id}/events`, { method: "HEAD" });
      assert.equal(head.status, 405);
    } finally {
      await quiet.stop();
    }
  });

  test("a server that closes ends the stream without an end event, so that the client comes back", async () => {
    const closing = await realServer({ worker: false });
    const { id } = await deposit(closing, tar);
    const response = await fetch(`${closing.url}/api/v1/jobs/${id}/events`);
    const text = response.text();
    const stopped = closing.stop();
    assert.ok(!(await text).includes("event: end"));
    await stopped;
  });
});

interface Page {
  readonly items: readonly Record<string, unknown>[];
  readonly next: string | null;
}

interface Message {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: Record<string, unknown>;
}

/** Blocks of `field: value` lines (WHATWG HTML §9.2.6); those without data are not messages. */
function parse(text: string): Message[] {
  return text.split("\n\n").flatMap((block) => {
    const fields = Object.fromEntries(
      block.split("\n").map((line) => [line.split(": ")[0], line.replace(/^\w*: /, "")]),
    );
    return fields.data === undefined ? [] : [{ id: fields.id, event: fields.event, data: JSON.parse(fields.data) }];
  });
}
