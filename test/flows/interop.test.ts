import assert from "node:assert/strict";
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { finished, json, type WireJob } from "../http/client.ts";
import { declared, type Files, TRANSACTION } from "../support/bundles.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { without } from "../support/tools.ts";

const run = promisify(execFile);
/** Archivers write names in the encoding of their locale. */
const env = { ...process.env, LC_ALL: "C.UTF-8" };

/** Names that even a v7 header holds: at most 99 bytes. Sizes lie about those of a block and of a buffer. */
const SHORT: Files = {
  "data/one/read me.txt": "hello\n",
  "data/one/empty": "",
  "data/one/日本語/空 ファイル.txt": "こんにちは\n",
  "data/one/a/b/c/d/e/f/g/h/i/j/k/l/deep.bin": Buffer.alloc(511, 1),
  "data/two/ümlaut/naïve.bin": Buffer.alloc(512, 2),
  "data/two/block.bin": Buffer.alloc(513, 3),
  "data/two/large.bin": Buffer.from(Uint8Array.from({ length: 300_001 }, (_, i) => (i * i) >> 5)),
};
/** Names that ustar cuts at a slash into prefix and name: at most 255 bytes. */
const MEDIUM: Files = { ...SHORT, [`data/two/${"folder/".repeat(19)}${"n".repeat(90)}`]: "prefix and name\n" };
/** Names that need an extension of the format, GNU's or pax. */
const LONG: Files = {
  ...MEDIUM,
  [`data/two/${"n".repeat(251)}.txt`]: "one long name\n",
  [`data/two/${"a folder with blanks/".repeat(20)}end`]: "a long way\n",
  [`data/one/${"長い名前".repeat(20)}/${"ファイル".repeat(20)}`]: "long, and not ASCII\n",
};

/** Members in the order of the command line; folders bring members of their own. */
const ARRANGEMENTS = [
  ["metadata.txt", "data"],
  ["data", "metadata.txt"],
  ["data/one", "metadata.txt", "data/two"],
  ["."],
];

/** As `curl` sends it: with a length or in chunks, from a file or a pipe. */
const SENDERS: readonly ((tar: string) => readonly string[])[] = [
  (tar) => ["-H", "Content-Type: application/x-tar", "--data-binary", `@${tar}`],
  (tar) => ["-H", "Content-Type: application/x-tar", "-H", "Transfer-Encoding: chunked", "--data-binary", `@${tar}`],
  (tar) => ["-X", "POST", "-T", tar],
  () => ["-X", "POST", "-T", "-"],
];

const PYTHON = `
import sys, tarfile
mode, form, *names = sys.argv[1:]
with tarfile.open(fileobj=sys.stdout.buffer, mode=mode, format=getattr(tarfile, form)) as tar:
    for name in names:
        tar.add(name)
`;

const noGnuTar = without("GNU tar", ["sh", "-c", "tar --version | grep -q GNU"], "apt package tar");
const noBsdtar = without("bsdtar", ["bsdtar", "--version"], "apt package libarchive-tools");
const noPython = without("Python 3", ["python3", "--version"], "apt package python3");
const noCurl = without("curl", ["curl", "--version"], "apt package curl");

interface Archiver {
  readonly name: string;
  readonly skip: string | false;
  /** Writes a tar to standard output; member names follow. */
  readonly command: readonly [string, ...string[]];
  readonly files: Files;
}

const gnuTar = (format: string, files: Files): Archiver => ({
  name: `GNU tar, ${format}`,
  skip: noGnuTar,
  command: ["tar", `--format=${format}`, "-cf", "-"],
  files,
});
const bsdtar = (format: string, files: Files): Archiver => ({
  name: `bsdtar, ${format}`,
  skip: noBsdtar,
  command: ["bsdtar", "--format", format, "-cf", "-"],
  files,
});
const pythonTar = (mode: "w" | "w|", format: string, files: Files): Archiver => ({
  name: `Python's tarfile, ${format}${mode === "w|" ? ", streamed" : ""}`,
  skip: noPython,
  command: ["python3", "-c", PYTHON, mode, format],
  files,
});

const ARCHIVERS = [
  gnuTar("gnu", LONG),
  gnuTar("posix", LONG),
  gnuTar("ustar", MEDIUM),
  gnuTar("v7", SHORT),
  bsdtar("pax", LONG),
  bsdtar("gnutar", LONG),
  bsdtar("ustar", MEDIUM),
  pythonTar("w", "USTAR_FORMAT", MEDIUM),
  pythonTar("w", "GNU_FORMAT", LONG),
  pythonTar("w", "PAX_FORMAT", LONG),
  pythonTar("w|", "GNU_FORMAT", LONG),
  pythonTar("w|", "PAX_FORMAT", LONG),
];

describe("a bundle is archived byte for byte", () => {
  let server: ServerProcess;
  let work: string;
  before(async () => {
    server = await startServer();
    work = mkdtempSync(join(tmpdir(), "longshore-interop-"));
  });
  after(async () => {
    await server.stop();
    rmSync(work, { recursive: true });
  });

  for (const [index, { name, skip, command, files }] of ARCHIVERS.entries())
    test(`made by ${name}, and sent by curl`, { skip: skip || noCurl }, async () => {
      const folder = bundleFolder(join(work, String(index)), files);
      for (const [turn, members] of ARRANGEMENTS.entries()) {
        const tar = join(work, "bundle.tar");
        writeTar(tar, folder, [...command, ...members]);
        const sender = SENDERS[(index + turn) % SENDERS.length];
        const job = await sendByCurl(server, tar, sender?.(tar) ?? []);
        assert.deepEqual([job.state, job.error, job.result?.files], ["succeeded", null, Object.keys(files).length]);
        await assertArchived(server, job.id, files);
      }
    });
});

/**
 * What pacifica-uploader and pacifica-cli do, with Python's standard library alone: a bundle that is made while it is sent,
 * data first and metadata last, in chunks; then a look every second until it is over. Prints each state it saw.
 */
const PACIFICA_CLIENT = `
import hashlib, http.client, io, json, os, sys, tarfile, threading, time
address, folder, forged = sys.argv[1:]
reading, writing = os.pipe()
files = sorted(os.path.relpath(os.path.join(top, name), folder)
               for top, _, names in os.walk(os.path.join(folder, "data")) for name in names)

def bundle():
    metadata = [{"destinationTable": "Transactions.submitter", "value": 10},
                {"destinationTable": "Transactions.project", "value": "1234a"},
                {"destinationTable": "Transactions.instrument", "value": 54}]
    with os.fdopen(writing, "wb") as pipe, tarfile.open(fileobj=pipe, mode="w|") as tar:
        for path in files:
            content = open(os.path.join(folder, path), "rb").read()
            tar.add(os.path.join(folder, path), path)
            metadata.append({"destinationTable": "Files", "name": os.path.basename(path),
                             "subdir": os.path.dirname(path), "size": len(content),
                             "mimetype": "application/octet-stream", "hashtype": "sha1",
                             "hashsum": forged or hashlib.sha1(content).hexdigest()})
        text = json.dumps(metadata).encode()
        member = tarfile.TarInfo("metadata.txt")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))

threading.Thread(target=bundle).start()
server = http.client.HTTPConnection(address)
with os.fdopen(reading, "rb") as body:
    server.request("POST", "/upload", body=iter(lambda: body.read(65536), b""), encode_chunked=True,
                   headers={"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"})
    job = json.load(server.getresponse())["job_id"]
while True:
    server.request("GET", f"/get_state?job_id={job}")
    state = json.load(server.getresponse())
    print(json.dumps(state))
    success = state["task"] == "ingest metadata" and int(float(state["task_percent"])) == 100
    if state["state"] != "OK" or success:
        break
    time.sleep(1)
`;

describe("Pacifica's client, at the door's own port,", { skip: noPython }, () => {
  let server: ServerProcess;
  let door: string;
  let folder: string;
  before(async () => {
    door = `127.0.0.1:${await freePort()}`;
    server = await startServer({ env: { LONGSHORE_DOORS: door.replace("127.0.0.1", "pacifica-ingest") } });
    folder = bundleFolder(mkdtempSync(join(tmpdir(), "longshore-pacifica-")), LONG);
  });
  after(async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  interface State {
    readonly job_id: number;
    readonly state: string;
    readonly task: string;
    readonly exception: string;
  }
  /** @returns the last state it saw. */
  async function upload(forged = ""): Promise<State | undefined> {
    const { stdout } = await run("python3", ["-c", PACIFICA_CLIENT, door, folder, forged], { env });
    return stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as State)
      .at(-1);
  }

  test("uploads a bundle while making it and sees it succeed", async () => {
    const last = await upload();
    assert.deepEqual([last?.state, last?.task, last?.exception], ["OK", "ingest metadata", ""]);
    await assertArchived(server, last?.job_id ?? 0, LONG);
  });

  test("sees a bundle fail whose digests are wrong, and is told of each file", async () => {
    const last = await upload("0".repeat(40));
    assert.deepEqual([last?.state, last?.task], ["FAILED", "ingest files"]);
    for (const path of Object.keys(LONG)) assert.ok(last?.exception.includes(path), path);
  });
});

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

/** The folder of a bundle: its files, `metadata.txt`, and a folder with nothing in it. */
function bundleFolder(folder: string, files: Files): string {
  mkdirSync(join(folder, "data/one/nothing in here"), { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
    utimesSync(join(folder, path), 1_600_000_000, 1_600_000_000);
  }
  // Without a time of its own a file gets the one in the tar.
  const objects = Object.entries(files).map(([path, content]) => declared(path, content, { mtime: undefined }));
  writeFileSync(join(folder, "metadata.txt"), JSON.stringify([...TRANSACTION, ...objects]));
  return folder;
}

/** Into a file, as Python writes a tar that is not streamed only where it can seek. */
function writeTar(tar: string, folder: string, [program = "", ...words]: readonly string[]): void {
  const out = openSync(tar, "w");
  const { status, stderr } = spawnSync(program, words, { cwd: folder, env, stdio: ["ignore", out, "pipe"] });
  closeSync(out);
  assert.deepEqual([status, stderr.toString()], [0, ""]);
}

async function sendByCurl(server: ServerProcess, tar: string, words: readonly string[]): Promise<WireJob> {
  const stdin = openSync(tar, "r");
  const { stdout, stderr } = spawnSync("curl", ["-sS", "--fail-with-body", ...words, `${server.url}/api/v1/bundles`], {
    stdio: [stdin, "pipe", "pipe"],
    encoding: "utf8",
  });
  closeSync(stdin);
  assert.equal(stderr, "", stdout);
  return finished(server, (JSON.parse(stdout) as WireJob).id);
}

interface WireFile {
  readonly id: number;
  readonly path: string;
  readonly modifiedAt: string;
}

/** Fetches every file back, and has sha512sum check the object's manifest. */
async function assertArchived(server: ServerProcess, id: number, files: Files): Promise<void> {
  const address = `${server.url}/api/v1/transactions/${id}`;
  const { items } = await json<{ readonly items: readonly WireFile[] }>(`${address}/files?limit=1000`);
  assert.deepEqual(items.map(({ path }) => path).sort(), Object.keys(files).sort());
  for (const { id: fileId, path, modifiedAt } of items) {
    const response = await fetch(`${server.url}/api/v1/files/${fileId}/content`);
    assert.equal(response.status, 200);
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), Buffer.from(files[path] as string), path);
    // date -u -d @1600000000
    assert.equal(modifiedAt, "2020-09-13T12:26:40.000Z", path);
  }
  const { objectPath } = await json<{ readonly objectPath: string }>(address);
  assertManifest(join(server.dataDir, "archive", objectPath), items.length);
}

function assertManifest(folder: string, fileCount: number): void {
  const { manifest } = JSON.parse(readFileSync(join(folder, "inventory.json"), "utf8")) as {
    readonly manifest: Readonly<Record<string, readonly string[]>>;
  };
  const lines = Object.entries(manifest).flatMap(([digest, paths]) => paths.map((path) => `${digest}  ${path}\n`));
  assert.ok(lines.length > fileCount, "the manifest also has the metadata");
  execFileSync("sha512sum", ["-c", "--strict", "--quiet"], { cwd: folder, input: lines.join("") });
  execFileSync("sha512sum", ["-c", "--strict", "--quiet", "inventory.json.sha512"], { cwd: folder });
}
