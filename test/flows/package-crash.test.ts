import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { openFoundation } from "../../src/compose/foundation.ts";
import { composeServices } from "../../src/compose/services.ts";
import type { Recipe } from "../../src/core/packages/package.ts";
import { loadConfig } from "../../src/settings/config.ts";
import { ckan } from "../support/ckan.ts";
import { mailServer } from "../support/mail-server.ts";
import { ADA, countedCsv, countedTable, memberNames, PUBLIC_URL, unzipped } from "../support/packaging.ts";
import { seededRandom } from "../support/random.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const ROWS = 30_000;
/** At any moment, before the one in which a ZIP appears. */
const KILLS = 2;
/** A lease runs out after 10 s. */
const TAKEOVER_MS = 120_000;

test("packages whose server is killed are finished by the next, and nobody ever sees half of one", async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), "longshore-package-crash-"));
  const mails = await mailServer();
  const portal = await ckan({ version: "2.12", rowsMax: 500, tables: { r: countedTable(ROWS) } });
  const env = {
    LONGSHORE_FETCH_ORIGINS: portal.origin,
    LONGSHORE_FETCH_RATE: "200",
    LONGSHORE_PUBLIC_URL: PUBLIC_URL,
    LONGSHORE_WORKERS: "fast:2,slow:2",
  };
  // Those that are killed send no mails: what a dead process was sending is sent again after ten minutes.
  const mail = { LONGSHORE_SMTP_URL: `smtp://127.0.0.1:${mails.port}?tls.rejectUnauthorized=false` };
  const config = loadConfig({ ...env, ...mail, LONGSHORE_DATA_DIR: dataDir });
  const foundation = await openFoundation(config, systemClock);
  const { packages, statistics } = await composeServices(config, systemClock, foundation);
  let server: ServerProcess | undefined;
  t.after(async () => {
    await server?.end("SIGKILL");
    await foundation.close();
    await portal.close();
    await mails.close();
    await rm(dataDir, { recursive: true });
  });

  const zips = async () =>
    (await readdir(config.shared.packages.path).catch(() => [])).filter((name) => name.endsWith(".zip"));
  async function assertWhole(): Promise<void> {
    for (const name of await zips()) {
      const { status, stdout } = spawnSync("unzip", ["-tq", join(config.shared.packages.path, name)], {
        encoding: "utf8",
      });
      assert.equal(status, 0, `${name}: ${stdout}`);
    }
  }

  const recipe: Recipe = { kind: "datastore", resourceId: "r", apiUrl: portal.apiUrl, format: "csv", manifest: true };
  const orders = [
    await packages.order({ recipe, owner: "ada", email: "a@x.org", door: false }),
    await packages.order({ recipe, owner: "ada", email: "b@x.org", door: false }),
    await packages.order({ recipe: { ...recipe, kind: "dwca", manifest: false }, owner: "ada", door: true }),
  ];

  const random = seededRandom(t);
  for (let kill = 0; kill < KILLS; kill++) {
    server = await startServer({ dataDir, env });
    const from = portal.requests.length;
    const wait = 1 + random(60);
    await until(`${wait} pages were asked for`, () => portal.requests.length >= from + wait, TAKEOVER_MS);
    await server.end("SIGKILL");
    t.diagnostic(`killed after ${wait} requests`);
    await assertWhole();
  }

  server = await startServer({ dataDir, env });
  await until("a ZIP appears", async () => (await zips()).length > 0, TAKEOVER_MS);
  await server.end("SIGKILL");
  await assertWhole();

  server = await startServer({ dataDir, env: { ...env, ...mail } });
  for (const { order } of orders)
    await until(
      `order ${order.id} is ready`,
      async () => {
        const { package: made } = await packages.get(ADA, order.id);
        assert.notEqual(made.status, "failed", JSON.stringify(made.error));
        return made.status === "ready";
      },
      TAKEOVER_MS,
    );
  await assertWhole();
  for (const { order } of orders) {
    const { package: made } = await packages.get(ADA, order.id);
    const path = join(config.shared.packages.path, made.fileName ?? "");
    assert.equal(made.rowCount, ROWS);
    if (made.recipe.kind === "datastore") {
      assert.deepEqual(memberNames(path), ["resource.csv", "manifest.json"]);
      assert.equal(unzipped(path, "resource.csv").toString(), countedCsv(ROWS));
    } else {
      assert.deepEqual(memberNames(path), ["occurrence.csv", "meta.xml"]);
      assert.equal(unzipped(path, "occurrence.csv").toString().split("\n").length, ROWS + 2);
    }
  }

  await until("both requesters have a mail", () => {
    const recipients = new Set(mails.received.flatMap(({ to }) => to));
    return recipients.has("a@x.org") && recipients.has("b@x.org");
  });
  await until("all three are counted, once each", async () => (await statistics.totals("r")).r?.requests === 3);
  await until("nothing but the two ZIPs is left", async () => {
    const left = await readdir(join(config.shared.packages.path, ".longshore"));
    return (await zips()).length === 2 && left.length === 0;
  });
  await server.end("SIGTERM");
});
