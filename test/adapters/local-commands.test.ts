import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { userInfo } from "node:os";
import { describe, test } from "node:test";
import { localCommands } from "../../src/adapters/run/local-commands.ts";
import { markedProcesses } from "../../src/adapters/run/processes.ts";
import { until } from "../support/until.ts";

const commands = localCommands({ graceMs: 300 });
let runs = 0;

/** A command for the shell, run to its end. */
async function run(
  script: string,
  given: { readonly stdin?: string; readonly user?: string; readonly signal?: AbortSignal } = {},
) {
  const account = await commands.account(given.user ?? null);
  const mark = `test-${process.pid}/${++runs}`;
  const printed: Buffer[] = [];
  let bytes = 0;
  const ended = await commands.run(
    {
      argv: ["/bin/sh", "-c", script],
      account,
      env: { PATH: "/usr/bin:/bin", HOME: "/", A: "b" },
      stdin: given.stdin ?? "",
      signal: given.signal ?? new AbortController().signal,
      async write(chunk) {
        bytes += chunk.length;
        if (bytes < 1_000_000) printed.push(Buffer.from(chunk));
      },
    },
    mark,
  );
  return {
    ...ended,
    bytes,
    text: Buffer.concat(printed).toString("utf8"),
    left: markedProcesses(`LONGSHORE_RUN=${mark}`),
  };
}

/** Aborts as soon as the script has left this many processes under its mark. */
async function runUntil(count: number, script: string) {
  const abort = new AbortController();
  const mark = `LONGSHORE_RUN=test-${process.pid}/${runs + 1}`;
  const running = run(script, { signal: abort.signal });
  await until("all of its processes are there", () => (markedProcesses(mark)?.length ?? count) >= count);
  abort.abort(new Error("enough"));
  return running;
}

describe("commands of this machine", () => {
  test("a command has its input, the environment it is given and no other, and no terminal", async () => {
    const { exitCode, text } = await run("cat; env | sort | grep -v -e ^PWD= -e ^OLDPWD= -e ^_=; tty; pwd; exit 3", {
      stdin: "in\n",
    });
    assert.equal(exitCode, 3);
    assert.equal(
      text,
      `in\nA=b\nHOME=/\nLONGSHORE_RUN=test-${process.pid}/${runs}\nPATH=/usr/bin:/bin\nnot a tty\n/\n`,
    );
  });

  test("one that leads a session of its own has the server's neither as group nor as session", async () => {
    const { text } = await run("ps -o pid=,pgid=,sid= -p $$");
    const [pid, group, session] = text.trim().split(/\s+/);
    assert.deepEqual([group, session], [pid, pid]);
  });

  test("a signal that ended it is named", async () => {
    const { exitCode, signal } = await run("kill -9 $$");
    assert.deepEqual([exitCode, signal], [null, "SIGKILL"]);
  });

  test("a program that is not there, or may not be run, ends with the shell's code and words", async () => {
    const { exitCode, text } = await run("exec /not/there");
    assert.equal(exitCode, 127);
    assert.match(text, /not found|No such file/);
  });

  test("three hundred megabytes are taken as fast as they come, and kept nowhere here", async () => {
    const { bytes, exitCode } = await run("head -c 300000000 /dev/zero");
    assert.deepEqual([bytes, exitCode], [300_000_000, 0]);
    assert.ok(process.memoryUsage().rss < 290_000_000);
  });

  test("one that does not end, and does not want to, is ended with all it has started, in whatever session", async () => {
    const { signal, left } = await runUntil(
      4,
      "trap '' TERM; setsid sleep 1000 & (sleep 1001 & sleep 1002) & sleep 1003 & wait; sleep 1004",
    );
    assert.equal(signal, "SIGKILL");
    assert.deepEqual(left, []);
  });

  test("one that forks as fast as it can is ended", async () => {
    const { left } = await runUntil(20, "f() { sleep 0.05; f & f & wait; }; ulimit -u 2000; f");
    await until(
      "nothing of it is left",
      () => markedProcesses(`LONGSHORE_RUN=test-${process.pid}/${runs}`)?.length === 0,
    );
    assert.ok((left?.length ?? 0) < 5);
  });

  test("what it leaves behind with its output elsewhere lives on, and can be ended by its mark", async () => {
    const { exitCode, left } = await run("sleep 1000 > /dev/null 2>&1 &");
    assert.equal(exitCode, 0);
    assert.equal(left?.length, 1);
    assert.equal(await commands.endMarked(`test-${process.pid}/${runs}`), 1);
    assert.equal(await commands.endMarked(`test-${process.pid}/${runs}`), 0);
  });

  test("a run lasts as long as somebody holds its output", async () => {
    const { text } = await run("(sleep 0.3; echo late) & echo soon");
    assert.equal(text, "soon\nlate\n");
  });

  test("if what it prints cannot be kept, it is ended and the trouble is told", async () => {
    const account = await commands.account(null);
    const full = Object.assign(new Error("no space left"), { code: "ENOSPC" });
    const running = commands.run(
      {
        argv: ["/bin/sh", "-c", "while :; do echo much; done"],
        account,
        env: {},
        stdin: "",
        signal: new AbortController().signal,
        write: () => Promise.reject(full),
      },
      `test-${process.pid}/full`,
    );
    await assert.rejects(running, full);
    assert.deepEqual(markedProcesses(`LONGSHORE_RUN=test-${process.pid}/full`), []);
  });

  test("a user that is not there is refused, and others than one's own unless this is root", async () => {
    const { username, uid } = userInfo();
    assert.equal((await commands.account(username)).name, username);
    await assert.rejects(commands.account("nobody-at-all"), { code: "user_refused" });
    assert.ok((await commands.users())?.includes(username));
    if (uid !== 0) return assert.rejects(commands.account("daemon"), { code: "user_refused" });
    // id(1) of coreutils, asked outside of this program.
    const expected = execFileSync("id", ["-u", "daemon"], { encoding: "utf8" });
    const { text } = await run("id -u; id -G", { user: "daemon" });
    const group = execFileSync("id", ["-g", "daemon"], { encoding: "utf8" });
    assert.equal(text, `${expected}${group}`, "and it has no groups of root");
  });
});
