import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { crc32, inflateRawSync } from "node:zlib";
import { packageFolder } from "../../../src/adapters/packages/folder.ts";
import type { Workspace } from "../../../src/core/packages/package-files.ts";
import { packageZip } from "../../../src/core/packages/package-zip.ts";
import { blockDeflate } from "../../../src/core/zip/block-deflate.ts";
import { localBytes, writeLocal } from "../../../src/core/zip/headers.ts";
import { seededRandom } from "../../support/random.ts";
import { without } from "../../support/tools.ts";

const folder = await mkdtemp(join(tmpdir(), "package-zip-"));
after(() => rm(folder, { recursive: true }));
let stores = 0;
const modifiedAt = Date.UTC(2026, 10, 22, 12);

function store() {
  const root = join(folder, String(stores++));
  return { root, files: packageFolder({ root }) };
}

/** Text like a table's: it compresses, and no two lines are the same. */
const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => `${from + n},some text of row ${from + n},${(from + n) * 7}\n`).join("");

const python = (script: string, ...args: readonly string[]) =>
  execFileSync("python3", ["-c", script, ...args], { encoding: "utf8" });
const noPython = without("Python 3", ["python3", "--version"], "Debian: python3");
const noUnzip = without("unzip", ["unzip", "-v"], "Debian: unzip");

/** Their memory is used again. */
const copies = (pieces: readonly Uint8Array[]) => pieces.map((piece) => Buffer.from(piece));

describe("deflate in blocks", () => {
  test("is one stream that any inflater reads, whatever the sizes of the writes", async (t) => {
    const random = seededRandom(t);
    for (const total of [0, 1, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 5_000_000]) {
      const source = Buffer.concat([Buffer.from(lines(0, 20_000)), randomBytes(total)]).subarray(0, total);
      const out: Uint8Array[] = [];
      const deflate = blockDeflate({ level: 4, write: async (pieces) => void out.push(...copies(pieces)) });
      for (let at = 0; at < total; ) {
        const size = 1 + random(3_000_000);
        await deflate.write(source.subarray(at, at + size));
        at += size;
      }
      const facts = await deflate.end();
      const compressed = Buffer.concat(out);
      assert.ok(inflateRawSync(compressed).equals(source), `${total} bytes`);
      assert.deepEqual(facts, { crc32: crc32(source), sizeBytes: total, compressedBytes: compressed.length });
    }
  });

  test("stores what cannot become smaller, and compresses again what can", async () => {
    const noise = randomBytes(12 * 1024 * 1024);
    const text = Buffer.from(lines(0, 200_000));
    const out: Uint8Array[] = [];
    const deflate = blockDeflate({ level: 4, write: async (pieces) => void out.push(...copies(pieces)) });
    await deflate.write(noise);
    const { compressedBytes } = await deflate.flush();
    // RFC 1951 §3.2.4: five bytes before each stored block of 64 KiB; the first block showed only then that it is noise.
    assert.ok(compressedBytes < noise.length * 1.001, `${compressedBytes}`);
    await deflate.write(text);
    const ended = await deflate.end();
    assert.ok(ended.compressedBytes - compressedBytes < text.length / 2, `${ended.compressedBytes - compressedBytes}`);
    assert.ok(inflateRawSync(Buffer.concat(out)).equals(Buffer.concat([noise, text])));
  });

  test("costs next to nothing at the seams", async () => {
    const source = Buffer.from(lines(0, 200_000));
    const deflate = blockDeflate({
      level: 6,
      write: async () => undefined,
    });
    await deflate.write(source);
    const { compressedBytes } = await deflate.end();
    const whole = spawnSync("gzip", ["-6", "-c"], { input: source, maxBuffer: 2 ** 30 });
    if (whole.status === 0) assert.ok(compressedBytes < whole.stdout.length * 1.02, `${compressedBytes}`);
  });

  test("says what its sink failed with", async () => {
    const failing = blockDeflate({
      level: 1,
      write: async () => {
        throw new Error("full");
      },
    });
    await assert.rejects(async () => {
      for (let n = 0; n < 20; n++) await failing.write(randomBytes(1024 * 1024));
      await failing.end();
    }, /full/);
  });
});

describe("the ZIP of a package", () => {
  async function written(workspace: Workspace, fileName: string) {
    const zip = await packageZip(workspace, { modifiedAt });
    const [a, b, photo] = [zip.member("a.csv"), zip.member("Größe.txt"), zip.member("photo.jpg", { stored: true })];
    const pixels = randomBytes(300_000);
    await a.write(lines(0, 50_000));
    await b.write("Größe\n");
    await photo.write(pixels);
    await a.write(lines(50_000, 60_000));
    zip.member("empty");
    await zip.member("dropped").write("x");
    await zip.drop("dropped");
    return { finished: await zip.finish(fileName), pixels };
  }

  test("holds its members flat and in order, with sizes and checksums before each", {
    skip: noPython || noUnzip,
  }, async () => {
    const { root, files } = store();
    const { finished, pixels } = await written(await files.workspace("w"), "p.zip");
    const path = join(root, "p.zip");
    const bytes = await readFile(path);
    assert.equal(finished.sizeBytes, bytes.length);
    assert.equal(finished.digest, createHash("sha256").update(bytes).digest("hex"));
    assert.deepEqual(
      finished.members.map(({ name, sizeBytes }) => [name, sizeBytes]),
      [
        ["a.csv", Buffer.byteLength(lines(0, 60_000))],
        ["Größe.txt", 8],
        ["photo.jpg", 300_000],
        ["empty", 0],
      ],
    );
    execFileSync("unzip", ["-tqq", path]);
    const script =
      "import zipfile,sys,json,hashlib\nz=zipfile.ZipFile(sys.argv[1])\nprint(json.dumps([[i.filename,i.compress_type,i.flag_bits,list(i.date_time),hashlib.sha256(z.read(i)).hexdigest()] for i in z.infolist()]))";
    const sha256 = (data: string | Uint8Array) => createHash("sha256").update(data).digest("hex");
    const time = [2026, 11, 22, 12, 0, 0];
    assert.deepEqual(JSON.parse(python(script, path)), [
      ["a.csv", 8, 0x800, time, sha256(lines(0, 60_000))],
      ["Größe.txt", 8, 0x800, time, sha256("Größe\n")],
      ["photo.jpg", 0, 0x800, time, sha256(pixels)],
      ["empty", 8, 0x800, time, sha256("")],
    ]);
    assert.deepEqual(await Array.fromAsync(files.workspaces()), []);
  });

  test("has room in a header for sizes of 64 bits, which are written where they are needed", () => {
    const header = (sizeBytes: number) => {
      const member = { name: "a", method: "deflated", crc32: 1, sizeBytes, compressedBytes: 5, modifiedAt } as const;
      const bytes = Buffer.alloc(localBytes({ ...member, hasRoom64: true }));
      assert.equal(writeLocal(bytes, 0, { ...member, hasRoom64: true }), bytes.length);
      return bytes;
    };
    const [small, large] = [header(7), header(2 ** 32)];
    assert.equal(small.length, large.length);
    // APPNOTE 6.3.10 §4.3.7 and §4.6.10: sizes as they are, then the growth hint 0xa220 with its signature 0xa028.
    assert.equal(small.readUInt32LE(22), 7);
    assert.deepEqual(
      [0, 2, 4].map((at) => small.readUInt16LE(31 + at)),
      [0xa220, 16, 0xa028],
    );
    // §4.5.3: 0x0001, both sizes, of which the header says that they are elsewhere.
    assert.deepEqual(
      [18, 22].map((at) => large.readUInt32LE(at)),
      [0xffffffff, 0xffffffff],
    );
    assert.deepEqual(
      [0, 2].map((at) => large.readUInt16LE(31 + at)),
      [0x0001, 16],
    );
    assert.deepEqual(
      [35, 43].map((at) => large.readBigUInt64LE(at)),
      [2n ** 32n, 5n],
    );
  });

  test("is the same whether it was written at one go or continued by another process at any checkpoint", async () => {
    const whole = store();
    const one = await packageZip(await whole.files.workspace("w"), { modifiedAt });
    for (let n = 0; n < 8; n++) {
      await one.member("a.csv").write(lines(n * 5_000, (n + 1) * 5_000));
      await one.member("b.csv").write(`${n}\n`);
    }
    const expected = (await one.finish("p.zip")).members;

    for (let stop = 1; stop < 8; stop++) {
      const { root, files } = store();
      const first = await packageZip(await files.workspace("w"), { modifiedAt });
      for (let n = 0; n < stop; n++) {
        await first.member("a.csv").write(lines(n * 5_000, (n + 1) * 5_000));
        await first.member("b.csv").write(`${n}\n`);
      }
      const from = JSON.parse(JSON.stringify(await first.checkpoint()));
      // Written after the checkpoint, and lost with the process.
      await first.member("a.csv").write(lines(0, 30_000));
      await first.member("c.csv").write("never");
      await first.checkpoint();
      await first.close();

      const second = await packageZip(await files.workspace("w"), { modifiedAt, from });
      for (let n = stop; n < 8; n++) {
        await second.member("a.csv").write(lines(n * 5_000, (n + 1) * 5_000));
        await second.member("b.csv").write(`${n}\n`);
      }
      const { members } = await second.finish("p.zip");
      assert.deepEqual(members, expected, `stopped after ${stop}`);
      if (!noUnzip) execFileSync("unzip", ["-tqq", join(root, "p.zip")]);
    }
  });

  test("that is begun anew takes nothing of what lies in its workspace", async () => {
    const { files } = store();
    const first = await packageZip(await files.workspace("w"), { modifiedAt });
    await first.member("a.csv").write(lines(0, 1_000));
    await first.checkpoint();
    await first.close();
    const second = await packageZip(await files.workspace("w"), { modifiedAt });
    await second.member("a.csv").write("new\n");
    assert.deepEqual((await second.finish("p.zip")).members, [{ name: "a.csv", sizeBytes: 4, crc32: crc32("new\n") }]);
  });

  test("is nowhere to be seen when the disk is full", async () => {
    const { root, files } = store();
    const workspace = await files.workspace("w");
    let room = 100_000;
    const full: Workspace = {
      ...workspace,
      async append(name, sizeBytes) {
        const file = await workspace.append(name, sizeBytes);
        return {
          ...file,
          get sizeBytes() {
            return file.sizeBytes;
          },
          async write(...pieces) {
            for (const { length } of pieces) room -= length;
            if (room < 0) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
            await file.write(...pieces);
          },
        };
      },
    };
    await assert.rejects(written(full, "p.zip"), /no space/);
    assert.deepEqual(await Array.fromAsync(files.list()), []);
    await workspace.discard();
    assert.ok(root);
  });
});
