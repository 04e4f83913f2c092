import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";
import { AppError } from "../../src/core/errors.ts";
import { processMetrics } from "../../src/telemetry/metrics.ts";
import { bundle } from "../http/bundle.ts";
import { deposit, finished } from "../http/client.ts";
import { realServer } from "../http/real-server.ts";
import { movingClock } from "../support/moving-clock.ts";
import { without } from "../support/tools.ts";

const NO_PROMTOOL = without("promtool", ["promtool", "--version"], "Debian: prometheus");

/** What a sample line may look like: the text format of Prometheus, "Line format", 0.0.4. */
const SAMPLE = /^([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)$/;

/** A strict reading: each metric has help and type, is whole in one place, and says each sample once. */
function read(text: string): Map<string, { type: string; samples: Map<string, number> }> {
  const metrics = new Map<string, { type: string; samples: Map<string, number> }>();
  let current: { type: string; samples: Map<string, number> } | undefined;
  let name = "";
  for (const line of text.split("\n").filter((one) => one !== "")) {
    const [, told, kind = ""] = /^# (?:HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (line.startsWith("# HELP")) {
      assert.ok(told && !metrics.has(told), `${told} is told of twice`);
      name = told;
    } else if (line.startsWith("# TYPE")) {
      assert.equal(told, name);
      current = { type: kind, samples: new Map() };
      metrics.set(name, current);
    } else {
      const [, sample = "", labels = "", number = ""] = SAMPLE.exec(line) ?? assert.fail(line);
      assert.ok(sample === name || (sample.startsWith(name) && /_(bucket|sum|count)$/.test(sample)), line);
      assert.ok(!current?.samples.has(`${sample}{${labels}}`), `${line} is said twice`);
      assert.ok(!Number.isNaN(Number(number.replace("+Inf", "Infinity"))) || number === "Nan", line);
      current?.samples.set(`${sample}{${labels}}`, Number(number));
    }
  }
  return metrics;
}

describe("the metrics of a server that has worked", () => {
  test("are read by a strict reader, named as Prometheus names things, and hold neither ids nor names", async (t) => {
    const server = await realServer();
    try {
      const { authorization } = await server.token("carla@example.org", "deposit", "read", "operate");
      const job = await deposit(server, bundle({ "unmistakable-name.txt": "counted" }), { authorization });
      await finished(server, job.id, { authorization });
      await (await fetch(`${server.url}/api/v1/jobs/${job.id}`, { headers: { authorization } })).text();
      await (await fetch(`${server.url}/api/v1/search?q=counted`, { headers: { authorization } })).text();
      const text = await (await fetch(`${server.url}/metrics`, { headers: { authorization } })).text();
      const metrics = read(text);

      for (const [name, { type }] of metrics) {
        if (!name.startsWith("longshore_")) continue;
        assert.equal(name.endsWith("_total"), type === "counter", `${name} is a ${type}`);
        assert.doesNotMatch(name, /_(ms|millis|kb|mb|percent)(_|$)/, "base units");
      }
      assert.doesNotMatch(text, /carla|unmistakable/);
      assert.match(text, /route="\/api\/v1\/jobs\/:id"/);
      assert.doesNotMatch(text, /route="[^"]*\/\d+["/]/, "an id is in a label");
      const value = (name: string, labels = "") => metrics.get(name)?.samples.get(`${name}{${labels}}`);
      assert.equal(value("longshore_archived_files_total"), 1);
      assert.equal(value("longshore_archived_bytes_total"), 7);
      assert.equal(value("longshore_jobs_running", 'lane="fast"'), 0);
      assert.equal(
        metrics.get("longshore_job_pickup_seconds")?.samples.get('longshore_job_pickup_seconds_count{lane="fast"}'),
        1,
      );
      assert.equal(
        metrics
          .get("longshore_search_duration_seconds")
          ?.samples.get('longshore_search_duration_seconds_count{result="found"}'),
        1,
      );
      assert.equal(value("longshore_build_info", `version="0.0.0-test",node="${process.versions.node}"`), 1);
      assert.ok((value("longshore_free_bytes", 'what="data"') ?? 0) > 0);
      await t.test("and taken by Prometheus' own reader", { skip: NO_PROMTOOL }, () => promtool(text));
    } finally {
      await server.stop();
    }
  });
});

function promtool(text: string): void {
  execFileSync("promtool", ["check", "metrics"], {
    // Of what Node.js itself is measured by, others have chosen the names.
    input: text.replace(/^(?:# \w+ )?(?:nodejs|process)_.*\n/gm, ""),
    stdio: ["pipe", "pipe", "pipe"],
  });
}

test("what cannot be looked up is left out and counted, and the rest is shown", async () => {
  const clock = movingClock();
  const metrics = processMetrics({ version: "0.0.0-test", clock });
  const told: string[] = [];
  let oldest = 17;
  const away = async () => {
    throw new AppError("database_unavailable");
  };
  metrics.watch(
    {
      jobs: { countOpen: away, oldestQueued: async () => ({ slow: clock.now() - 90_000 }) },
      queue: { depth: async () => ({ fast: 0, slow: 3, run: 0 }) },
      outbox: { backlog: away },
      searchChanges: {
        depth: async () => 2,
        pending: async () => [{ number: oldest, subject: { file: 1 as never } }],
      },
      storage: { freeBytes: async () => undefined },
      dataFreeBytes: async () => 5,
      fixityStatus: away,
      onTrouble: (_error, during) => void told.push(during),
    },
    { onChange: () => () => {} },
  );
  const value = async (sample: string) => {
    const line = (await metrics.render()).split("\n").find((one) => one.startsWith(`${sample} `));
    return line === undefined ? undefined : Number(line.slice(sample.length + 1));
  };

  assert.equal(await value("longshore_outbox_depth"), undefined);
  assert.ok(Number(await value('longshore_metrics_failed_total{metric="longshore_outbox_depth"}')) >= 1);
  assert.ok(told.includes("looking up longshore_outbox_depth"));
  assert.equal(await value('longshore_queue_oldest_seconds{lane="slow"}'), 90);
  assert.equal(await value('longshore_queue_oldest_seconds{lane="fast"}'), 0);
  assert.equal(await value('longshore_free_bytes{what="data"}'), 5);
  assert.equal(await value('longshore_free_bytes{what="archive"}'), undefined);

  clock.pass(30_000);
  assert.equal(await value("longshore_search_lag_seconds"), 30, "the same change is the oldest");
  oldest = 18;
  assert.equal(await value("longshore_search_lag_seconds"), 0, "the index goes on");
});
