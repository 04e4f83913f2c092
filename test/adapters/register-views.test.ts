import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { openSqlite, type Stores } from "../../src/adapters/db/stores.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import type { Principal } from "../../src/core/access/access.ts";
import { jobId } from "../../src/core/ids.ts";
import { declaredRegisters } from "../../src/core/registers/declared-registers.ts";
import { type Registers, registerService } from "../../src/core/registers/registers.ts";
import { without } from "../support/tools.ts";

const EXAMPLES = new URL("../../examples/registers/", import.meta.url);
const ADA: Principal = { name: "ada", scopes: ["admin"], via: "local" };
const noPython = without("Python 3", ["python3", "-c", "import sqlite3"], "apt package python3");

/** As scripts of before read their table: `SELECT *`, positions, and a connection that is opened anew each time. */
const READER = `
import sqlite3, sys, time
path, rounds = sys.argv[1], int(sys.argv[2])
last = -1
for _ in range(rounds):
    connection = sqlite3.connect(path)
    waiting = connection.execute("SELECT fname FROM DOWNLOADS WHERE status = ?", ("Requested",)).fetchall()
    rows = connection.execute("SELECT * FROM DOWNLOADS").fetchall()
    assert len(rows) >= last and len(waiting) <= len(rows)
    assert all(len(row) == 9 and row[3] and row[7] and row[8][4] == "-" for row in rows), rows
    last = len(rows)
    connection.close()
    time.sleep(0.01)
connection = sqlite3.connect(path)
print([column[0] for column in connection.execute("SELECT * FROM DOWNLOADS").description])
try:
    connection.execute("UPDATE DOWNLOADS SET status = 'Mine'")
except sqlite3.OperationalError as error:
    print(error)
`;

describe("views over registers", () => {
  let folder: string;
  let path: string;
  let stores: Stores;
  let registers: Registers;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "register-views-"));
    path = join(folder, "test.sqlite");
    stores = await openSqlite({ path, clock: systemClock });
    let jobs = 0;
    registers = registerService({
      store: stores.registers,
      declared: declaredRegisters({ store: stores.registers, clock: systemClock }),
      jobs: { cancel: () => Promise.reject(new Error("Nothing is cancelled here.")) },
      clock: systemClock,
      mailFrom: "",
      nextJobId: async () => jobId(++jobs),
    });
    await registers.declare(await readFile(new URL("downloads.json", EXAMPLES), "utf8"));
  });
  after(async () => {
    await stores.close();
    await rm(folder, { recursive: true });
  });

  function read<T>(sql: string): T[] {
    const file = new DatabaseSync(path, { readOnly: true });
    try {
      return file.prepare(sql).all() as T[];
    } finally {
      file.close();
    }
  }

  test("Python reads one while entries are made", { skip: noPython }, async () => {
    const child = spawn("python3", ["-c", READER, path, "60"], { stdio: ["ignore", "pipe", "inherit"] });
    const printed = text(child.stdout);
    const ended = once(child, "exit");
    for (let n = 0; child.exitCode === null; n++)
      await registers.create(ADA, "downloads", {
        name: "Ada",
        email: "ada@example.org",
        fname: `file-${n}.mkv`,
        download_path: "ada",
      });
    const [code] = await ended;
    assert.equal(code, 0);
    // The columns of the table that the scripts of a film archive read, in its order.
    assert.deepEqual((await printed).trim().split("\n"), [
      "['name', 'email', 'download_type', 'fname', 'download_path', 'fpath', 'transcode', 'status', 'date']",
      "cannot modify DOWNLOADS because it is a view",
    ]);
  });

  const notes = (sqliteView: unknown, name = "notes") =>
    JSON.stringify({
      name,
      title: "Notes",
      fields: {
        text: { type: "string" },
        yes: { type: "boolean" },
        list: { type: "array" },
        select: { type: "number" },
      },
      statuses: { 'It\'s "open"': {} },
      initial: 'It\'s "open"',
      permissions: { create: ["anyone"] },
      sqliteView,
    });

  test("one shows values as SQLite has them, changes with its declaration, and goes with it", async () => {
    await registers.declare(notes("NOTES"));
    const quote = 'it\'s "quoted"; drop table jobs; --';
    await registers.create(ADA, "notes", { text: quote, yes: true, list: [1, "b"], select: 1.5 });
    const [row] = read<Record<string, unknown>>("select * from notes");
    const { date, ...shown } = row ?? {};
    assert.deepEqual(shown, { text: quote, yes: 1, list: '[1,"b"]', select: 1.5, status: 'It\'s "open"' });
    assert.match(String(date), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    await registers.declare(notes({ name: "NOTED", columns: ["id", "select", "owner"] }));
    assert.throws(() => read("select * from notes"), /no such table/);
    assert.deepEqual(
      { ...read<Record<string, unknown>>("select * from NOTED")[0] },
      { id: 1, select: 1.5, owner: "ada" },
    );
    await registers.remove(ADA, "notes", 1);
    await registers.forget("notes");
    assert.throws(() => read("select * from NOTED"), /no such table/);
  });

  test("no view takes the name of anything else in the file", async () => {
    for (const name of ["jobs", "JOBS", "downloads", "sqlite_mine", "register_values"])
      await assert.rejects(registers.declare(notes(name, "hostile")), { code: "register_invalid" }, name);
    await assert.rejects(registers.get("hostile"), { code: "register_unknown" });
    assert.ok(read("select count(*) from jobs").length > 0);
  });
});
