import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type ServerProcess, startServer, withoutSettings } from "../support/server.ts";
import { without } from "../support/tools.ts";
import { MAIN, runCli } from "./run-cli.ts";

const SECRET = "swordfish und Ü";

describe("longshore env and longshore secret", () => {
  let server: ServerProcess;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "longshore-environment-"));
    server = await startServer({ dataDir: folder, env: { LONGSHORE_SECRET_KEY: "a".repeat(40) } });
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  const cli = (args: readonly string[], input?: string) =>
    runCli(args, { env: { LONGSHORE_URL: server.url }, ...(input === undefined ? {} : { input }) });

  test("values are set, several at once, listed and removed", async () => {
    const set = await cli(["env", "set", "--schedule", "nightly", "TARGET=/srv/films", "EMPTY=", "EQUATION=a=b"]);
    assert.deepEqual([set.code, set.stderr], [0, ""]);
    const { stdout } = await cli(["env", "list", "--json"]);
    const found = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      found.map(({ scope, name, value }) => `${scope} ${name}=${value}`),
      ["schedule:nightly EMPTY=", "schedule:nightly EQUATION=a=b", "schedule:nightly TARGET=/srv/films"],
    );
    assert.match(
      (await cli(["env", "list", "--schedule", "nightly"])).stdout,
      /^FOR .*\n.*\n.*\n.*TARGET .*\/srv\/films/,
    );
    assert.equal((await cli(["env", "rm", "TARGET"])).code, 3, "it is not set for everything");
    assert.equal((await cli(["env", "rm", "--schedule", "nightly", "TARGET"])).code, 0);
  });

  test("a secret comes from standard input, and is never seen again", async () => {
    const set = await cli(["secret", "set", "--register", "films", "API_KEY"], `${SECRET}\n`);
    assert.deepEqual([set.code, set.stdout], [0, "set  API_KEY  for register:films\n"], set.stderr);
    const { stdout } = await cli(["secret", "list"]);
    assert.match(stdout, /^FOR .*\nregister:films {2}API_KEY {2}sealed /);
    assert.ok(![set.stdout, set.stderr, stdout, server.log()].join("").includes(SECRET));
    assert.ok(!(await readFile(`${server.dataDir}/longshore.sqlite-wal`, "utf8")).includes(SECRET));
    assert.equal((await cli(["secret", "rm", "--register", "films", "API_KEY"])).code, 0);
  });

  test("a value for a secret is no argument, and two scopes at once are refused", async () => {
    assert.equal((await cli(["secret", "set", "API_KEY", SECRET])).code, 2);
    assert.equal((await cli(["env", "set", "--schedule", "a", "--register", "b", "C=d"])).code, 2);
    assert.equal((await cli(["env", "set", "NAME"])).code, 2);
  });

  test("what is typed at a terminal is not echoed", {
    skip: without("script", ["script", "--version"], "Debian: bsdutils"),
  }, async () => {
    /** util-linux's script gives the command a terminal, and its output to us. */
    async function atTerminal(typed: string) {
      const child = spawn("script", ["-qec", `"${process.execPath}" "${MAIN}" secret set TYPED`, "/dev/null"], {
        env: { ...withoutSettings(process.env), LONGSHORE_URL: server.url },
      });
      let shown = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        shown += text;
        if (shown.endsWith("TYPED: ")) child.stdin.write(typed);
      });
      const [code] = await once(child, "close");
      return { code, shown };
    }
    const { code, shown } = await atTerminal(`${SECRET}\r`);
    assert.equal(code, 0, shown);
    assert.match(shown, /^TYPED: \r\nset {2}TYPED {2}for global/);
    assert.ok(!shown.includes(SECRET));
    const interrupted = await atTerminal(`${SECRET}\x03`);
    assert.equal(interrupted.code, 130, interrupted.shown);
    assert.match(interrupted.shown, /nothing was set/);
  });

  test("secrets that another key cannot read are named at start, by the doctor, and listed as lost", async () => {
    assert.equal((await cli(["secret", "set", "TOKEN"], "x")).code, 0);
    await server.end("SIGTERM");
    const examined = async (key: string) =>
      runCli(["doctor"], {
        env: { LONGSHORE_DATA_DIR: server.dataDir, LONGSHORE_PORT: "0", LONGSHORE_SECRET_KEY: key.repeat(40) },
      });
    assert.match((await examined("a")).stdout, /^ok +secrets +\d can be read$/m);
    assert.match((await examined("b")).stdout, /^fail +secrets +sealed under another key: .*TOKEN \(global\)/m);
    server = await startServer({ dataDir: server.dataDir, env: { LONGSHORE_SECRET_KEY: "b".repeat(40) } });
    assert.match(server.log(), /"secrets":\["TOKEN \(global\)".*set them again/);
    const { stdout, stderr } = await cli(["secret", "list"]);
    assert.match(stdout, /global {2}TOKEN {2}lost /);
    assert.match(stderr, /sealed under another LONGSHORE_SECRET_KEY: set them again/);
  });
});
