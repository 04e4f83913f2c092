import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { VERSION } from "../../src/version.ts";
import { runCli } from "./run-cli.ts";

/** Port 9 of the loopback (discard): nobody listens there. */
const NOWHERE = { LONGSHORE_URL: "http://127.0.0.1:9" };

describe("the command line", () => {
  for (const [what, args, code, message] of [
    [
      "an unknown command is answered with the nearest one",
      ["jbos"],
      2,
      /^error\[usage\]: unknown command 'jbos' \(Did you mean jobs\?\)$/m,
    ],
    [
      "an unknown sub-command is answered with the nearest one",
      ["jobs", "lst"],
      2,
      /unknown command 'lst' \(Did you mean list\?\)/,
    ],
    [
      "an unknown option is answered with the nearest one",
      ["jobs", "list", "--limt", "3"],
      2,
      /unknown option '--limt' \(Did you mean --limit\?\)/,
    ],
    ["a missing argument is named", ["get"], 2, /missing required argument 'file-or-cart'/],
    ["an argument too many is counted", ["jobs", "show", "1", "2"], 2, /too many arguments/],
    [
      "an id that is no number is refused",
      ["jobs", "show", "twelve"],
      2,
      /'twelve' is invalid for argument 'id'.*positive whole number/,
    ],
    ["an id of zero is refused", ["get", "0"], 2, /positive whole number/],
    ["a number beyond all ids is refused", ["get", "99999999999999999999"], 2, /positive whole number/],
    ["a limit of zero is refused", ["jobs", "list", "--limit", "0"], 2, /positive whole number/],
    [
      "a state that does not exist is refused with those that do",
      ["jobs", "list", "--state", "done"],
      2,
      /Allowed choices are queued, running/,
    ],
  ] as const)
    test(what, async () => {
      const result = await runCli(args, { env: NOWHERE });
      assert.match(result.stderr, message);
      assert.equal(result.code, code);
      assert.equal(result.stdout, "");
    });

  test("a server that does not answer is named, with how to start one", async () => {
    const { code, stdout, stderr } = await runCli(["jobs", "list"], { env: NOWHERE });
    assert.deepEqual([code, stdout], [75, ""]);
    assert.match(
      stderr,
      /^error\[server_unavailable\]: The Longshore server at http:\/\/127\.0\.0\.1:9 does not answer/,
    );
    assert.match(stderr, /longshore serve/);
  });

  test("with --json an error is one JSON document on standard error", async () => {
    const { code, stdout, stderr } = await runCli(["jobs", "list", "--json"], { env: NOWHERE });
    const { error } = JSON.parse(stderr);
    assert.deepEqual([code, stdout, error.code, error.exit], [75, "", "server_unavailable", 75]);
    assert.equal(error.details.url, "http://127.0.0.1:9");
  });

  test("bad settings are reported together, before anything is done", async () => {
    const { code, stderr } = await runCli(["jobs", "list"], {
      env: { LONGSHORE_URL: "nonsense", LONGSHORE_TOKN: "x", LONGSHORE_PORT: "x" },
    });
    assert.equal(code, 2);
    assert.match(stderr, /error\[config_invalid\]/);
    assert.match(stderr, /^ {2}LONGSHORE_URL: expected a URL/m);
    assert.match(stderr, /^ {2}LONGSHORE_PORT: expected a port/m);
    assert.match(stderr, /^ {2}LONGSHORE_TOKN is not a setting\. Did you mean LONGSHORE_TOKEN\?/m);
  });

  test("help is there whatever the settings are, for every command, with examples", async () => {
    const env = { LONGSHORE_PORT: "nonsense" };
    const top = await runCli(["--help"], { env });
    assert.equal(top.code, 0);
    const names = [...top.stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name = ""]) => name);
    for (const name of ["put", "cart", "get", "jobs", "transactions", "serve", "doctor", "config", "token"])
      assert.ok(names.includes(name), `${name} is not listed`);
    for (const name of names.filter((one) => one !== "help")) {
      const { code, stdout } = await runCli([name, "--help"], { env });
      assert.equal(code, 0, name);
      assert.match(stdout, /^Usage: longshore /);
      assert.match(stdout, /^Examples:$/m, `${name} has no examples`);
    }
  });

  test("without a command, help goes to standard error and the exit code says that nothing was done", async () => {
    const { code, stdout, stderr } = await runCli([]);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /^Usage: longshore/);
  });

  test("--version is the package's", async () => {
    assert.equal((await runCli(["--version"])).stdout, `${VERSION}\n`);
  });

  test("the installed program starts the same command line", () => {
    const bin = join(import.meta.dirname, "../../bin/longshore.js");
    assert.equal(execFileSync(process.execPath, [bin, "--version"], { encoding: "utf8" }), `${VERSION}\n`);
  });
});
