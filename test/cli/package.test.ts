import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Package } from "../../src/sdk/index.ts";
import { type Ckan, ckan } from "../support/ckan.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { type MailServer, mailServer } from "../support/mail-server.ts";
import { countedCsv, countedTable, memberNames, unzipped } from "../support/packaging.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { type CliOptions, runCli, startCli } from "./run-cli.ts";

const ROWS = 3_000;

describe("longshore package", () => {
  let folder: string;
  let portal: Ckan;
  let mails: MailServer;
  let server: ServerProcess;
  /** The portal's answers are held back until this is resolved. */
  let gate = Promise.resolve();
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "longshore-package-"));
    portal = await ckan({
      tables: { r: countedTable(ROWS), hidden: countedTable(2, { key: "the key" }) },
      async fault(_, { path }, response) {
        await gate;
        if (path === "/scans/sheet%201.tif") response.end("bytes of a file");
        return path === "/scans/sheet%201.tif";
      },
    });
    mails = await mailServer();
    server = await startServer({
      env: {
        LONGSHORE_FETCH_ORIGINS: portal.origin,
        LONGSHORE_SMTP_URL: `smtp://127.0.0.1:${mails.port}?tls.rejectUnauthorized=false`,
      },
    });
  });
  beforeEach(() => {
    gate = Promise.resolve();
  });
  after(async () => {
    await server.stop();
    await mails.close();
    await portal.close();
    await rm(folder, { recursive: true });
  });

  const cli = (args: readonly string[], options: CliOptions = {}) =>
    runCli(["package", ...args], { env: { LONGSHORE_URL: server.url }, cwd: folder, ...options });
  const rows = (...args: string[]) => cli(["datastore", portal.origin, "r", ...args]);
  async function made(...args: string[]): Promise<Package> {
    const { code, stdout, stderr } = await rows("--wait", "--json", ...args);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }

  test("rows are saved as a ZIP at once, without a mail, under the name that was asked for", async () => {
    const { code, stdout, stderr } = await rows("-o", "rows.zip");
    assert.deepEqual([code, stdout], [0, "rows.zip\n"], stderr);
    const path = join(folder, "rows.zip");
    execFileSync("unzip", ["-tq", path]);
    assert.deepEqual(memberNames(path), ["resource.csv", "manifest.json"]);
    assert.equal(unzipped(path, "resource.csv").toString(), countedCsv(ROWS));
    assert.equal(mails.received.length, 0);

    const again = await rows("-o", "rows.zip");
    assert.equal(again.code, 2);
    assert.match(again.stderr, /error\[usage\]: rows\.zip exists already; --force replaces it/);
    assert.equal((await rows("-o", "rows.zip", "--force")).code, 0);
    const there = await rows("-o", ".", "--json");
    const { fileName, savedAs, sizeBytes } = JSON.parse(there.stdout);
    assert.equal(savedAs, fileName);
    assert.equal((await stat(join(folder, fileName))).size, sizeBytes);
  });

  test("-o - prints the ZIP and nothing else", async () => {
    const printed = await rows("--limit", "2", "--no-manifest", "--format", "tsv", "-o", "-");
    assert.equal(printed.code, 0, printed.stderr);
    assert.equal(printed.stdout.slice(0, 4), "PK\x03\x04"); // APPNOTE 6.3 §4.3.7
    assert.match((await rows("-o", "-", "--json")).stderr, /"usage","message":"-o - prints the file itself/);
  });

  test("--preview shows the first rows and how many there are, and orders nothing", async () => {
    const orders = async () => (await cli(["list", "--json"])).stdout;
    const before = await orders();
    const { code, stdout, stderr } = await rows("--preview", "--fields", "name", "--limit", "2000");
    assert.equal(code, 0, stderr);
    const lines = stdout.trimEnd().split("\n");
    assert.deepEqual([lines.length, lines[0], lines[1], lines.at(-1)], [12, "name", "row 1", "2000 rows"]);
    const { columns, rowCount } = JSON.parse((await rows("--preview", "--json")).stdout);
    assert.deepEqual([columns[0], rowCount], ["_id", ROWS]);
    assert.equal((await cli(["dwca", portal.origin, "none", "--preview"])).code, 5);
    assert.equal(await orders(), before);
  });

  test("filters, fields, order, limit and offset decide about the rows", async () => {
    const words = ["--filter", "name=row 4", "--filter", "name=row 5", "--filter", "name=row 6", "--fields", "name"];
    const one = await made(...words, "--sort", "_id desc", "--limit", "2", "--offset", "1", "--no-manifest");
    assert.deepEqual([one.rows, one.members.map(({ name }) => name)], [2, ["resource.csv"]]);
    await cli(["get", one.id, "-o", "chosen.zip"]);
    assert.equal(unzipped(join(folder, "chosen.zip"), "resource.csv").toString(), "name\nrow 5\nrow 4\n");
  });

  test("an order with an address ends at once; the link is mailed", async () => {
    const { code, stdout } = await rows("--limit", "3", "--email", "me@example.org");
    assert.equal(code, 0);
    assert.match(stdout, /^Package \S{22}: r \(datastore, csv\), (building|ready)$/m);
    assert.match(stdout, /^ {2}mail {8}me@example\.org$/m);
    await until("the mail has arrived", () => mails.received.length > 0);
    assert.deepEqual(mails.received[0]?.to, ["me@example.org"]);
  });

  test("a Darwin Core Archive has what its options say", async () => {
    const eml = join(folder, "eml.xml");
    await writeFile(eml, "<eml packageId='{package_id}'/>");
    const portalApi = `${portal.origin}/api/3/action/datastore_search`;
    const { code, stderr } = await cli(["dwca", portalApi, "r", "--eml", eml, "--for-gbif", "-o", "dwca.zip"]);
    assert.equal(code, 0, stderr);
    const names = memberNames(join(folder, "dwca.zip"));
    assert.deepEqual(names, ["occurrence.csv", "meta.xml", "eml.xml", "gbif.json", "manifest.json"]);
    assert.equal((await cli(["dwca", portalApi, "r", "--format", "xlsx"])).code, 2);
  });

  test("a file is packed as it is, under its own name", async () => {
    const { code, stderr } = await cli(["url", `${portal.origin}/scans/sheet%201.tif`, "-o", "file.zip"]);
    assert.equal(code, 0, stderr);
    const path = join(folder, "file.zip");
    const [name = ""] = memberNames(path);
    assert.match(name, /^sheet(%20| )1\.tif$/);
    assert.equal(unzipped(path, name).toString(), "bytes of a file");
  });

  test("the portal's key comes from a file or standard input, and is not shown", async () => {
    const without = await cli(["datastore", portal.origin, "hidden", "--wait"]);
    assert.equal(without.code, 5);
    assert.match(without.stderr, /error\[portal_refused\]/);
    const options = { env: { LONGSHORE_URL: server.url }, input: "the key\n" };
    const shown = await cli(["datastore", portal.origin, "hidden", "--wait", "--json", "--key-file", "-"], options);
    assert.equal(JSON.parse(shown.stdout).rows, 2);
    assert.doesNotMatch(shown.stdout, /the key/);
    const empty = await cli(["datastore", portal.origin, "hidden", "--key-file", "-"]);
    assert.match(empty.stderr, /error\[local_file_unusable\]: - holds no key/);
    const absent = await cli(["datastore", portal.origin, "hidden", "--key-file", join(folder, "absent")]);
    assert.match(absent.stderr, /error\[local_file_unusable\]: .*absent cannot be read: ENOENT/);
  });

  test("status shows what a package is, list what there is, and a link can be revoked and renewed", async () => {
    const { id, link, sha256 } = await made("--limit", "4");
    const { stdout } = await cli(["status", id]);
    assert.match(stdout, new RegExp(`^Package ${id}: r \\(datastore, csv\\), ready$`, "m"));
    for (const line of ["rows {8}4", `sha256 {6}${sha256}`, "member {6}resource\\.csv, \\d+ B", "downloads {3}0"])
      assert.match(stdout, new RegExp(`^ {2}${line}$`, "m"));
    assert.ok(stdout.includes(`  link        ${link}\n`));
    const listed = (await cli(["list", "--limit", "2"])).stdout.split("\n");
    assert.match(listed[0] ?? "", /^ID +STATUS +KIND +BYTES +ROWS +DOWNLOADS +ORDERED +LINK UNTIL +RESOURCE$/);
    assert.match(listed[1] ?? "", new RegExp(`^${id} +ready +datastore .* r$`));
    assert.equal(listed.length, 4);

    const revoked = await cli(["revoke", id]);
    assert.doesNotMatch(revoked.stdout, /^ {2}link/m);
    const renewed = JSON.parse((await cli(["renew", id, "--json"])).stdout);
    assert.notEqual(renewed.link, link);
    const unknown = await cli(["status", "AAAAAAAAAAAAAAAAAAAAAA"]);
    assert.equal(unknown.code, 3);
    assert.match(unknown.stderr, /error\[package_unknown\]/);
  });

  test("interrupted while it waits, it says how to go on; nothing is lost", async () => {
    const open = Promise.withResolvers<void>();
    gate = open.promise;
    const before = portal.requests.length;
    const run = startCli(["package", "datastore", portal.origin, "r", "--limit", "6", "-o", "late.zip"], {
      env: { LONGSHORE_URL: server.url },
      cwd: folder,
    });
    run.child.stderr?.setEncoding("utf8");
    let said = "";
    run.child.stderr?.on("data", (text: string) => {
      said += text;
    });
    await until("it waits", () => said.includes("is being made") && portal.requests.length > before);
    run.child.kill("SIGINT");
    const { code, stderr } = await run.result;
    open.resolve();
    assert.equal(code, 130);
    const id = /is made without us \(longshore package status (\S+)\)/.exec(stderr)?.[1] ?? assert.fail(stderr);
    assert.equal((await cli(["get", id, "-o", "late.zip"])).code, 0);
    assert.equal(unzipped(join(folder, "late.zip"), "resource.csv").toString(), countedCsv(6));
  });

  test("a download that is cut again and again is continued, and is what was made", async () => {
    const { id, sizeBytes } = await made("--format", "jsonl");
    const proxy = await faultyProxy(server.url);
    try {
      let cuts = 0;
      proxy.cutAfter(() => (cuts++ < 6 ? 4_000 : Number.POSITIVE_INFINITY));
      const got = await cli(["get", id, "-o", "cut.zip"], { env: { LONGSHORE_URL: proxy.url } });
      assert.equal(got.code, 0, got.stderr);
      assert.match(got.stderr, /Trying again/);
      assert.equal((await readFile(join(folder, "cut.zip"))).length, sizeBytes);
      execFileSync("unzip", ["-tq", join(folder, "cut.zip")]);
    } finally {
      await proxy.close();
    }
  });

  test("statistics count it day by day, and clear-cache drops all there is", async () => {
    const { id } = await made("--limit", "8");
    const { stdout } = await cli(["statistics", "--resource", "r"]);
    const [head = "", ...lines] = stdout.trimEnd().split("\n");
    assert.match(head, /^DAY +REQUESTS +ERRORS +NEW ADDRESSES +ROWS +BYTES$/);
    assert.match(lines.at(-1) ?? "", /^ever +\d+ +0 +\d+ +\d+ +\S+ ([KM]i)?B$/);
    const none = JSON.parse((await cli(["statistics", "--from", "2020-01-01", "--to", "2020-01-02", "--json"])).stdout);
    assert.deepEqual(none.days, []);
    assert.match((await cli(["clear-cache"])).stdout, /^removed [1-9]\d*$/m);
    const gone = await cli(["get", id, "-o", "gone.zip"]);
    assert.equal(gone.code, 3);
    assert.match(gone.stderr, /error\[package_gone\]: Package \S+ is expired; order it again/);
  });

  for (const [what, args, message] of [
    ["a portal without a scheme", ["datastore", "data.example.org", "r"], /begins with http:\/\/ or https:\/\//],
    ["a filter without a value", ["datastore", "http://x.org", "r", "--filter", "name"], /Expected field=value/],
    ["a limit of none", ["datastore", "http://x.org", "r", "--limit", "0"], /positive whole number/],
    ["a format there is not", ["datastore", "http://x.org", "r", "--format", "pdf"], /csv, tsv, xlsx, jsonl, parquet/],
    ["a day that is none", ["statistics", "--from", "yesterday"], /Expected a day such as/],
  ] as const)
    test(`${what} is refused before anything is asked of the server`, async () => {
      const { code, stdout, stderr } = await cli(args, { env: { LONGSHORE_URL: "http://127.0.0.1:9" } });
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, message);
    });
});
