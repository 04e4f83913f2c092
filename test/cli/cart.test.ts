import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { type Cart, type CartFile, longshore } from "../../src/sdk/index.ts";
import { bundleBlob } from "../sdk/deposit.ts";
import { type ServerProcess, startServer, withoutSettings } from "../support/server.ts";
import { type CliOptions, MAIN, runCli } from "./run-cli.ts";

describe("longshore cart", () => {
  let server: ServerProcess;
  let folder: string;
  /** Of the two transactions. */
  const ids: number[] = [];
  /** Of the first one's files, by path. */
  const files: Record<string, number> = {};
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "longshore-cart-"));
    server = await startServer();
    const client = longshore({ url: server.url });
    for (const [contents, site] of [
      [{ "a.txt": "hello\n", "images/b.png": "0123456789", "images/c.png": "c" }, "north"],
      [{ "a.txt": "other\n" }, "south"],
    ] as const) {
      const tar = await bundleBlob(contents, [
        { destinationTable: "Transactions.project", value: "1234a" },
        { destinationTable: "TransactionKeyValue", key: "site", value: site },
      ]);
      const { id } = await client.jobs.wait((await client.bundles.deposit(tar)).id);
      if (ids.push(id) === 1) for await (const file of client.transactions.files(id)) files[file.path] = file.id;
    }
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  const cli = (args: readonly string[], options: CliOptions = {}) =>
    runCli(["cart", ...args], { env: { LONGSHORE_URL: server.url }, ...options });
  /** Makes a cart. @returns it with the paths it has. */
  async function made(args: readonly string[], options?: CliOptions): Promise<{ cart: Cart; paths: string[] }> {
    const { code, stdout, stderr } = await cli(["create", "--json", ...args], options);
    assert.equal(code, 0, stderr);
    const cart = JSON.parse(stdout) as Cart;
    const listed = await cli(["files", cart.id, "--json"]);
    const lines = listed.stdout.trimEnd().split("\n");
    return { cart, paths: lines.map((line) => (JSON.parse(line) as CartFile).path) };
  }
  const file = (path: string) => String(files[`data/${path}`] ?? assert.fail(path));
  const transaction = (n: number) => String(ids[n] ?? assert.fail());

  test("files, a transaction's part and a query go into one cart, each file once at one path", async () => {
    const both = await made(["--file", file("a.txt"), "--file", file("images/b.png")]);
    assert.deepEqual(both.paths, ["a.txt", "images/b.png"]);
    assert.deepEqual([both.cart.files, both.cart.bytes, both.cart.status], [2, 16, "ready"]);
    const part = await made(["--transaction", `${transaction(0)}:data/images/`, "--name", "images"]);
    assert.deepEqual([part.paths, part.cart.name], [["images/b.png", "images/c.png"], "images"]);
    const north = await made(["--query", "project=1234a", "--kv", "site=north"]);
    assert.deepEqual(
      north.paths,
      ["a.txt", "images/b.png", "images/c.png"].map((path) => `${transaction(0)}/${path}`),
    );
    const all = await made(["--transaction", transaction(0), "--transaction", transaction(1)]);
    assert.equal(all.cart.files, 4);
  });

  test("ids come from a file or standard input, with paths of their own if wanted, or as other commands print them", async () => {
    const list = join(folder, "list");
    await writeFile(list, `${file("a.txt")}\n\n${file("images/b.png")}\tkept as/this.png\r\n`);
    assert.deepEqual((await made(["--from", list])).paths, ["a.txt", "kept as/this.png"]);
    const printed = await runCli(["transactions", "files", transaction(0), "--json"], {
      env: { LONGSHORE_URL: server.url },
    });
    const piped = await made(["--from", "-", "--file", file("a.txt")], {
      env: { LONGSHORE_URL: server.url },
      input: printed.stdout,
    });
    assert.deepEqual(piped.paths, ["a.txt", "images/b.png", "images/c.png"]);
    const wrong = await cli(["create", "--from", "-"], { env: { LONGSHORE_URL: server.url }, input: "7\n\tno id\n" });
    assert.deepEqual([wrong.code, wrong.stdout], [2, ""]);
    assert.match(wrong.stderr, /error\[usage\]: Line 2 of - names no file/);
    const missing = await cli(["create", "--from", join(folder, "missing")]);
    assert.match(missing.stderr, /error\[local_file_unusable\]: .*missing cannot be read: ENOENT/);
  });

  test("ids are waited for while the command before in a pipe is still asking for them", async () => {
    const longshore = `'${process.execPath}' '${MAIN}'`;
    const pipe = `${longshore} transactions files ${transaction(0)} --json | ${longshore} cart create --from - --json`;
    const { stdout } = await promisify(execFile)("sh", ["-c", pipe], {
      env: { ...withoutSettings(process.env), LONGSHORE_URL: server.url },
    });
    assert.equal((JSON.parse(stdout) as Cart).files, 3);
  });

  test("show says how the cart stands, and its lines download it", async () => {
    const { cart } = await made(["--transaction", transaction(0), "--name", "it's", "--expires", "7d"]);
    const { stdout } = await cli(["show", cart.id]);
    assert.match(stdout, new RegExp(`^Cart ${cart.id}: it's, ready$`, "m"));
    assert.match(stdout, /^ {2}files {6}3$/m);
    assert.match(stdout, /^ {2}bytes {6}17 \(17 B\)$/m);
    const expiresMs = Date.parse(/^ {2}expires {4}(\S+)$/m.exec(stdout)?.[1] ?? "");
    assert.ok(Math.abs(expiresMs - Date.now() - 7 * 24 * 3_600_000) < 60_000);
    const lines = [...stdout.matchAll(/^ {2}download {3}(.*)$/gm)].map(([, line = ""]) => line);
    assert.equal(lines[0], `longshore get ${cart.id}`);
    const curl = lines.find((line) => line.startsWith("curl")) ?? "";
    execFileSync("sh", ["-c", `${curl} -sS`], { cwd: folder });
    const listed = execFileSync("tar", ["-tf", "it's.tar"], { cwd: folder, encoding: "utf8" });
    assert.match(listed, /^it's\/data\/images\/b\.png$/m);
    const again = JSON.parse((await cli(["show", cart.id, "--json"])).stdout);
    assert.equal(again.downloads, 1);
    assert.match(await readFile(join(folder, "it's.tar"), "utf8"), /hello/);
  });

  test("list shows the newest first, by status if wanted; rm forgets, once", async () => {
    const one = (await made(["--file", file("a.txt"), "--name", "first"])).cart;
    const two = (await made(["--file", file("a.txt"), "--name", "second", "--wait"])).cart;
    const listed = await cli(["list", "--status", "ready", "--limit", "2"]);
    assert.deepEqual(
      listed.stdout.split("\n").map((line) => line.split(/ +/)[0]),
      ["ID", two.id, one.id, ""],
    );
    assert.equal((await cli(["list", "--status", "error", "--json"])).stdout, "");
    const removed = await cli(["rm", "--", one.id, two.id]);
    assert.deepEqual([removed.code, removed.stdout], [0, `removed ${one.id}\nremoved ${two.id}\n`]);
    const again = await cli(["rm", one.id]);
    assert.equal(again.code, 3);
    assert.match(again.stderr, /error\[cart_unknown\]/);
  });

  test("a choice that cannot be had makes no cart, and names each file", async () => {
    const { code, stdout, stderr } = await cli(["create", "--file", file("a.txt"), "--file", "999999"]);
    assert.deepEqual([code, stdout], [5, ""]);
    assert.match(stderr, /error\[cart_refused\]/);
    assert.match(stderr, /999999/);
  });

  test("a cart with a file that the archive has lost is a failure, and names the file", async () => {
    const found = execFileSync("grep", ["-rlx", "other", join(server.dataDir, "archive")], { encoding: "utf8" });
    const path = found.split("\n").find((line) => line.endsWith("/a.txt")) ?? assert.fail(found);
    await rename(path, `${path}.away`);
    try {
      const { code, stdout, stderr } = await cli(["create", "--transaction", transaction(1)]);
      assert.deepEqual([code, stdout], [5, ""]);
      assert.match(stderr, /error\[cart_failed\]: Cart \S+ cannot be downloaded: 1 file of it cannot be had/);
      assert.match(stderr, /a\.txt/);
    } finally {
      await rename(`${path}.away`, path);
    }
  });

  for (const [what, args, message] of [
    ["nothing chosen", [], /error\[cart_empty\]: Nothing is chosen: give --file/],
    ["a condition that does not exist", ["--query", "colour=red"], /one of submitter, project, instrument, prefix/],
    ["a condition without a value", ["--query", "project"], /Expected key=value/],
    ["a time that is none", ["--query", "from=yesterday"], /Expected a time such as/],
    ["an expiry that is none", ["--file", "1", "--expires", "soon"], /Expected 12h, 7d, 2w or a date/],
    ["a transaction that is none", ["--transaction", "x:data/"], /positive whole number/],
  ] as const)
    test(`${what} is refused before anything is asked of the server`, async () => {
      const { code, stdout, stderr } = await cli(["create", ...args], { env: { LONGSHORE_URL: "http://127.0.0.1:9" } });
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, message);
    });
});
