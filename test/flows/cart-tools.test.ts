import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import { openPromise } from "yauzl";
import { depositFiles, readyCart } from "../http/cart-client.ts";
import { json } from "../http/client.ts";
import { type FaultyProxy, faultyProxy } from "../support/faulty-proxy.ts";
import { seededRandom } from "../support/random.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { without } from "../support/tools.ts";

const run = promisify(execFile);
/** Archivers read names in the encoding of their locale; times are not to depend on where one is. */
const env = { ...process.env, LC_ALL: "C.UTF-8", TZ: "Asia/Tokyo" };

/** Sizes lie about those of a block; names are what tools trip over. */
const FILES: Readonly<Record<string, string | Uint8Array>> = {
  "read me.txt": "hello\n",
  empty: "",
  "-rf": "a name like an option\n",
  "it's 100% fine & good.txt": "a name like a command\n",
  "日本語/空 ファイル.txt": "こんにちは\n",
  "a/b/c/d/e/f/g/h/i/j/k/l/deep.bin": Buffer.alloc(511, 1),
  "ümlaut/naïve.bin": Buffer.alloc(512, 2),
  "block.bin": Buffer.alloc(513, 3),
  [`${"n".repeat(120)}.txt`]: "longer than ustar's name\n",
  [`${"a folder with blanks/".repeat(20)}end`]: "a long way\n",
  [`${"長い名前".repeat(15)}/${"ファイル".repeat(15)}`]: "long, and not ASCII\n",
  "large.bin": randomBytes(40_000_001),
};
/** What every bundle of these tests declares: date -u -d 2020-09-13T12:26:40Z +%s */
const MODIFIED_AT_S = 1_600_000_000;

const noCurl = without("curl", ["curl", "--version"], "apt package curl");
const noAria2 = without("aria2", ["aria2c", "--version"], "apt package aria2");
const noGnuTar = without("GNU tar", ["sh", "-c", "tar --version | grep -q GNU"], "apt package tar");
const noBsdtar = without("bsdtar", ["bsdtar", "--version"], "apt package libarchive-tools");
const noPython = without("Python 3", ["python3", "--version"], "apt package python3");
const noUnzip = without("unzip", ["unzip", "-v"], "apt package unzip");
const no7z = without("7z", ["7z", "i"], "apt package p7zip-full");
const noBagit = without("the BagIt validator", ["python3", "-c", "import bagit"], "PyPI package bagit");

const PYTHON_TAR = `
import sys, tarfile
with tarfile.open(sys.argv[1], sys.argv[3]) as tar:
    tar.extractall(sys.argv[2])
`;
const PYTHON_ZIP = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    archive.extractall(sys.argv[2])
`;

interface Reader {
  readonly name: string;
  readonly skip: string | false;
  readonly format: "tar" | "zip";
  /** Commands of a shell in which $1 is the archive and $2 the folder to unpack it into. */
  readonly script: string;
  /** Python's zipfile unpacks without times. */
  readonly keepsTimes?: false;
}

const READERS: readonly Reader[] = [
  { name: "GNU tar", skip: noGnuTar, format: "tar", script: 'tar -xf "$1" -C "$2"' },
  { name: "GNU tar, from a pipe", skip: noGnuTar, format: "tar", script: 'cat "$1" | tar -x -C "$2"' },
  { name: "bsdtar", skip: noBsdtar, format: "tar", script: 'bsdtar -xf "$1" -C "$2"' },
  { name: "Python's tarfile", skip: noPython, format: "tar", script: `python3 -c '${PYTHON_TAR}' "$1" "$2" r:` },
  {
    name: "Python's tarfile, as a stream",
    skip: noPython,
    format: "tar",
    script: `python3 -c '${PYTHON_TAR}' "$1" "$2" "r|"`,
  },
  { name: "unzip", skip: noUnzip, format: "zip", script: 'unzip -qt "$1" >&2 && unzip -q "$1" -d "$2"' },
  { name: "7z", skip: no7z, format: "zip", script: '7z t "$1" >&2 && 7z x -o"$2" "$1" >&2' },
  { name: "bsdtar", skip: noBsdtar, format: "zip", script: 'bsdtar -xf "$1" -C "$2"' },
  {
    name: "Python's zipfile",
    skip: noPython,
    format: "zip",
    script: `python3 -c '${PYTHON_ZIP}' "$1" "$2"`,
    keepsTimes: false,
  },
];

describe("a cart's download", { skip: noCurl }, () => {
  let server: ServerProcess;
  let proxy: FaultyProxy;
  let work: string;
  /** File ids by path. */
  let ids: Readonly<Record<string, number>>;
  /** Where the downloads are, below the server's address. */
  let links: { readonly tar: string; readonly zip: string };
  /** Whole downloads, fetched by curl. */
  let whole: { readonly tar: string; readonly zip: string };

  before(async () => {
    server = await startServer();
    proxy = await faultyProxy(server.url);
    work = mkdtempSync(join(tmpdir(), "longshore-cart-tools-"));
    const deposited = await depositFiles(server, FILES);
    ids = deposited.ids;
    const cart = await readyCart(server, { name: "the cart", transactions: [deposited.transaction] });
    links = cart.links;
    whole = { tar: join(work, "whole.tar"), zip: join(work, "whole.zip") };
    for (const format of ["tar", "zip"] as const)
      await run("curl", ["-sS", "--fail", "-o", whole[format], server.url + links[format]]);
  });
  after(async () => {
    await proxy.close();
    await server.stop();
    rmSync(work, { recursive: true });
  });

  for (const { name, skip, format, script, keepsTimes = true } of READERS)
    test(`as ${format} is unpacked by ${name}, every file as it was`, { skip }, async () => {
      const folder = freshFolder(work);
      await run("bash", ["-euo", "pipefail", "-c", script, "bash", whole[format], folder], { env });
      assertUnpacked(join(folder, "the cart"), keepsTimes);
    });

  test("as zip is read by yauzl, sizes and checksums included", async () => {
    const zip = await openPromise(whole.zip);
    const found = new Map<string, Buffer>();
    for await (const entry of zip.eachEntry()) {
      const bytes = await buffer(await zip.openReadStreamPromise(entry));
      assert.equal(crc32(bytes), entry.crc32, entry.fileName);
      found.set(entry.fileName, bytes);
    }
    for (const [path, content] of Object.entries(FILES))
      assert.ok(found.get(`the cart/data/${path}`)?.equals(Buffer.from(content as string)), path);
    assert.equal(found.size, Object.keys(FILES).length + 1); // and the manifest
  });

  test("as a bag is valid", { skip: noBagit }, async () => {
    // RFC 8493 §2.1.3 wants `%` as `%25` in manifests; bagit.py 1.9.0 decodes only line ends, and finds no such file.
    const files = Object.entries(ids).flatMap(([path, id]) => (path.includes("%") ? [] : [id]));
    const cart = await readyCart(server, { name: "the bag", files });
    for (const [format, unpack] of [
      ["tar", 'tar -xf - -C "$2"'],
      ["zip", 'cat > "$2/bag.zip"; unzip -q "$2/bag.zip" -d "$2"'],
    ] as const) {
      const folder = freshFolder(work);
      const url = `${server.url}${cart.links[format]}?bag=true`;
      await run("bash", ["-euo", "pipefail", "-c", `curl -sS --fail "$1" | (${unpack})`, "bash", url, folder], { env });
      await run("python3", ["-m", "bagit", "--validate", join(folder, "the bag")]);
    }
  });

  test("goes on with curl -C - where the connection was cut", async () => {
    for (const format of ["tar", "zip"] as const) {
      const file = join(work, "resumed");
      proxy.cutAfter(() => 10_000_000);
      const cut = await ended("curl", ["-sS", "--fail", "-o", file, proxy.url + links[format]]);
      assert.equal(cut.code, 18); // curl(1): "Partial file. Only a part of the file was transferred."
      proxy.heal();
      const begun = statSync(file).size;
      assert.ok(begun > 0 && begun < statSync(whole[format]).size, `${begun} bytes were there`);
      const words = ["-w", "%{http_code} %{size_download}", "-C", "-", "-o", file, proxy.url + links[format]];
      const { stdout } = await run("curl", ["-sS", "--fail", ...words]);
      assert.equal(stdout, `206 ${statSync(whole[format]).size - begun}`);
      await assertSame(file, whole[format]);
      rmSync(file);
    }
  });

  test("is fetched by aria2 over 16 connections", { skip: noAria2 }, async () => {
    for (const format of ["tar", "zip"] as const) {
      const connections = ["--max-connection-per-server=16", "--split=16", "--min-split-size=1M"];
      const where = ["--dir", work, "--out", "parallel", "--allow-overwrite=true", "--file-allocation=none"];
      await run("aria2c", ["--quiet", ...connections, ...where, server.url + links[format]]);
      await assertSame(join(work, "parallel"), whole[format]);
    }
  });

  test("has the same bytes in 1,000 random ranges as in one piece", async (t) => {
    const random = seededRandom(t);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (const format of ["tar", "zip"] as const) {
      const bytes = readFileSync(whole[format]);
      for (let n = 0; n < 1_000; n++) {
        // Most of the format lies around the small files: at both ends.
        const reach = n % 2 ? bytes.length : 20_000;
        const start = n % 4 < 2 ? random(reach) : bytes.length - 1 - random(reach);
        const end = Math.min(bytes.length - 1, start + random(random(2) ? 200_000 : 1_000));
        const part = await rangeOf(agent, server.url + links[format], start, end);
        assert.ok(part.equals(bytes.subarray(start, end + 1)), `${format}, bytes ${start} to ${end}`);
      }
    }
    agent.destroy();
  });

  test("cut 100 times at random offsets and gone on with is whole, and hardly anything is sent twice", async (t) => {
    const random = seededRandom(t);
    const sizeBytes = statSync(whole.tar).size;
    const file = join(work, "cut");
    // Two thirds of it in a hundred pieces on average: none of a hundred cuts comes too late.
    proxy.cutAfter(() => random((2 * sizeBytes) / 150));
    let receivedBytes = 0;
    const before = proxy.cuts;
    do {
      if (proxy.cuts - before === 100) proxy.heal();
      const words = ["-w", "%{size_download} %{size_header}", "-C", "-", "-o", file, proxy.url + links.tar];
      const curl = await ended("curl", ["-sS", "--fail", ...words]);
      const [body = Number.NaN, head = Number.NaN] = curl.stdout.split(" ").map(Number);
      receivedBytes += body + head;
      // By the size: curl takes an answer that is cut within its head for an empty one, and is content.
    } while (existsSync(file) ? statSync(file).size < sizeBytes : true);
    assert.equal(proxy.cuts - before, 100);
    await assertSame(file, whole.tar);
    assert.ok(receivedBytes < 1.01 * sizeBytes, `${receivedBytes} bytes came for ${sizeBytes}`);
  });

  test("is counted once, however many parts it came in", async () => {
    const { transaction } = await depositFiles(server, { "counted.bin": randomBytes(5_000_000) });
    const cart = await readyCart(server, { transactions: [transaction] });
    proxy.cutAfter(() => 1_000_000);
    await ended("curl", ["-sS", "-o", join(work, "counted"), proxy.url + cart.links.tar]);
    proxy.heal();
    await run("curl", ["-sS", "--fail", "-C", "-", "-o", join(work, "counted"), proxy.url + cart.links.tar]);
    const { downloads } = await json<{ readonly downloads: number }>(`${server.url}/api/v1/carts/${cart.id}`);
    assert.equal(downloads, 1);
  });
});

function freshFolder(work: string): string {
  return mkdtempSync(join(work, "unpacked-"));
}

/** Exactly the files, and a manifest that `sha512sum` finds to be true. */
function assertUnpacked(folder: string, keepsTimes: boolean): void {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = found.map((entry) => relative(folder, join(entry.parentPath, entry.name)));
  const expected = ["manifest-sha512.txt", ...Object.keys(FILES).map((path) => `data/${path}`)];
  assert.deepEqual(paths.sort(), expected.sort());
  for (const [path, content] of Object.entries(FILES)) {
    const file = join(folder, "data", path);
    assert.ok(readFileSync(file).equals(Buffer.from(content as string)), path);
    if (keepsTimes) assert.equal(statSync(file).mtimeMs, MODIFIED_AT_S * 1000, path);
  }
  const check = spawnSync("sha512sum", ["-c", "--strict", "manifest-sha512.txt"], { cwd: folder, encoding: "utf8" });
  assert.equal(check.status, 0, check.stderr);
  assert.equal(check.stdout.trim().split("\n").length, Object.keys(FILES).length);
}

async function assertSame(file: string, other: string): Promise<void> {
  await run("cmp", [file, other]);
}

function rangeOf(agent: Agent, url: string, start: number, end: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    get(url, { agent, headers: { range: `bytes=${start}-${end}` } }, (response) => {
      assert.equal(response.statusCode, 206);
      buffer(response).then(resolve, reject);
    }).on("error", reject);
  });
}

/** The exit code too, where a failure is expected. */
function ended(program: string, words: readonly string[]): Promise<{ readonly code: number; readonly stdout: string }> {
  return run(program, words).then(
    ({ stdout }) => ({ code: 0, stdout }),
    ({ code, stdout }: { code: number; stdout: string }) => ({ code, stdout }),
  );
}
