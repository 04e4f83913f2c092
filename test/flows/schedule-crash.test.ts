import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, type TestContext, test } from "node:test";
import { markedProcesses } from "../../src/adapters/run/processes.ts";
import { type Run, runMark, type ScheduleDefinition } from "../../src/core/schedules/schedule.ts";
import { tick } from "../../src/core/schedules/scheduler.ts";
import { ADA, openScheduling, type Scheduling, shell } from "../support/scheduling.ts";
import { until } from "../support/until.ts";

const RUNNER = join(import.meta.dirname, "../support/schedule-run.ts");
/** Killed at the same time, at different steps. */
const AT_A_TIME = 6;

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "longshore-schedule-crash-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

/** A database in which a schedule is due. */
async function prepared(folder: string, given: Partial<ScheduleDefinition>): Promise<void> {
  const scheduling = await openScheduling({ path: join(folder, "db") });
  // Due next after the test is long over, whenever it runs.
  const { id } = await scheduling.create({ name: "due", expression: "@yearly", misfire: "one", ...given });
  const now = Date.now();
  const nextDueAt = Date.UTC(new Date(now).getUTCFullYear(), 0);
  await scheduling.store.change(id, { nextDueAt, plannedAt: now }, "boot", now);
  await scheduling.close();
}

/** Answers what is due in a process of its own. @returns the steps it took, unless it was killed. */
async function runToEnd(folder: string, killAt?: number): Promise<readonly string[] | undefined> {
  const args = [RUNNER, join(folder, "db"), join(folder, "runs"), ...(killAt === undefined ? [] : [String(killAt)])];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const [printed] = await Promise.all([text(child.stdout), once(child, "exit")]);
  if (child.signalCode === "SIGKILL") return undefined;
  assert.equal(child.exitCode, 0);
  return JSON.parse(printed);
}

/** What the next process makes of it. */
async function aftermath(folder: string): Promise<{ scheduling: Scheduling; runs: readonly Run[] }> {
  const scheduling = await openScheduling({ path: join(folder, "db"), outputs: join(folder, "runs"), leaseMs: 500 });
  const { store, loop } = scheduling;
  await tick(loop);
  scheduling.work();
  const [schedule] = await store.list({ limit: 1 });
  assert.ok(schedule);
  const all = () => store.runs(schedule.id, { limit: 10 });
  await until("every run is over", async () => (await all()).every(({ finishedAt }) => finishedAt !== null));
  return { scheduling, runs: await all() };
}

const linesOf = (file: string) => (existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0);

describe("a process with schedules that is killed", () => {
  for (const rerun of [false, true])
    test(`at any step: one run for the due time, and its command is run ${rerun ? "at least once, as it may be run again" : "at most once, and its history says so"}`, async (t) => {
      const base = await folderOf(t);
      const log = join(base, "log");
      await prepared(base, { action: shell(`echo ran >> ${log}`), rerun });
      const steps = (await runToEnd(base)) ?? [];
      assert.deepEqual(
        steps.filter((step) => step.startsWith("before schedules.")),
        ["fire", "begin", "finish"].map((one) => `before schedules.${one}`),
      );
      assert.equal(linesOf(log), 1);

      // Between the end of a step and the beginning of the next nothing is done: of the two, the second is enough.
      const deaths = steps.flatMap((step, index) =>
        step.startsWith("before") || step === "after schedules.begin" ? [index + 1] : [],
      );
      const outcomes = new Map<string, string>();
      const die = async (killAt: number) => {
        const folder = await folderOf(t);
        const own = join(folder, "log");
        await prepared(folder, { action: shell(`echo ran >> ${own}`), rerun });
        await runToEnd(folder, killAt);
        const { scheduling, runs } = await aftermath(folder);
        const where = `killed at ${killAt}, ${steps[killAt - 1]}`;
        const [run, ...others] = runs;
        assert.deepEqual(others, [], where);
        assert.ok(run, where);
        outcomes.set(`${steps[killAt - 1]}`, `${run.state}, ran ${linesOf(own)}`);
        if (rerun) assert.ok(run.state === "succeeded" && linesOf(own) >= 1, `${where}: ${run.state}`);
        else
          assert.ok(
            run.state === "succeeded" ? linesOf(own) === 1 : run.state === "lost" && linesOf(own) <= 1,
            `${where}: ${run.state}`,
          );
        // Nothing is locked: the next run begins.
        const next = await scheduling.ended(await scheduling.schedules.runNow(ADA, run.schedule, "manual"));
        assert.equal(next.state, "succeeded", where);
        await scheduling.close();
      };
      for (let at = 0; at < deaths.length; at += AT_A_TIME)
        await Promise.all(deaths.slice(at, at + AT_A_TIME).map(die));
      assert.ok(outcomes.size >= 6, JSON.stringify([...outcomes]));
      if (!rerun)
        assert.ok(
          [...outcomes.values()].some((one) => one.startsWith("lost")),
          JSON.stringify([...outcomes]),
        );
    });

  test("in the midst of a command: what still runs of it is ended, the run is lost, and the next one begins", async (t) => {
    const folder = await folderOf(t);
    await prepared(folder, { action: shell("trap '' PIPE; echo begun; sleep 1000 & sleep 1000") });
    const child = spawn(process.execPath, [RUNNER, join(folder, "db"), join(folder, "runs")], { stdio: "ignore" });
    const looking = await openScheduling({ path: join(folder, "db"), outputs: join(folder, "runs") });
    const [schedule] = await looking.store.list({ limit: 1 });
    assert.ok(schedule);
    let run: Run | undefined;
    const mark = () => (run ? `LONGSHORE_RUN=${runMark(run)}` : "");
    await until("its processes are there", async () => {
      [run] = await looking.store.runs(schedule.id, { limit: 1 });
      return run !== undefined && (markedProcesses(mark())?.length ?? 0) === 3;
    });
    await looking.close();
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.equal(markedProcesses(mark())?.length, 3, "they do not end with the server");
    const { scheduling, runs } = await aftermath(folder);
    assert.equal(runs.length, 1);
    assert.deepEqual(
      [runs[0]?.state, runs[0]?.reason],
      [
        "lost",
        "The process that worked on it ended before it; it is not run a second time. 3 of its processes still ran and were ended.",
      ],
    );
    assert.deepEqual(markedProcesses(mark()), []);
    assert.ok(runs[0]?.job);
    assert.equal((await scheduling.jobs.get(runs[0].job)).error?.code, "run_lost");
    await scheduling.close();
  });
});
