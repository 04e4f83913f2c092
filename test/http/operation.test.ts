import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { AppError } from "../../src/core/errors.ts";
import { openApiDocument } from "../../src/http/openapi.ts";
import { movingClock } from "../support/moving-clock.ts";
import { until } from "../support/until.ts";
import { bundle } from "./bundle.ts";
import { deposit, finished, json } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

describe("what operators see", () => {
  let server: RealServer;
  before(async () => {
    server = await realServer();
  });
  after(() => server.stop());

  test("health is 200 while database and storage answer", async () => {
    const state = await json<{ ok: boolean; checks: Record<string, { ok: boolean }> }>(`${server.url}/healthz`);
    assert.deepEqual([state.ok, state.checks.database?.ok, state.checks.storage?.ok], [true, true, true]);
  });

  test("metrics count requests by route, bytes, jobs and what waits", async () => {
    const tar = bundle({ "m.txt": "measured" });
    const before = await metrics(server);
    const { id } = await deposit(server, tar);
    await finished(server, id);
    const { items } = await json<{ items: { id: number }[] }>(`${server.url}/api/v1/transactions/${id}/files`);
    await (await fetch(`${server.url}/api/v1/files/${items[0]?.id}/content`)).text();
    const after = await metrics(server);
    const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    assert.equal(grown("longshore_received_bytes_total"), tar.length);
    assert.equal(grown('longshore_sent_bytes_total{what="file"}'), 8);
    assert.equal(grown('longshore_jobs_finished_total{kind="ingest",state="succeeded"}'), 1);
    assert.equal(grown("longshore_ingest_duration_seconds_count"), 1);
    const bundles = 'longshore_http_request_duration_seconds_count{method="POST",route="/api/v1/bundles",status="2xx"}';
    assert.equal(grown(bundles), 1);
    assert.equal(after.get('longshore_queue_depth{lane="fast"}'), 0);
    assert.equal(after.get('longshore_jobs_open{state="queued"}'), 0);
    assert.equal(after.get("longshore_outbox_depth"), 0);
    assert.ok((after.get("process_resident_memory_bytes") ?? 0) > 0);
  });

  test("the welcome names the API and the doors, to programs and to people", async () => {
    const facts = await json<Record<string, unknown>>(`${server.url}/`, { accept: "application/json" });
    assert.deepEqual([facts.name, facts.api], ["Longshore", "/api/v1"]);
    const doors = [
      "pacifica-ingest",
      "pacifica-cart",
      "pacifica-archive",
      "pacifica-uniqueid",
      "ckanpackager",
      "xtract",
      "elasticsearch",
    ];
    assert.deepEqual(
      facts.doors,
      doors.map((name) => `/doors/${name}/`),
    );
    const page = await fetch(server.url, { headers: { accept: "text/html,*/*;q=0.8" } });
    assert.match(page.headers.get("content-type") ?? "", /^text\/html/);
    assert.match(await page.text(), /href="\/doors\/pacifica-ingest\/"/);
  });
});

test("health is 503 and says which check failed when the database is gone or the storage is silent", async () => {
  const clock = movingClock();
  let broken = false;
  const server = await realServer({
    worker: false,
    wrap: (deps) => ({
      ...deps,
      clock,
      storage: { ...deps.storage, stat: (path) => (broken ? new Promise(() => {}) : deps.storage.stat(path)) },
      observed: {
        ...deps.observed,
        ping: async () => {
          if (broken) throw new AppError("database_unavailable");
        },
      },
    }),
  });
  try {
    assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
    broken = true;
    const asked = fetch(`${server.url}/healthz`);
    await until("the database's failure is logged", () => server.log.some(({ check }) => check === "database"));
    clock.pass(5_000);
    const response = await asked;
    assert.equal(response.status, 503);
    const { checks } = (await response.json()) as { checks: Record<string, { ok: boolean; durationMs: number }> };
    assert.deepEqual([checks.database?.ok, checks.storage], [false, { ok: false, durationMs: 5_000 }]);
  } finally {
    await server.stop();
  }
});

test("a server is ready while it can do its work, also without a search engine, and no more once it is told to stop", async () => {
  let isLeaving = false;
  let isSearchAway = false;
  let isDatabaseAway = false;
  const server = await realServer({
    worker: false,
    wrap: (deps) => ({
      ...deps,
      observed: {
        ...deps.observed,
        isLeaving: () => isLeaving,
        search: async () => {
          if (isSearchAway) throw new AppError("search_unavailable");
        },
        ping: async () => {
          if (isDatabaseAway) throw new AppError("database_unavailable");
        },
      },
    }),
  });
  try {
    const ask = async () => {
      const response = await fetch(`${server.url}/readyz`);
      const { ready, leaving, checks } = (await response.json()) as {
        ready: boolean;
        leaving: boolean;
        checks: Record<string, { ok: boolean }>;
      };
      const failed = Object.keys(checks).filter((name) => !checks[name]?.ok);
      return { status: response.status, ready, leaving, failed };
    };
    const fine = { status: 200, ready: true, leaving: false, failed: [] };
    assert.deepEqual(await ask(), fine);
    isSearchAway = true;
    assert.deepEqual(await ask(), { ...fine, failed: ["search"] });
    isDatabaseAway = true;
    assert.deepEqual(await ask(), { status: 503, ready: false, leaving: false, failed: ["database", "search"] });
    assert.equal((await fetch(`${server.url}/livez`)).status, 200, "nothing is gained by ending a process that waits");
    [isSearchAway, isDatabaseAway, isLeaving] = [false, false, true];
    assert.deepEqual(await ask(), { status: 503, ready: false, leaving: true, failed: [] });
    assert.equal((await fetch(`${server.url}/api/v1/jobs`)).status, 200, "it serves still");
  } finally {
    await server.stop();
  }
});

test("behind a proxy that adds a prefix, addresses carry it", async () => {
  const server = await realServer({ publicUrl: "https://data.example/longshore", worker: false });
  try {
    const response = await fetch(`${server.url}/api/v1/bundles`, { method: "POST", body: new Blob(["no tar"]) });
    assert.match(response.headers.get("location") ?? "", /^\/longshore\/api\/v1\/jobs\/\d+$/);
    const upload = await fetch(`${server.url}/api/v1/uploads`, {
      method: "POST",
      headers: { "tus-resumable": "1.0.0", "upload-length": "5" },
    });
    assert.match(upload.headers.get("location") ?? "", /^\/longshore\/api\/v1\/uploads\/[0-9a-f]{32}$/);
  } finally {
    await server.stop();
  }
});

describe("openapi.json", () => {
  test("lies in the repository as the routes make it", async () => {
    const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));
    const kept = await readFile(new URL("../../openapi.json", import.meta.url), "utf8");
    assert.equal(kept, await openApiDocument(version), "run `npm run docs`");
  });

  test("is served, and describes every route below /api/v1 with summary, tag and problem", async () => {
    const server = await realServer({ worker: false });
    try {
      const document = await json<Document>(`${server.url}/openapi.json`);
      assert.equal(document.openapi, "3.1.0");
      const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, path, ...operation })),
      );
      assert.ok(operations.length >= 20, `${operations.length}`);
      for (const { name, path, summary, tags, responses } of operations) {
        assert.ok(path.startsWith("/api/v1/"), name);
        assert.ok(summary && tags?.length === 1 && responses.default, name);
      }
      const text = JSON.stringify(document);
      for (const [, name = ""] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
        assert.ok(document.components.schemas[name], name);
    } finally {
      await server.stop();
    }
  });
});

interface Document {
  readonly openapi: string;
  readonly components: { readonly schemas: Record<string, object> };
  readonly paths: Record<
    string,
    Record<string, { readonly summary?: string; readonly tags?: string[]; readonly responses: Record<string, object> }>
  >;
}

/** Prometheus text exposition: name with labels → value. */
async function metrics(server: RealServer): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}
