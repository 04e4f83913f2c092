import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { readdir, readlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { fsObjectStorage } from "../../../../src/adapters/storage/fs.ts";
import { memoryObjectStorage } from "../../../../src/adapters/storage/memory.ts";
import type { ObjectStorage } from "../../../../src/core/archive/object-storage.ts";
import type { Location, ReadyEntry } from "../../../../src/core/carts/cart.ts";
import { assemble, type Locate } from "../../../../src/core/carts/layout/assemble.ts";
import type { Piece } from "../../../../src/core/carts/layout/layout.ts";
import { SMALLEST_WINDOW, type WindowBudget, windowBudget } from "../../../../src/core/carts/layout/window-budget.ts";
import { AppError } from "../../../../src/core/errors.ts";
import { recycle } from "../../../../src/core/streams.ts";
import { faultyStorage } from "../../../support/faulty-storage.ts";
import { seededRandom } from "../../../support/random.ts";
import { until } from "../../../support/until.ts";

const MIB = 1024 * 1024;

describe("a download put together of many files", () => {
  let root: string;
  let archive: ObjectStorage;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "longshore-assemble-"));
    archive = fsObjectStorage({ root });
  });
  afterEach(async () => {
    await archive.close();
    rmSync(root, { recursive: true });
  });

  /** Makes the file, and the entry it has in a cart. */
  function entry(seq: number, bytes: Uint8Array, facts: Partial<ReadyEntry> = {}): ReadyEntry {
    const path = `objects/${seq}`;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), bytes);
    return entryAt(seq, { at: "archive", path }, bytes, facts);
  }
  const locate: Locate = (location) => ({ storage: archive, path: pathOf(location) });
  const never = new AbortController().signal;
  const roomy = () => windowBudget(64 * MIB);

  test("is the bytes of all pieces in order, whatever the storage and however much memory there is", async (t) => {
    const random = seededRandom(t);
    const memory = memoryObjectStorage();
    const pieces: Piece[] = [];
    const expected: Uint8Array[] = [];
    for (let seq = 0; seq < 300; seq++) {
      const sizeBytes = random(20) === 0 ? random(3 * MIB) : random(3000);
      const bytes = Buffer.alloc(sizeBytes, `${seq} of ${sizeBytes};`);
      const file = entry(seq, bytes);
      await memory.put(pathOf(file.location), bytes);
      const start = random(2) === 0 ? 0 : random(sizeBytes);
      const length = random(2) === 0 ? sizeBytes - start : random(sizeBytes - start);
      const literal = Buffer.alloc(random(50) === 0 ? random(MIB) : random(1000), `header ${seq}`);
      pieces.push({ bytes: literal }, { entry: file, start, sizeBytes: length });
      expected.push(literal, bytes.subarray(start, start + length));
    }
    const whole = Buffer.concat(expected);
    for (const storage of [archive, memory])
      for (const totalBytes of [0, 4 * MIB, 64 * MIB]) {
        const where: Locate = (location) => ({ storage, path: pathOf(location) });
        const windows = assemble(each(pieces), where, { budget: windowBudget(totalBytes), signal: never });
        assert.ok(Buffer.concat(await Array.fromAsync(windows)).equals(whole), `with ${totalBytes} bytes of memory`);
        assert.ok((await recycled(each(pieces), where, windowBudget(totalBytes))).equals(whole), "memory used again");
      }
  });

  test("takes files from the archive and from the staging cache in one window", async () => {
    const staged = memoryObjectStorage();
    await staged.put("copies/7", Buffer.from("staged"));
    const first = entry(0, Buffer.from("archived,"));
    const second = entryAt(1, { at: "staged", key: "sha512:7" }, Buffer.from("staged"));
    const third = entry(2, Buffer.from(",archived"));
    const read: Locate = async (location) =>
      location.at === "staged" ? { storage: staged, path: "copies/7" } : locate(location);
    const windows = await Array.fromAsync(
      assemble(each([first, second, third].map(wholeOf)), read, { budget: roomy(), signal: never }),
    );
    assert.deepEqual(
      windows.map((window) => Buffer.from(window).toString()),
      ["archived,staged,archived"],
    );
  });

  test("begins with little, and reads each window in one go", async () => {
    const storage = faultyStorage(archive);
    const entries = Array.from({ length: 1000 }, (_, seq) => entry(seq, Buffer.alloc(1024, `${seq}.`)));
    const windows = assemble(each(entries.map(wholeOf)), (location) => ({ storage, path: pathOf(location) }), {
      budget: roomy(),
      signal: never,
    });
    const sizes = (await Array.fromAsync(windows)).map((window) => window.byteLength / 1024);
    assert.deepEqual(sizes, [64, 128, 256, 512, 40]);
    assert.deepEqual(
      storage.steps.map(({ operation }) => operation),
      ["gather", "gather", "gather", "gather", "gather"],
    );
  });

  test("breaks before the last bytes of a file whose CRC-32 is another, and names it", async () => {
    const good = entry(0, Buffer.alloc(100_000, "good"));
    const bad = entry(1, Buffer.alloc(5 * MIB, "bad"), { path: "data/bad.bin", crc32: 0x3610a686 });
    const { error, bytes } = await broken([wholeOf(good), wholeOf(bad)], locate);
    assert.ok(error instanceof AppError);
    assert.equal(error.code, "object_corrupt");
    const found = crc32(Buffer.alloc(5 * MIB, "bad"))
      .toString(16)
      .padStart(8, "0");
    assert.deepEqual(error.details, { what: "CRC-32", expected: "3610a686", found, path: "data/bad.bin", seq: 1 });
    assert.ok(bytes > 100_000 && bytes < 100_000 + 5 * MIB, `${bytes} bytes were yielded`);
  });

  test("does not check a file of which only a part is wanted", async () => {
    const bad = entry(0, Buffer.from("0123456789"), { crc32: 1 });
    for (const piece of [
      { entry: bad, start: 0, sizeBytes: 9 },
      { entry: bad, start: 1, sizeBytes: 9 },
    ])
      assert.equal((await broken([piece], locate)).error, undefined);
    assert.ok((await broken([wholeOf(bad)], locate)).error instanceof AppError);
  });

  for (const [what, code, spoil] of [
    ["was removed", "object_missing", (file: string) => rmSync(file)],
    ["was cut short", "object_corrupt", (file: string) => truncateSync(file, 1 * MIB)],
    ["was emptied", "object_corrupt", (file: string) => truncateSync(file, 0)],
    [
      "became a folder",
      "object_missing",
      (file: string) => {
        rmSync(file);
        mkdirSync(file);
      },
    ],
  ] as const)
    for (const kind of ["beside the thread", "through open"])
      test(`breaks, and names the file, when one ${what} (${kind})`, async () => {
        const small = entry(0, Buffer.from("small"));
        const large = entry(1, Buffer.alloc(4 * MIB, "large"), { path: "data/large.bin" });
        spoil(join(root, "objects/1"));
        const storage = kind === "through open" ? withoutGather(archive) : archive;
        const pieces = [wholeOf(small), wholeOf(large), wholeOf(small)];
        const { error, bytes } = await broken(pieces, (location) => ({ storage, path: pathOf(location) }));
        assert.ok(error instanceof AppError, String(error));
        assert.deepEqual([error.code, error.details.path, error.details.seq], [code, "data/large.bin", 1]);
        assert.ok(bytes < 4 * MIB, `${bytes} bytes were yielded`);
      });

  test("breaks when a file is removed between two windows", async () => {
    const large = entry(0, Buffer.alloc(8 * MIB, "large"), { path: "data/large.bin" });
    const storage = withoutGather(archive);
    const windows = assemble(each([wholeOf(large)]), () => ({ storage, path: "objects/0" }), {
      budget: windowBudget(0),
      signal: never,
    });
    assert.equal((await windows.next()).value?.byteLength, SMALLEST_WINDOW);
    rmSync(join(root, "objects/0"));
    await assert.rejects(Array.fromAsync(windows), {
      code: "object_missing",
      details: { path: "data/large.bin", seq: 0 },
    });
  });

  test("is whole or breaks when a file is replaced between two windows", async () => {
    const large = entry(0, Buffer.alloc(8 * MIB, "large"));
    const windows = assemble(each([wholeOf(large)]), locate, { budget: windowBudget(0), signal: never });
    const first = await windows.next();
    rmSync(join(root, "objects/0"));
    writeFileSync(join(root, "objects/0"), Buffer.alloc(8 * MIB, "other"));
    const rest = await Array.fromAsync(windows).catch((error: AppError) => error);
    if (rest instanceof AppError) assert.equal(rest.code, "object_corrupt");
    else assert.ok(Buffer.concat([first.value ?? Buffer.of(), ...rest]).equals(Buffer.alloc(8 * MIB, "large")));
  });

  test("passes on what the storage meets at any step, with the entry", async () => {
    const entries = Array.from({ length: 5 }, (_, seq) => entry(seq, Buffer.alloc(50_000), { path: `data/${seq}` }));
    const pieces = entries.map(wholeOf);
    for (let step = 1; step <= 3; step++) {
      const what = new AppError("storage_unavailable", { path: `objects/${step}`, reason: "EIO" });
      const storage = faultyStorage(archive, { step, when: "before", what });
      const { error } = await broken(pieces, (location) => ({ storage, path: pathOf(location) }));
      assert.ok(error instanceof AppError, `step ${step}: ${error}`);
      assert.deepEqual([error.code, error.details.reason, error.cause], ["storage_unavailable", "EIO", what]);
    }
    const lost = new AppError("object_missing", { key: "sha512:1" });
    const { error } = await broken(pieces, () => Promise.reject(lost));
    assert.ok(error instanceof AppError);
    assert.deepEqual(error.details, { key: "sha512:1", path: "data/0", seq: 0 });
  });

  test("lets go of everything when it is left early, at any window", async (t) => {
    if (process.platform !== "linux") return t.skip("needs /proc to count open files");
    const large = entry(0, Buffer.alloc(8 * MIB, "large"));
    for (const storage of [archive, withoutGather(archive)])
      for (const windows of [1, 2, 3, 4, 5]) {
        let closed = false;
        async function* pieces(): AsyncGenerator<Piece> {
          try {
            for (;;) yield wholeOf(large);
          } finally {
            closed = true;
          }
        }
        const budget = counting(roomy());
        const download = assemble(pieces(), () => ({ storage, path: "objects/0" }), { budget, signal: never });
        let seen = 0;
        for await (const _ of download) if (++seen === windows) break;
        assert.ok(closed, "the pieces were not closed");
        assert.equal(budget.taken(), 0, "memory was not returned");
        await until("all files are closed", async () => (await openFiles(root)) === 0);
      }
  });

  test("ends with the reason of an abort, while storage is silent, and closes what it reads", async () => {
    const silent = new Readable({ read() {} });
    const storage: ObjectStorage = { ...memoryObjectStorage(), open: async () => silent };
    const abort = new AbortController();
    const budget = counting(roomy());
    const one = entry(0, Buffer.from("never read"));
    const windows = assemble(each([wholeOf(one)]), () => ({ storage, path: "x" }), { budget, signal: abort.signal });
    const next = windows.next();
    await until("the reading has begun", () => silent.listenerCount("readable") > 0);
    const enough = new Error("enough");
    abort.abort(enough);
    await assert.rejects(next, enough);
    assert.ok(silent.destroyed);
    assert.equal(budget.taken(), 0);
    const late = assemble(each([wholeOf(one)]), locate, { budget, signal: abort.signal });
    await assert.rejects(late.next(), enough);
  });

  test("takes memory back once, and only until the next window is asked for", async () => {
    const bytes = Buffer.alloc(MIB, "0123456789abcdef.");
    const budget = counting(roomy());
    const kept: Uint8Array[] = [];
    for await (const window of assemble(each([wholeOf(entry(0, bytes))]), locate, { budget, signal: never })) {
      const [last] = kept.slice(-1);
      if (last) recycle(last);
      kept.push(window);
    }
    assert.ok(Buffer.concat(kept).equals(bytes), "memory was used again that somebody still looked at");
    const [first] = kept;
    assert.ok(first);
    recycle(first);
    assert.equal(budget.taken(), 0);

    const download = assemble(each([wholeOf(entry(1, bytes))]), locate, { budget, signal: never });
    const { value } = await download.next();
    assert.ok(value);
    recycle(value);
    recycle(value);
    await download.return(undefined);
    recycle(value);
    assert.equal(budget.taken(), 0);
  });

  test("of many at once stays within the memory that is meant for all of them", async () => {
    const large = entry(0, Buffer.alloc(3 * MIB, "large"));
    const budget = counting(windowBudget(16 * MIB));
    const all = Array.from({ length: 100 }, () => assemble(each([wholeOf(large)]), locate, { budget, signal: never }));
    // Half of them stop after their first window, as readers that stall do.
    for (const download of all) await download.next();
    await Promise.all(all.slice(50).map((download) => Array.fromAsync(download)));
    assert.ok(budget.most() <= 16 * MIB, `${budget.most()} bytes were taken`);
    for (const download of all) await download.return(undefined);
    assert.equal(budget.taken(), 0);
  });
});

function entryAt(seq: number, location: Location, bytes: Uint8Array, facts: Partial<ReadyEntry> = {}): ReadyEntry {
  return {
    seq,
    path: `data/${seq}`,
    sizeBytes: bytes.byteLength,
    modifiedAt: null,
    crc32: crc32(bytes),
    digest: "",
    fileId: null,
    transactionId: null,
    location,
    expected: null,
    ...facts,
  };
}

function wholeOf(entry: ReadyEntry): Piece {
  return { entry, start: 0, sizeBytes: entry.sizeBytes };
}

function pathOf(location: Location): string {
  return location.at === "archive" ? location.path : "";
}

async function* each(pieces: readonly Piece[]): AsyncGenerator<Piece> {
  yield* pieces;
}

/** Reads to the end, giving each window back once its bytes have been copied. */
async function recycled(pieces: AsyncIterable<Piece>, locate: Locate, budget: WindowBudget): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const window of assemble(pieces, locate, { budget, signal: new AbortController().signal })) {
    copies.push(Buffer.from(window));
    recycle(window);
  }
  return Buffer.concat(copies);
}

/** How a download ends, and how much came before. */
async function broken(pieces: readonly Piece[], locate: Locate): Promise<{ error: unknown; bytes: number }> {
  let bytes = 0;
  try {
    const options = { budget: windowBudget(64 * MIB), signal: new AbortController().signal };
    for await (const window of assemble(each(pieces), locate, options)) bytes += window.byteLength;
    return { error: undefined, bytes };
  } catch (error) {
    return { error, bytes };
  }
}

/** As storage that can only be read file by file. */
function withoutGather(storage: ObjectStorage): ObjectStorage {
  const { gather, ...rest } = storage;
  return rest;
}

function counting(budget: WindowBudget): WindowBudget & { taken(): number; most(): number } {
  let taken = 0;
  let most = 0;
  return {
    take(wanted) {
      const memory = budget.take(wanted);
      taken += memory.byteLength;
      most = Math.max(most, taken);
      return memory;
    },
    giveBack(memory) {
      taken -= memory.byteLength;
      budget.giveBack(memory);
    },
    leave(sizeBytes) {
      taken -= sizeBytes;
      budget.leave(sizeBytes);
    },
    get scarce() {
      return budget.scarce;
    },
    taken: () => taken,
    most: () => most,
  };
}

async function openFiles(root: string): Promise<number> {
  const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "closed"));
  return (await Promise.all(links)).filter((file) => file.startsWith(root)).length;
}
