import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { controlFile } from "../../../src/adapters/control-file.ts";
import { openSqlite } from "../../../src/adapters/db/stores.ts";
import { AppError } from "../../../src/core/errors.ts";
import { SUBSYSTEMS, type Subsystem, subjectOf } from "../../../src/core/switches/switch.ts";
import { type Switches, switchService } from "../../../src/core/switches/switches.ts";
import { movingClock } from "../../support/moving-clock.ts";

interface Fixture extends Switches {
  /** The path of a control file that is not there yet. */
  readonly path: string;
  /** Which of the subsystems may run. */
  running(path?: string): Promise<readonly Subsystem[]>;
}

async function open(t: TestContext, { withFile = false } = {}): Promise<Fixture> {
  const folder = await mkdtemp(join(tmpdir(), "switches-"));
  const clock = movingClock();
  const stores = await openSqlite({ path: join(folder, "db"), clock });
  t.after(async () => {
    await stores.close();
    await rm(folder, { recursive: true });
  });
  const path = join(folder, "control.json");
  const switches = switchService({
    store: stores.switches,
    clock,
    readControlFile: withFile ? controlFile(path) : undefined,
  });
  return {
    ...switches,
    path,
    async running(item) {
      const may = await Promise.all(SUBSYSTEMS.map((name) => switches.mayRun(name, item)));
      return SUBSYSTEMS.filter((_, i) => may[i]);
    },
  };
}

const others = (...stopped: readonly Subsystem[]) => SUBSYSTEMS.filter((name) => !stopped.includes(name));

test("everything may run until somebody pauses it, and again when the pause is taken back", async (t) => {
  const { running, pause, resume } = await open(t);
  assert.deepEqual(await running("/srv/x"), SUBSYSTEMS);
  await pause("carts", "ada");
  assert.deepEqual(await running(), others("carts"));
  await pause("all", "ada");
  assert.deepEqual(await running(), []);
  assert.equal(await resume("all"), true);
  assert.deepEqual(await running(), others("carts"), "the narrower pause is still there");
  assert.equal(await resume("carts"), true);
  assert.equal(await resume("carts"), false);
  assert.deepEqual(await running(), SUBSYSTEMS);
});

test("a paused path stops what lies at and below it, not its namesakes, whatever the path is written like", async (t) => {
  const { mayRun, pause } = await open(t);
  await pause(subjectOf("/srv//drop/./in/"), "ada");
  const may = async (path: string) => [await mayRun("drops", path), await mayRun("ingest", path)];
  for (const path of ["/srv/drop/in", "/srv/drop/in/", "/srv/drop/in/a/b", "/srv/drop/x/../in/a"])
    assert.deepEqual(await may(path), [false, false], path);
  for (const path of ["/srv/drop", "/srv/drop/inbox", "/srv/drop/in/../out", "/"])
    assert.deepEqual(await may(path), [true, true], path);
  assert.equal(await mayRun("drops"), true, "what lies nowhere");
});

test("whoever is stopped is told by what, the widest pause first, with its reason", async (t) => {
  const { pause, requireRunning, list } = await open(t);
  await pause("drops", "ada", "new disks");
  await assert.rejects(requireRunning("drops", "/srv/a"), (error) => {
    assert.ok(error instanceof AppError);
    assert.deepEqual([error.code, error.kind], ["paused", "unavailable"]);
    assert.deepEqual(error.details, { switch: "drops", reason: "new disks" });
    return true;
  });
  await pause("all", "eve");
  await assert.rejects(requireRunning("drops"), { details: { switch: "all", reason: null } });
  await assert.rejects(requireRunning("ingest"), { code: "paused" });
  const halts = Object.fromEntries((await list()).map(({ subject, halt }) => [subject, halt?.by]));
  assert.deepEqual(halts, Object.fromEntries(["all", ...SUBSYSTEMS].map((name) => [name, "eve"])));
});

test("names that are no switch are refused with those that are", async () => {
  for (const text of ["", "ingset", "Ingest", "srv/drop", "./x", "constructor", "/a\0b"])
    assert.throws(() => subjectOf(text), { code: "request_invalid" }, text);
  assert.deepEqual(["all", "fixity", "/"].map(subjectOf), ["all", "fixity", "/"]);
});

// The names and their meaning are those of a film archive's downtime_control.json and storage_control.json: true may run.
const ALL_ON = Object.fromEntries(SUBSYSTEMS.map((name) => [name, true]));

test("a control file is read anew each time; what it has off, or does not name, stops", async (t) => {
  const { path, running } = await open(t, { withFile: true });
  const written = async (content: unknown) => {
    await writeFile(path, JSON.stringify(content));
    return running();
  };
  assert.deepEqual(await running(), [], "the file is not there");
  assert.deepEqual(await written(ALL_ON), SUBSYSTEMS);
  assert.deepEqual(await written({ ...ALL_ON, ingest: false }), others("ingest"));
  assert.deepEqual(await written({ ...ALL_ON, drops: undefined }), others("drops"), "unknown means stop");
  for (const value of ["true", 1, null, {}, [true]])
    assert.deepEqual(await written({ ...ALL_ON, carts: value }), others("carts"), JSON.stringify(value));
  for (const name of ["all", "power_off_all", "pause_scripts"]) {
    assert.deepEqual(await written({ ...ALL_ON, [name]: true }), SUBSYSTEMS, name);
    assert.deepEqual(await written({ ...ALL_ON, [name]: false }), [], name);
    assert.deepEqual(await written({ ...ALL_ON, [name]: "no" }), [], name);
  }
  assert.deepEqual(
    await written({ ...ALL_ON, black_pearl: false, current_api: "CID_API" }),
    SUBSYSTEMS,
    "other's names",
  );
  assert.deepEqual(await written({}), []);
});

test("a control file that cannot be read, or is not one flat object, stops everything", async (t) => {
  const { path, running, list, pause, resume } = await open(t, { withFile: true });
  const texts = ["", "{", '{"ingest":true,}', "true", "null", '[{"ingest":true}]', "\u0000"];
  for (const text of [...texts.map((each) => Buffer.from(each)), Buffer.from([0x7b, 0xff, 0x7d])]) {
    await writeFile(path, text);
    assert.deepEqual(await running(), [], text.toString());
  }
  assert.match((await list())[0]?.halt?.reason ?? "", /control file cannot be read/);
  await pause("all", "ada");
  await resume("all");
  assert.deepEqual(await running(), [], "an operator cannot overrule the file");
});

test("a control file that names paths must name every path that may be used", async (t) => {
  const { path, mayRun } = await open(t, { withFile: true });
  const may = async (control: object, item: string) => {
    await writeFile(path, JSON.stringify({ ...ALL_ON, ...control }));
    return mayRun("drops", item);
  };
  assert.equal(await may({}, "/srv/a"), true, "it speaks of no path");
  assert.equal(await may({ "/srv/": true }, "/srv/a"), true);
  assert.equal(await may({ "/srv": true }, "/other"), false, "unknown means stop");
  assert.equal(await may({ "/srv": true, "/srv/a": false }, "/srv/a/b"), false);
  assert.equal(await may({ "/srv": false, "/srv/a": true }, "/srv/a/b"), false, "the wider one holds too");
  assert.equal(await may({ "/srv": "yes" }, "/srv/a"), false);
  assert.equal(await may({ "/srv": true, all_storage_on: false }, "/srv/a"), false);
  assert.equal(await may({ all_storage_on: true }, "/srv/a"), false, "unknown means stop");
});

test("what the database does not tell is no permission", async () => {
  const { mayRun } = switchService({
    clock: movingClock(),
    store: {
      list: () => Promise.reject(new AppError("database_unavailable")),
      put: async () => {},
      remove: async () => false,
    },
  });
  await assert.rejects(mayRun("ingest"), { code: "database_unavailable" });
});
