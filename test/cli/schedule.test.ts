import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Longshore, LongshoreError, longshore, type Scope } from "../../src/sdk/index.ts";
import { openScheduling } from "../support/scheduling.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { runCli } from "./run-cli.ts";

/** A database with a schedule that was due with the year's beginning, and whose last missed time is made up for. */
async function overdueIn(folder: string): Promise<void> {
  const { create, store, close } = await openScheduling({ path: join(folder, "longshore.sqlite") });
  const { id } = await create({
    name: "overdue",
    expression: "@yearly",
    misfire: "one",
    action: { kind: "program", file: "/bin/echo", args: ["a b", "$HOME"], user: null },
  });
  const now = Date.now();
  await store.change(id, { nextDueAt: Date.UTC(new Date(now).getUTCFullYear(), 0), plannedAt: now }, "boot", now);
  await close();
}

describe("longshore schedule, and schedules over HTTP", () => {
  let folder: string;
  let server: ServerProcess;
  let client: Longshore;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "longshore-cli-schedule-"));
    await overdueIn(folder);
    server = await startServer({ dataDir: folder });
    client = longshore({ url: server.url });
    await until("what was due has been fired", async () => (await client.schedules.find("overdue"))?.lastRun != null);
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  const cli = (...args: string[]) => runCli(["schedule", ...args], { env: { LONGSHORE_URL: server.url }, cwd: folder });
  async function result(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await cli(...args);
    assert.equal(code, 0, stderr);
    return stdout;
  }
  const refused = (code: string) => (error: unknown) => error instanceof LongshoreError && error.code === code;

  test("a schedule is declared, run, looked at and removed", async () => {
    const shown = await result(
      "add",
      "nightly",
      "30 1 * * *",
      "--zone",
      "Europe/London",
      "--env",
      "WORD=hello",
      "--env",
      "CODE=0",
      "--timeout",
      "1m",
      "--",
      'echo "$WORD"; exit $CODE',
    );
    assert.match(shown, /^Schedule nightly\n/);
    assert.match(shown, /when +30 1 \* \* \* \(At 01:30, by the clocks of Europe\/London\)/);
    const ran = await cli("run", "nightly");
    assert.deepEqual([ran.code, ran.stdout], [0, "hello\n"]);
    assert.match(ran.stderr, /^run \d+ succeeded, exit code 0, /);
    await result("edit", "nightly", "--env", "WORD=hello", "--env", "CODE=9");
    const failed = await cli("run", "nightly", "--json");
    assert.equal(failed.code, 5);
    assert.equal(JSON.parse(failed.stdout).exitCode, 9);
    assert.match((await cli("test", "nightly")).stdout, /^# A test: .*# {3}CODE=9\n.*\n\nhello\n$/s);
    assert.match(
      await result("runs", "nightly"),
      /^RUN +DUE +CAUSE +OUTCOME\n +\d+ .* test +run \d+ failed, exit code 9.*\n.* manual .*\n.* manual +run \d+ succeeded/,
    );
    assert.match(await result("output", "nightly"), /hello\n$/);
    assert.match(await result("list"), /^NAME +WHEN +NEXT +LAST +DOES\nnightly +30 1 \* \* \* +20\S+Z +failed +echo/);
    assert.match(await result("pause", "nightly"), /next +paused/);
    await client.schedules.resume((await client.schedules.find("nightly"))?.id ?? "");
    const edited = await result("edit", "nightly", "--name", "every night", "--when", "@daily");
    assert.match(edited, /when +@daily .*\n +next +20/);
    assert.equal(await result("rm", "every night"), "removed  every night\n");
    const gone = await cli("show", "nightly");
    assert.deepEqual([gone.code, gone.stderr.includes("schedule_unknown")], [3, true]);
  });

  test("what was due is run by itself, and its history and output say so", async () => {
    const overdue = await client.schedules.find("overdue");
    assert.ok(overdue?.lastRun, "it was due when the server started");
    const { number, schedule } = overdue.lastRun;
    const run = await client.schedules.waitForRun(schedule, number);
    assert.deepEqual([run.state, run.cause, run.exitCode], ["succeeded", "late", 0]);
    assert.equal(run.dueAt.slice(4), "-01-01T00:00:00.000Z");
    assert.equal(await (await client.schedules.output(schedule, number)).text(), "a b $HOME\n");
  });

  test("a run that does not end is cancelled from outside, and a second one is skipped meanwhile", async () => {
    await result("add", "endless", "@yearly", "--", "echo begun; sleep 1000");
    const { number, schedule } = JSON.parse(await result("run", "endless", "--no-wait", "--json"));
    await until("it has begun", async () => (await client.schedules.getRun(schedule, number)).state === "running");
    const second = await cli("run", "endless");
    assert.deepEqual([second.code, /skipped: Still running: run \d+ of "endless"/.test(second.stderr)], [5, true]);
    await result("cancel", "endless", String(number));
    assert.equal((await client.schedules.waitForRun(schedule, number)).state, "cancelled");
  });

  test("Longshore's own work is named, and done", async () => {
    const actions = await client.schedules.actions();
    for (const name of ["verify", "crawl", "purge"]) assert.ok(actions[name], name);
    await result("add", "proof", "@weekly", "--built-in", "verify", "--input", '{"quick": true}');
    assert.match(await result("run", "proof"), /"objects":0/);
    const wrong = { kind: "built-in", name: "verify", input: { quik: true } } as const;
    await assert.rejects(
      client.schedules.create({ name: "wrong", expression: "@weekly", action: wrong }),
      refused("schedule_invalid"),
    );
  });

  test("named values and secrets reach the command; without those that are required it is not run", async () => {
    await client.schedules.create({
      name: "needy",
      expression: "@daily",
      action: { kind: "shell", command: 'test "$API_KEY" = sesame' },
      required: ["API_KEY"],
    });
    const missing = await cli("run", "needy", "--json");
    assert.match(JSON.parse(missing.stdout).reason, /required|missing|not set/i);
    const set = await runCli(["secret", "set", "--schedule", "needy", "API_KEY"], {
      env: { LONGSHORE_URL: server.url },
      input: "sesame\n",
    });
    assert.equal(set.code, 0, set.stderr);
    assert.equal((await cli("run", "needy")).code, 0);
    assert.match((await cli("test", "needy")).stdout, /# {3}API_KEY=\(kept apart\)/);
  });

  test("a crontab is judged, imported whole or not at all, exported, and the same when it is imported again", async () => {
    const { username } = userInfo();
    const crontab = join(folder, "crontab");
    await writeFile(
      crontab,
      `CRON_TZ=Europe/London\nGREETING="hello"\n# schedule: greet\n*/5 * * * * ${username} echo $GREETING\\% % in\n61 * * * * ${username} x\n`,
    );
    const judged = await cli("check", "crontab", "--form", "system");
    assert.equal(judged.code, 2);
    assert.match(judged.stdout, /^5:1 error: Line 5: minute "61" is not 0-59\.$/m);
    assert.equal((await cli("import", "crontab", "--form", "system")).code, 2);
    assert.equal(await client.schedules.find("greet"), undefined);
    await writeFile(
      crontab,
      `CRON_TZ=Europe/London\nGREETING="hello"\n# schedule: greet\n*/5 * * * * ${username} echo $GREETING\\%; cat%in\n@daily ${username} true\n`,
    );
    await result("import", "crontab", "--form", "system", "--dry-run");
    assert.equal(await client.schedules.find("greet"), undefined);
    await result("import", "crontab", "--form", "system");
    const greet = await client.schedules.find("greet");
    assert.deepEqual(
      [greet?.timeZone, greet?.environment, greet?.action],
      [
        "Europe/London",
        { GREETING: "hello" },
        { kind: "shell", command: "echo $GREETING%; cat", stdin: "in\n", user: username },
      ],
    );
    assert.ok(await client.schedules.find("line 5"));
    assert.equal((await cli("run", "greet")).stdout, "hello%\nin\n");
    const exported = await result("export", "--form", "system");
    assert.match(
      exported,
      new RegExp(`^# schedule: greet\\n\\*/5 \\* \\* \\* \\* ${username} echo \\$GREETING\\\\%; cat%in$`, "m"),
    );
    await writeFile(join(folder, "again"), exported);
    assert.equal((await cli("import", "again", "--form", "system")).code, 4, "these names are taken");
    await result("import", "again", "--form", "system", "--replace");
    assert.equal((await client.schedules.find("greet"))?.id, greet?.id);
    assert.equal(await result("export", "--form", "system"), exported);
    const windows = join(folder, "tasks.bat");
    await writeFile(windows, "schtasks /create /tn Report /tr report.cmd /sc DAILY /st 06:30\r\n");
    await result("import", "tasks.bat", "--form", "windows");
    assert.equal((await client.schedules.find("Report"))?.expression, "30 6 * * *");
    assert.match(
      await result("export", "--form", "windows"),
      /^schtasks \/create \/tn "Report" \/tr "report.cmd" \/sc DAILY \/st 06:30$/m,
    );
  });

  test("an entry without a command is no schedule, and odd times are told of", async () => {
    await writeFile(join(folder, "empty"), "* * * * *\n");
    const { code, stderr } = await cli("import", "empty");
    assert.deepEqual([code, stderr.includes("crontab_invalid")], [2, true]);
    const next = await cli("next", "0 0 30 2 *");
    assert.deepEqual([next.stdout, /never comes/.test(next.stderr)], ["Never\n", true]);
    assert.equal((await result("next", "30 1 * * *", "--zone", "Europe/London", "--count", "3")).split("\n").length, 5);
  });

  test("to declare a command takes the scope admin; operators steer, readers look", async () => {
    // The first token closes the server to whoever has none.
    const { token: first } = await client.tokens.create({ owner: "root", scopes: ["admin"] });
    const asked = async (scope: Scope, schedule: Parameters<typeof client.schedules.create>[0]) => {
      const { token } = await longshore({ url: server.url, token: first }).tokens.create({
        owner: "someone",
        scopes: [scope],
      });
      return longshore({ url: server.url, token }).schedules.create(schedule);
    };
    const command = { name: "c", expression: "@daily", action: { kind: "shell", command: "true" } } as const;
    const own = { name: "o", expression: "@daily", action: { kind: "built-in", name: "purge" } } as const;
    await assert.rejects(asked("operate", command), refused("scope_missing"));
    await assert.rejects(asked("read", own), refused("scope_missing"));
    assert.equal((await asked("operate", own)).owner, "someone");
    assert.equal((await asked("admin", command)).owner, "someone");
  });
});
