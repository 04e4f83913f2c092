import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, type TestContext, test } from "node:test";
import { unpackCart } from "../../src/cli/get/cart-unpack.ts";
import { terminal } from "../../src/cli/terminal.ts";
import type { Cart } from "../../src/sdk/index.ts";
import { paxHeader, tarMember, tarOf } from "../support/tars.ts";
import { CART_ID, type CartFacts, cartTar, factsOf, manifestOf, member } from "./cart-server.ts";

/** What a tar can do to whoever unpacks it. The cart's own words, and everything over HTTP: `get-cart-hostile.test.ts`. */
describe("unpacking a cart", () => {
  /** The target is a folder in here: whatever gets out of it is found beside it. */
  let around: string;
  beforeEach(async (t) => {
    around = await mkdtemp(join(tmpdir(), "longshore-unpack-"));
    (t as TestContext).after(() => rm(around, { recursive: true }));
  });
  const silent = { write: () => true };

  let receivedBytes = 0;

  function unpack(tar: Uint8Array, facts: CartFacts): Promise<string> {
    return unpackCart({
      cart: { id: CART_ID, name: "run", ...facts } as Cart,
      download: {
        sizeBytes: tar.length,
        etag: '"etag"',
        async *bytes(from, until) {
          // Not whole blocks: headers come in pieces, as they do over a network.
          const chunk = Buffer.alloc(1000);
          for (let at = from; at < until; at += 1000) {
            receivedBytes += 1000;
            // The same memory every time, as whoever reads from a disk does it.
            chunk.set(tar.subarray(at, Math.min(until, at + 1000)));
            yield chunk.subarray(0, until - at);
          }
        },
      },
      folder: join(around, "target"),
      force: true,
      terminal: terminal(silent, silent, () => 0),
      signal: new AbortController().signal,
    });
  }
  /** Everything below the folder around the target. */
  const found = async () => (await readdir(around, { recursive: true })).sort();

  test("files get their bytes, their times and their long or foreign names, and nothing else is left", async () => {
    const contents = {
      "data/a.txt": "hello\n",
      "data/empty": "",
      [`data/${"deep/".repeat(40)}größe.bin`]: Buffer.alloc(3_000_000, 7),
    };
    const { tar, ...facts } = cartTar(contents);
    assert.equal(await unpack(tar, facts), join(around, "target/run"));
    for (const [path, content] of Object.entries(contents))
      assert.deepEqual(await readFile(join(around, "target/run", path)), Buffer.from(content), path);
    assert.equal(await readFile(join(around, "target/run/manifest-sha512.txt"), "utf8"), manifestOf(contents));
    assert.equal((await stat(join(around, "target/run/data/a.txt"))).mtimeMs, 1_600_000_000_000); // as tars.ts has it
    assert.deepEqual(await readdir(join(around, "target")), ["run"]);
  });

  test("a tar whose name and size are in extended headers is read by those", async () => {
    const path = `data/${"x".repeat(120)}`;
    const sized = Buffer.concat([
      paxHeader({ path: `run/${path}`, size: "5", mtime: "-86400" }),
      tarMember({ name: "stand-in", sizeField: Buffer.from("00000000000\0") }, "12345"),
    ]);
    const manifest = tarMember({ name: "run/manifest-sha512.txt" }, manifestOf({ [path]: "12345" }));
    await unpack(tarOf(manifest, sized), { files: 1, bytes: 5 });
    const file = join(around, "target/run", path);
    assert.equal(await readFile(file, "utf8"), "12345");
    assert.equal((await stat(file)).mtimeMs, -86_400_000);
  });

  for (const path of [
    "data/../../../outside",
    "data//double",
    "data/./here",
    "data/back\\slash",
    "data/drive:stream",
    "data/tab\there",
    "data/ends in a dot.",
    "data/ends in a blank ",
    "data/NUL",
    "data/sub/com1.txt",
    "data/Aux.h",
    `data/${"x".repeat(256)}`,
    "/etc/cron.d/absolute",
    "outside-of-data",
    "data",
  ])
    test(`a file at ${JSON.stringify(path.slice(0, 40))} is refused before anything is written`, async () => {
      const { tar, ...facts } = cartTar({ "data/good.txt": "good", [path]: "bad" });
      await assert.rejects(unpack(tar, facts), { code: "remote_refused" });
      assert.deepEqual(await found(), ["target"]);
    });

  for (const [what, first, second] of [
    ["twice the same path", "data/a", "data/a"],
    ["paths that differ in case only", "data/Straße/a", "data/straße/A"],
    ["paths that differ in normalisation only", "data/caf\u00e9", "data/cafe\u0301"],
  ] as const)
    test(`${what} are refused before anything is written`, async () => {
      const tar = tarOf(
        member("run/manifest-sha512.txt", manifestOf({ [first]: "1" }) + manifestOf({ [second]: "2" })),
        member(`run/${first}`, "1"),
        member(`run/${second}`, "2"),
      );
      await assert.rejects(unpack(tar, { files: 2, bytes: 2 }), { code: "remote_refused", message: /two files at/ });
      assert.deepEqual(await found(), ["target"]);
    });

  const LINK = "run/data/link";
  for (const [what, bad] of [
    ["a symbolic link", tarMember({ name: LINK, type: "2", linkName: "/etc" })],
    ["a hard link", tarMember({ name: LINK, type: "1", linkName: "../../outside" })],
    ["a device", tarMember({ name: LINK, type: "3" })],
    ["a folder", tarMember({ name: `${LINK}/`, type: "5" })],
    ["a sparse file", tarMember({ name: LINK, type: "S" })],
    ["a link by extended header", Buffer.concat([paxHeader({ linkpath: "/etc" }), tarMember({ name: LINK })])],
    ["a name that is changed for all", Buffer.concat([paxHeader({ path: LINK }, "g"), tarMember({ name: LINK })])],
    ["a size that is none", tarMember({ name: LINK, sizeField: Buffer.alloc(12, 0xff) })],
    ["a member of another folder", tarMember({ name: "elsewhere/data/link" })],
    ["a member that the manifest does not have", tarMember({ name: "run/data/surprise" })],
    ["a second manifest", tarMember({ name: "run/manifest-sha256.txt" })],
    ["a damaged header", Buffer.alloc(512, "x")],
    ["the end", Buffer.alloc(0)],
  ] as const)
    test(`${what} among the members ends it there`, async () => {
      const contents = { "data/before.txt": "before", "data/link": "" };
      const tar = tarOf(
        member("run/manifest-sha512.txt", manifestOf(contents)),
        member("run/data/before.txt", "before"),
        bad,
      );
      await assert.rejects(unpack(tar, factsOf(contents)), { code: "remote_refused" });
      assert.deepEqual(await found(), ["target", "target/run", "target/run/data", "target/run/data/before.txt"]);
    });

  test("members after those of the manifest are refused, and so is anything after the end", async () => {
    const contents = { "data/a": "a" };
    const manifest = member("run/manifest-sha512.txt", manifestOf(contents));
    const more = tarOf(manifest, member("run/data/a", "a"), member("run/data/b", "b"));
    await assert.rejects(unpack(more, factsOf(contents)), { code: "remote_refused" });
    await rm(join(around, "target"), { recursive: true });
    const behind = Buffer.concat([cartTar(contents).tar, Buffer.alloc(512, "x")]);
    await assert.rejects(unpack(behind, factsOf(contents)), { code: "remote_refused" });
  });

  test("without a manifest in front, nothing is written", async () => {
    await assert.rejects(unpack(tarOf(member("run/data/a", "a")), { files: 1, bytes: 1 }), { code: "remote_refused" });
    await assert.rejects(unpack(tarOf(), { files: 1, bytes: 1 }), { code: "remote_refused" });
    assert.deepEqual(await found(), ["target"]);
    await assert.rejects(unpack(tarOf(member("run/manifest-crc32.txt", "")), { files: 1, bytes: 1 }), {
      code: "digest_unknown",
    });
  });

  for (const top of ["..", ".", `.longshore-${CART_ID}`, `.Longshore-${CART_ID.toLowerCase()}`, "CON", "a\\b"])
    test(`a top folder called ${top} is refused`, async () => {
      const { tar, ...facts } = cartTar({ "data/a": "a" }, { top });
      await assert.rejects(unpack(tar, facts), { code: "remote_refused" });
      assert.deepEqual(await found(), ["target"]);
    });

  test("what is here and right is not received again, but for what is too small to ask around", async () => {
    const contents = Object.fromEntries(
      Array.from({ length: 12 }, (_, i) => [`data/${i}`, Buffer.alloc(i === 6 ? 500_000 : 1_500_000, `${i}`)]),
    );
    const { tar, ...facts } = cartTar(contents);
    await unpack(tar, facts);
    const lost = ["data/1", "data/7", "data/11"];
    for (const path of lost) await rm(join(around, "target/run", path));
    receivedBytes = 0;
    await unpack(tar, facts);
    for (const path of lost) assert.deepEqual(await readFile(join(around, "target/run", path)), contents[path], path);
    const neededBytes = 3 * 1_500_000 + 500_000;
    assert.ok(receivedBytes < neededBytes + 50_000, `received ${receivedBytes} bytes for ${neededBytes}`);
    receivedBytes = 0;
    await unpack(tar, facts);
    assert.ok(receivedBytes < 5_000, `received ${receivedBytes} bytes for nothing but the manifest`);
  });
});
