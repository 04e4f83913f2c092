import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "node:test";
import { openSqlite } from "../../src/adapters/db/stores.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { jobId } from "../../src/core/ids.ts";
import { longshore } from "../../src/sdk/index.ts";
import { startServer } from "../support/server.ts";
import { runCli } from "./run-cli.ts";

describe("commands on this machine's own data", () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "longshore-local-"));
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  const cli = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    runCli(args, { env: { LONGSHORE_DATA_DIR: dataDir, ...env } });

  describe("config", () => {
    test("shows every setting with its source, and no secret", async () => {
      const { code, stdout } = await cli(["config"], { LONGSHORE_TOKEN: "lsh_verysecret", LONGSHORE_PORT: "7799" });
      assert.equal(code, 0);
      assert.match(stdout, /^LONGSHORE_PORT +7799 +environment$/m);
      assert.match(stdout, /^LONGSHORE_HOST +127\.0\.0\.1 +default$/m);
      assert.doesNotMatch(stdout, /verysecret/);
      const json = JSON.parse((await cli(["config", "--json"], { LONGSHORE_PORT: "7799" })).stdout);
      assert.deepEqual(json.LONGSHORE_PORT, { value: "7799", from: "environment" });
    });

    test("bad values are shown, and complained about", async () => {
      const { code, stdout, stderr } = await cli(["config"], { LONGSHORE_PORT: "99999" });
      assert.equal(code, 2);
      assert.match(stdout, /^LONGSHORE_PORT +99999 +environment$/m);
      assert.match(stderr, /LONGSHORE_PORT: expected a port/);
    });
  });

  describe("token", () => {
    test("the first token is made before any server, lets its bearer in, and is refused once revoked", async (t) => {
      const made = await cli(["token", "create", "--owner", "beamline-7", "--expires", "2d"]);
      assert.equal(made.code, 0, made.stderr);
      assert.match(made.stdout, /^lsh_[0-9a-f]{12}_[\w-]{43}\n$/);
      const token = made.stdout.trim();
      const listed = JSON.parse((await cli(["token", "list", "--json"])).stdout);
      assert.deepEqual([listed.owner, listed.scopes, listed.lastUsedAt], ["beamline-7", ["deposit", "read"], null]);
      assert.equal("secretHash" in listed, false);
      const days = (Date.parse(listed.expiresAt) - Date.parse(listed.createdAt)) / 86_400_000;
      assert.equal(Math.round(days * 100) / 100, 2);

      const server = await startServer({ dataDir });
      t.after(() => server.stop());
      await assert.rejects(longshore({ url: server.url }).jobs.list().page(), { code: "token_missing" });
      const env = { LONGSHORE_URL: server.url, LONGSHORE_TOKEN: token };
      assert.equal((await cli(["jobs", "list"], env)).code, 0);

      assert.equal((await cli(["token", "revoke", listed.id])).stdout, `revoked  ${listed.id}\n`);
      const refused = await cli(["jobs", "list"], env);
      assert.equal(refused.code, 6);
      assert.match(refused.stderr, /error\[token_invalid\]/);
      assert.match((await cli(["token", "list"])).stdout, /beamline-7 +deposit,read +revoked/);
    });

    test("every change is in the audit log, with who sat at the machine", async (t) => {
      const created = JSON.parse((await cli(["token", "create", "--owner", "a", "--scope", "admin", "--json"])).stdout);
      const { id } = JSON.parse((await cli(["token", "create", "--owner", "b", "--json"])).stdout);
      await cli(["token", "revoke", id]);
      const server = await startServer({ dataDir });
      t.after(() => server.stop());
      const response = await fetch(`${server.url}/api/v1/audit`, {
        headers: { authorization: `Bearer ${created.token}` },
      });
      const { items } = (await response.json()) as { items: { actor: string; action: string; target: string }[] };
      assert.deepEqual(
        items.map(({ action, target }) => [action, target]),
        [
          ["token.create", `token/${created.id}`],
          ["token.create", `token/${id}`],
          ["token.revoke", `token/${id}`],
        ],
      );
      assert.match(items[0]?.actor ?? "", /^shell:./);
    });

    for (const [what, args, code, message] of [
      [
        "an unknown scope",
        ["create", "--owner", "x", "--scope", "deposit,fly"],
        2,
        /Expected deposit, read, crawl, operate, admin/,
      ],
      ["a time that has passed", ["create", "--owner", "x", "--expires", "2001-01-01"], 2, /That time has passed/],
      ["a time that is none", ["create", "--owner", "x", "--expires", "soon"], 2, /Expected 12h, 90d or a date/],
      ["a token without owner", ["create"], 2, /--owner/],
      ["an unknown token", ["revoke", "000000000000"], 3, /error\[token_unknown\]/],
    ] as const)
      test(`${what} is refused`, async () => {
        const result = await cli(["token", ...args]);
        assert.match(result.stderr, message);
        assert.equal(result.code, code);
      });
  });

  describe("doctor", () => {
    const checks = async (env: Readonly<Record<string, string>>) => {
      const { code, stdout } = await cli(["doctor", "--json"], { LONGSHORE_PORT: "0", ...env });
      const found: { ok: boolean; checks: { check: string; status: string; found: string; advice?: string }[] } =
        JSON.parse(stdout);
      return { code, ...found, of: (name: string) => found.checks.filter(({ check }) => check === name) };
    };

    test("an empty folder is fit to start in, and is left empty", async () => {
      const { code, ok, checks: found } = await checks({});
      assert.deepEqual([code, ok], [0, true], JSON.stringify(found));
      assert.deepEqual(await readdir(dataDir), []);
      const plain = await cli(["doctor"], { LONGSHORE_PORT: "0" });
      assert.match(plain.stdout, /^ok +database +.*will be made$/m);
    });

    test("a folder that a server has used is fit, too", async () => {
      const server = await startServer({ dataDir });
      const during = await checks({ LONGSHORE_PORT: new URL(server.url).port });
      assert.match(during.of("port")[0]?.found ?? "", /a Longshore server runs there/);
      await server.stop();
      const afterwards = await checks({});
      assert.equal(afterwards.code, 0, JSON.stringify(afterwards.checks));
      assert.match(afterwards.of("database")[0]?.found ?? "", /schema up to date/);
      assert.equal(afterwards.of("archive").at(-1)?.found, "is an OCFL storage root");

      const { jobs, close } = await openSqlite({ path: join(dataDir, "longshore.sqlite"), clock: systemClock });
      const job = {
        id: jobId(7),
        kind: "verify",
        lane: "slow",
        owner: "ada",
        input: {},
        idempotencyKey: null,
      } as const;
      await jobs.create({ ...job, fedUntil: null, now: Date.UTC(2026, 0, 1) });
      await close();
      const waits = await checks({});
      assert.deepEqual([waits.code, waits.of("jobs")[0]?.status], [0, "warn"]);
      assert.match(
        waits.of("jobs")[0]?.found ?? "",
        /takes what waits: 1 verify in the lane slow, the oldest since 2026-01-01T/,
      );

      using database = new DatabaseSync(join(dataDir, "longshore.sqlite"));
      database.exec("UPDATE migrations SET needs = 9999 WHERE version = 1");
      const older = await checks({});
      assert.equal(older.code, 2);
      assert.match(older.of("database")[0]?.advice ?? "", /^Run the release that brought it up/);
    });

    test("a port that another program has is a failure with advice", async (t) => {
      const other = createServer((socket) => socket.end("SSH-2.0-whatever\r\n")).listen(0, "127.0.0.1");
      await once(other, "listening");
      t.after(() => other.close());
      const { code, of } = await checks({ LONGSHORE_PORT: String((other.address() as AddressInfo).port) });
      assert.equal(code, 2);
      assert.deepEqual([of("port")[0]?.status, typeof of("port")[0]?.advice], ["fail", "string"]);
    });

    test("an address of the network without a token is a failure, with a token it is none", async () => {
      const without = await checks({ LONGSHORE_HOST: "0.0.0.0" });
      assert.equal(without.code, 2);
      assert.match(without.of("access")[0]?.advice ?? "", /longshore token create/);
      await cli(["token", "create", "--owner", "me"]);
      assert.equal((await checks({ LONGSHORE_HOST: "0.0.0.0" })).code, 0);
    });

    test("bad settings are listed and nothing else is looked at", async () => {
      const { code, checks: found } = await checks({ LONGSHORE_PORT: "x", LONGSHORE_DIGEST: "md5" });
      assert.equal(code, 2);
      assert.deepEqual(
        found.map(({ check, status }) => `${check} ${status}`),
        ["node ok", "settings fail", "settings fail"],
      );
    });

    test("a data folder that is a file, a database that is none, and services that are away are failures", async () => {
      await writeFile(join(dataDir, "file"), "");
      const blocked = await checks({ LONGSHORE_DATA_DIR: join(dataDir, "file", "data") });
      assert.equal(blocked.code, 2);
      await writeFile(join(dataDir, "longshore.sqlite"), "this is not a database, whatever its name says".repeat(50));
      const { code, of } = await checks({
        LONGSHORE_POLICY_URL: "http://127.0.0.1:9/",
        LONGSHORE_MOVE_ROOTS: join(dataDir, "nowhere"),
        LONGSHORE_POLICY_FILE: join(dataDir, "longshore.sqlite"),
        LONGSHORE_ARCHIVE_URL: dataDir,
        LONGSHORE_SHARED_URL: join(dataDir, "file"),
      });
      assert.equal(code, 2);
      for (const name of ["database", "shared place", "policy service", "policy file", "move root"])
        assert.equal(of(name)[0]?.status, "fail", name);
      assert.match(of("archive").at(-1)?.found ?? "", /holds something else/);
    });
  });
});
