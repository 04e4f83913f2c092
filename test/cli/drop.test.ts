import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { json, problem } from "../http/client.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { runCli } from "./run-cli.ts";

interface WireDelivery {
  readonly id: number;
  readonly name: string;
  readonly state: string;
  readonly transactionId: number | null;
}

test("a drop folder is declared, watched by the server, looked into and emptied from the command line", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "drop-"));
  const fixed = join(root, "fixed");
  const folder = join(root, "scans");
  for (const each of [fixed, folder]) await mkdir(each);
  await writeFile(join(root, "drops.json"), JSON.stringify([{ name: "fixed", folder: fixed }]));
  const server = await startServer({
    env: { LONGSHORE_MOVE_ROOTS: root, LONGSHORE_DROPS: join(root, "drops.json") },
  });
  t.after(async () => {
    await server.stop();
    await rm(root, { recursive: true });
  });
  const run = (...args: string[]) => runCli(["drop", ...args], { env: { LONGSHORE_URL: server.url } });

  const declaration = {
    name: "scans",
    folder,
    quietSeconds: 0,
    everySeconds: 1,
    grammar: "[a-z]+",
    removal: "approved",
  };
  await writeFile(join(root, "scans.json"), JSON.stringify(declaration));
  const added = await run("add", join(root, "scans.json"));
  assert.equal(added.code, 0, added.stderr);
  assert.match(added.stdout, /^grammar +\[a-z\]\+$/m);
  assert.match((await run("list")).stdout, /^fixed .*never/m);
  const taken = await run("add", join(root, "drops.json"));
  assert.equal(taken.code, 2, "a list is no declaration");

  await writeFile(join(folder, "abc"), "hello");
  await writeFile(join(folder, "NOT"), "this");
  assert.match((await run("look", "scans")).stdout, /^\d found, \d taken/);
  let found: readonly WireDelivery[] = [];
  // The server looks by itself, every few seconds.
  await until("both are settled", async () => {
    const url = `${server.url}/api/v1/drops/scans/deliveries`;
    found = (await json<{ items: readonly WireDelivery[] }>(url)).items;
    return found.length === 2 && found.every(({ state }) => state === "archived" || state === "quarantined");
  });
  const archived = found.find(({ name }) => name === "abc");
  const { stdout } = await run("deliveries", "scans", "--state", "quarantined");
  assert.match(stdout, /NOT +quarantined .*Its name does not follow the grammar of the drop folder\.$/m);

  const approved = await run("approve", "scans", String(archived?.id));
  assert.equal(approved.code, 0, approved.stderr);
  await until("its file is removed", () => !existsSync(join(folder, "abc")));
  const files = `${server.url}/api/v1/transactions/${archived?.transactionId}/files`;
  assert.equal((await json<{ items: { path: string }[] }>(files)).items[0]?.path, "data/abc");

  assert.equal((await run("rm", "scans")).code, 0);
  assert.equal((await run("show", "scans")).code, 3);
  await problem(await fetch(`${server.url}/api/v1/drops/fixed`, { method: "DELETE" }), 409, "drop_fixed");
});
