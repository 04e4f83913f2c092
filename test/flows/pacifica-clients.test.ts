import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { bundle, TRANSACTION } from "../http/bundle.ts";
import { depositFiles } from "../http/cart-client.ts";
import { json } from "../http/client.ts";
import { lastingPort, type ServerProcess, startServer } from "../support/server.ts";
import { without } from "../support/tools.ts";
import { until } from "../support/until.ts";

/* Clients and peers of Pacifica's services, and another Longshore, against the doors of a server of its own. */

const run = promisify(execFile);
const noPython = without("Python 3", ["python3", "--version"], "apt package python3");
const noPacifica = without(
  "Pacifica's own code",
  ["python3", "-c", "import pacifica.cartd, pacifica.downloader, pacifica.ingest"],
  "PyPI packages pacifica-cartd 0.7.0, pacifica-downloader 0.4.1, pacifica-ingest 0.4.1",
);
const SHA1_OF_HELLO = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"; // printf hello | sha1sum

/**
 * What the downloader does, with Python's standard library alone: makes a cart, looks at it until it is no longer being
 * staged, and unpacks the raw body as it comes. Its assertions are the library's.
 */
const DOWNLOADER = `
import http.client, json, sys, tarfile, time, uuid
address, files, target = sys.argv[1:]
server = http.client.HTTPConnection(address)
path = f"/{uuid.uuid4()}"
server.request("POST", path, json.dumps({"fileids": json.loads(files)}), {"Content-Type": "application/json"})
answer = server.getresponse()
answer.read()
assert answer.status == 201, answer.status
for _ in range(120):
    server.request("HEAD", path)
    answer = server.getresponse()
    answer.read()
    status, message = answer.headers["X-Pacifica-Status"], answer.headers["X-Pacifica-Message"]
    assert message is not None
    if answer.status == 204 and status != "staging" or answer.status == 500:
        break
    time.sleep(0.1)
assert status == "ready", (status, message)
assert answer.status == 204
server.request("GET", path + "?filename=data")
with tarfile.open(mode="r|", fileobj=server.getresponse()) as tar:
    tar.extractall(target)
`;

/** The library itself, given what a CloudEvent of the metadata service has. */
const REAL_DOWNLOADER = `
import json, sys
from pacifica.downloader import Downloader
address, files, target = sys.argv[1:]
event = {"data": [{"destinationTable": "Transactions._id", "value": 1}] + [
    {"destinationTable": "Files", "_id": int(f["id"]), "subdir": f["path"].rpartition("/")[0],
     "name": f["path"].rpartition("/")[2], "hashtype": f["hashtype"], "hashsum": f["hashsum"]}
    for f in json.loads(files)]}
Downloader(cart_api_url=f"http://{address}").cloudevent(target, event, filename="data")
`;

describe("Pacifica's downloader, at the cart door's own port,", { skip: noPython }, () => {
  let server: ServerProcess;
  let address: string;
  let files: string;
  let folder: string;
  before(async () => {
    address = `127.0.0.1:${await lastingPort()}`;
    server = await startServer({ env: { LONGSHORE_DOORS: address.replace("127.0.0.1", "pacifica-cart") } });
    folder = mkdtempSync(join(tmpdir(), "longshore-downloader-"));
    const { ids } = await depositFiles(server, { "a/b/foo.txt": "hello", "日本語.txt": "hello" });
    files = JSON.stringify(
      Object.entries(ids).map(([path, id]) => ({ id: String(id), path, hashtype: "sha1", hashsum: SHA1_OF_HELLO })),
    );
  });
  after(async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  const expected = { "data/a/b/foo.txt": "hello", "data/日本語.txt": "hello" };

  test("as its loop has it, gets the files", async () => {
    await run("python3", ["-c", DOWNLOADER, address, files, join(folder, "loop")]);
    assert.deepEqual(contents(join(folder, "loop")), expected);
  });

  test("the library itself gets the files", { skip: noPacifica }, async () => {
    await run("python3", ["-c", REAL_DOWNLOADER, address, files, join(folder, "library")]);
    assert.deepEqual(contents(join(folder, "library")), expected);
  });

  test("is told of a file that is not there, and does not wait for it", async () => {
    const missing = JSON.stringify([{ id: "999999", path: "x", hashtype: "sha1", hashsum: SHA1_OF_HELLO }]);
    await assert.rejects(run("python3", ["-c", DOWNLOADER, address, missing, join(folder, "none")]), /999999/);
  });
});

/** Takes a bundle, and a move, through the code of Pacifica's ingest that talks to its archive and its ids. */
const INGEST = `
import json, sys
from pacifica.ingest.tarutils import MetaParser, TarIngester, open_tar, patch_files
from pacifica.ingest.utils import get_unique_id
bundle, move = sys.argv[1:]
meta = MetaParser()
tar = open_tar(bundle)
meta.load_meta(tar, get_unique_id(1, "upload_job"))
TarIngester(tar, meta).ingest()
moved = MetaParser()
moved.read_meta(move, get_unique_id(1, "upload_job"))
patch_files(moved)
files = {**meta.files, **moved.files}
print("\\n" + json.dumps([[int(id), file["name"], file["hashtype"], file["hashsum"]] for id, file in files.items()]))
`;

/** A whole Pacifica cart, its tasks run in turn here instead of by workers; prints how it ended. */
const CARTD = `
import json, sys
from pacifica.cartd import tasks
from pacifica.cartd.orm import Cart, OrmSync
due = []
for task in (tasks.get_files_locally, tasks.stage_file_task, tasks.status_file_task, tasks.pull_file):
    task.delay = lambda *words, task=task: due.append((task, words)) or "0"
OrmSync.create_tables()
cart = Cart(cart_uid="36", status="staging", bundle=False)
cart.save()
tasks.stage_files(json.loads(sys.argv[1]), cart.id)
while due:
    task, words = due.pop(0)
    task(*words)
cart = Cart.get(Cart.id == cart.id)
print(json.dumps([cart.status, cart.error, cart.bundle_path]))
`;

describe("Pacifica's own ingest and cart, with Longshore as their archive,", { skip: noPacifica }, () => {
  let server: ServerProcess;
  let folder: string;
  let env: NodeJS.ProcessEnv;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "longshore-peers-"));
    mkdirSync(join(folder, "volume"));
    server = await startServer({ env: { LONGSHORE_MOVE_ROOTS: folder } });
    env = {
      ...process.env,
      UNIQUEID_URL: `${server.url}/doors/pacifica-uniqueid`,
      ARCHIVEINTERFACE_URL: `${server.url}/doors/pacifica-archive`,
      ARCHIVE_INTERFACE_URL: `${server.url}/doors/pacifica-archive/`,
      PEEWEE_URL: `sqlite:///${join(folder, "peers.sqlite")}`,
      VOLUME_PATH: `${join(folder, "volume")}/`,
      BROKER_URL: "memory://",
      BACKEND_URL: "cache+memory://",
    };
  });
  after(async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  const python = (script: string, ...words: string[]) => run("python3", ["-c", script, ...words], { env, cwd: folder });

  test("store a bundle and a moved file, and read them back into a cart", async () => {
    const tar = join(folder, "bundle.tar");
    writeFileSync(tar, bundle({ "a/foo.txt": "hello", "empty.txt": "", "large.bin": Buffer.alloc(3_000_000, 7) }));
    const source = join(folder, "on the server.txt");
    writeFileSync(source, "hello");
    utimesSync(source, 1_500_000_000, 1_500_000_000);
    const move = join(folder, "move.json");
    const moved = { destinationTable: "Files", name: "moved.txt", subdir: "m", source, hashtype: "sha1" };
    writeFileSync(move, JSON.stringify([...TRANSACTION, { ...moved, hashsum: SHA1_OF_HELLO }]));

    const { stdout } = await python(INGEST, tar, move);
    const stored = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as [number, string, string, string][];
    assert.deepEqual(stored.map(([, name]) => name).sort(), ["empty.txt", "foo.txt", "large.bin", "moved.txt"]);
    assert.throws(() => readFileSync(source), { code: "ENOENT" });

    const fileids = stored.map(([id, name, hashtype, hashsum]) => ({ id, path: `p/${name}`, hashtype, hashsum }));
    const [status, error, path] = JSON.parse((await python(CARTD, JSON.stringify(fileids))).stdout) as string[];
    assert.deepEqual([status, error], ["ready", ""]);
    const pulled = contents(path ?? "");
    assert.equal(pulled["p/foo.txt"], "hello");
    assert.equal(pulled["p/large.bin"]?.length, 3_000_000);
    assert.equal(Object.keys(pulled).length, 4);
  });

  test("end a cart in error when a file is not there, instead of asking for it for ever", async () => {
    const missing = [{ id: 987_654, path: "x", hashtype: "sha1", hashsum: SHA1_OF_HELLO }];
    const [status, error] = JSON.parse((await python(CARTD, JSON.stringify(missing))).stdout) as string[];
    assert.equal(status, "error");
    assert.match(error ?? "", /Failed to stage with error: .*No file with this id is known/);
  });
});

describe("a Longshore whose archive and ids are another's,", () => {
  let archive: ServerProcess;
  let front: ServerProcess;
  let door: string;
  before(async () => {
    archive = await startServer();
    front = await startServer({
      env: {
        LONGSHORE_ARCHIVEINTERFACE_URL: `${archive.url}/doors/pacifica-archive`,
        LONGSHORE_UNIQUEID_URL: `${archive.url}/doors/pacifica-uniqueid`,
      },
    });
    door = `${front.url}/doors/pacifica-cart`;
  });
  after(async () => {
    await front.stop();
    await archive.stop();
  });

  const cart = (uid: string, fileids: readonly object[]) =>
    fetch(`${door}/${uid}`, { method: "POST", body: JSON.stringify({ fileids }) });
  const settled = async (uid: string) => {
    let seen: [status: string | null, message: string | null] = [null, null];
    await until(`cart ${uid} is settled`, async () => {
      const { headers } = await fetch(`${door}/${uid}`, { method: "HEAD" });
      seen = [headers.get("x-pacifica-status"), headers.get("x-pacifica-message")];
      return seen[0] !== "staging";
    });
    return seen;
  };

  test("never gives an id that the other has given", async () => {
    const there = await depositFiles(archive, { "there.txt": "a" });
    const here = await depositFiles(front, { "here.txt": "b" });
    const again = await depositFiles(archive, { "again.txt": "c" });
    const transactions = [there, here, again].map(({ transaction }) => transaction);
    const files = [there, here, again].flatMap(({ ids }) => Object.values(ids));
    assert.deepEqual(
      transactions,
      [...new Set(transactions)].sort((a, b) => a - b),
    );
    assert.deepEqual(
      files,
      [...new Set(files)].sort((a, b) => a - b),
    );
  });

  test("puts files of both into one cart", async () => {
    const { ids: there } = await depositFiles(archive, { "there.txt": "hello" });
    const { ids: here } = await depositFiles(front, { "here.txt": "hello" });
    const brought = 900_000;
    await fetch(`${archive.url}/doors/pacifica-archive/${brought}`, {
      method: "PUT",
      body: "by its id",
      headers: { "last-modified": "Sun Sep 13 12:26:40 2020" },
    });
    await cart("both", [
      { id: there["there.txt"], path: "there.txt", hashtype: "sha1", hashsum: SHA1_OF_HELLO },
      { id: String(here["here.txt"]), path: "here.txt", hashtype: "sha1", hashsum: SHA1_OF_HELLO },
      { id: brought, path: "brought.txt" },
    ]);
    assert.deepEqual(await settled("both"), ["ready", ""]);
    const tar = Buffer.from(await (await fetch(`${door}/both?filename=data`)).arrayBuffer());
    const folder = mkdtempSync(join(tmpdir(), "longshore-both-"));
    try {
      writeFileSync(join(folder, "both.tar"), tar);
      await run("tar", ["-xf", "both.tar"], { cwd: folder });
      rmSync(join(folder, "both.tar"));
      assert.deepEqual(contents(folder), {
        "data/brought.txt": "by its id",
        "data/here.txt": "hello",
        "data/there.txt": "hello",
      });
      const { stdout } = await run("stat", ["-c", "%Y", "data/brought.txt"], { cwd: folder });
      assert.equal(stdout.trim(), "1600000000", "the time that was said when it was stored");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("knows at once what neither of them has, and what is not what it should be", async () => {
    const { ids } = await depositFiles(archive, { "there.txt": "hullo" });
    await cart("neither", [{ id: 999_999_999, path: "x" }]);
    const [status, message] = await settled("neither");
    assert.equal(status, "error");
    assert.match(message ?? "", /No file with this id is known/);
    await cart("wrong", [{ id: ids["there.txt"], path: "x", hashtype: "sha1", hashsum: "0".repeat(40) }]);
    assert.equal((await settled("wrong"))[0], "error");
  });

  test("leaves an archive behind that verifies", async () => {
    const answer = await fetch(`${archive.url}/api/v1/verifications`, {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json" },
    });
    const { id } = (await answer.json()) as { id: number };
    let state = "";
    await until("the archive is verified", async () => {
      ({ state } = await json<{ state: string }>(`${archive.url}/api/v1/jobs/${id}`));
      return state === "succeeded" || state === "failed";
    });
    assert.equal(state, "succeeded");
  });
});

/** Files below a folder with their contents, by path. */
function contents(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map(({ parentPath, name }) => join(parentPath, name)).sort();
  return Object.fromEntries(paths.map((path) => [path.slice(folder.length + 1), readFileSync(path, "utf8")]));
}
