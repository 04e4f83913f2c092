import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ReadyEntry } from "../../../../src/core/carts/cart.ts";
import { archiveParts } from "../../../../src/core/carts/layout/archive-parts.ts";
import { CHECKPOINT_ENTRIES, etagOf, type LayoutSpec, layoutKey } from "../../../../src/core/carts/layout/layout.ts";
import { manifestText, pieces } from "../../../../src/core/carts/layout/virtual-archive.ts";
import { AWKWARD, AWKWARD_TIMES, archiveBytes, cartOf, plan, SPEC, sourceOf } from "../../../support/layouts.ts";
import { seededRandom } from "../../../support/random.ts";

const SPECS: readonly LayoutSpec[] = (["tar", "zip"] as const).flatMap((format) =>
  (["files", "manifest", "bag"] as const).map((content) => ({ ...SPEC, format, content })),
);
const named = ({ format, content }: LayoutSpec) => `${format}, ${content}`;

const AWKWARD_CART = cartOf([...AWKWARD, ...AWKWARD_TIMES]);
/** More entries than two checkpoints are apart; every thirteenth is empty. */
const MANY = cartOf(
  Array.from({ length: 1100 }, (_, i) => ({ path: `many/${i}.txt`, content: Buffer.alloc(i % 13, i) })),
);

describe("any range is the same part of the same bytes", () => {
  for (const spec of SPECS)
    for (const [what, cart] of Object.entries({ awkward: AWKWARD_CART, many: MANY }))
      test(`${named(spec)}, ${what} files`, async (t) => {
        const random = seededRandom(t);
        const planned = plan(spec, cart.entries);
        const whole = await archiveBytes(spec, cart, planned);
        assert.equal(planned.layout.sizeBytes, whole.length, "what was planned is what comes");
        // 12 tests: 1,008 ranges. Half of them short, as a resumed download's last one is.
        for (let round = 0; round < 84; round++) {
          const start = random(whole.length);
          const end = start + random(round % 2 ? Math.min(2000, whole.length - start) : whole.length - start);
          const part = await archiveBytes(spec, cart, planned, { start, end });
          assert.ok(part.equals(whole.subarray(start, end + 1)), `bytes ${start} to ${end} of ${whole.length}`);
        }
      });
});

test("every single byte can be had for itself", async () => {
  const cart = cartOf([{ path: "é", content: "12345" }]);
  for (const spec of SPECS) {
    const planned = plan(spec, cart.entries);
    const whole = await archiveBytes(spec, cart, planned);
    for (let at = 0; at < whole.length; at++) {
      const [byte, ...more] = await archiveBytes(spec, cart, planned, { start: at, end: at });
      assert.ok(byte === whole[at] && more.length === 0, `${named(spec)}: byte ${at}`);
    }
  }
});

test("an archive of no files is one all the same", async () => {
  const cart = cartOf([]);
  for (const spec of SPECS) {
    const planned = plan(spec, cart.entries);
    assert.equal((await archiveBytes(spec, cart, planned)).length, planned.layout.sizeBytes, named(spec));
  }
});

test("a layout is learned without a file's bytes, and only once: the same plan from the same entries", () => {
  for (const spec of SPECS) assert.deepEqual(plan(spec, AWKWARD_CART.entries), plan(spec, AWKWARD_CART.entries));
});

test("a random range reads one checkpoint, and no more entries than lie between two", async () => {
  for (const spec of SPECS) {
    const { layout, checkpoints } = plan(spec, MANY.entries);
    assert.deepEqual(
      checkpoints.map(({ seq }) => seq),
      [512, 1024],
    );
    // The last file: as far behind a checkpoint as can be asked for here is 75 entries, and 511 for the one before 1024.
    for (const seq of [1023, 1099]) {
      const source = sourceOf(MANY.entries, checkpoints, 16);
      const start = await offsetOf(spec, seq);
      for await (const piece of pieces(spec, layout, { start, end: start }, source)) assert.ok("entry" in piece);
      assert.equal(source.read.checkpoints, 1);
      assert.ok(
        source.read.entries <= CHECKPOINT_ENTRIES,
        `${named(spec)}: ${source.read.entries} entries for one byte`,
      );
    }
  }
});

/** Where the bytes of a file begin, told by adding up all pieces before them. */
async function offsetOf(spec: LayoutSpec, seq: number): Promise<number> {
  let at = 0;
  for await (const piece of pieces(spec, plan(spec, MANY.entries).layout, undefined, sourceOf(MANY.entries))) {
    if ("entry" in piece && piece.entry.seq === seq) return at;
    at += "bytes" in piece ? piece.bytes.length : piece.sizeBytes;
  }
  throw new Error(`no piece is of entry ${seq}`);
}

test("the whole archive reads its entries once for each part that goes through them", async () => {
  // members; manifest too; directory too
  const passes = { tar: { files: 1, manifest: 2, bag: 2 }, zip: { files: 2, manifest: 3, bag: 3 } };
  for (const spec of SPECS) {
    const { layout, checkpoints } = plan(spec, MANY.entries);
    const source = sourceOf(MANY.entries, checkpoints);
    let files = 0;
    for await (const piece of pieces(spec, layout, undefined, source)) if ("entry" in piece) files++;
    assert.equal(source.read.entries, passes[spec.format][spec.content] * 1100);
    assert.equal(source.read.checkpoints, 0);
    assert.equal(files, MANY.entries.filter(({ sizeBytes }) => sizeBytes > 0).length);
  }
});

test("padding and the next header are one piece", async () => {
  const cart = cartOf([
    { path: "one", content: "1" },
    { path: "two", content: "2" },
  ]);
  const { layout } = plan({ ...SPEC, content: "files" }, cart.entries);
  const sizes: number[] = [];
  for await (const piece of pieces({ ...SPEC, content: "files" }, layout, undefined, sourceOf(cart.entries)))
    sizes.push("bytes" in piece ? piece.bytes.length : piece.sizeBytes);
  // header; file; padding and header; file; padding and two zero blocks
  assert.deepEqual(sizes, [512, 1, 511 + 512, 1, 511 + 1024]);
});

test("the manifest is known before any download, and is the member's text", async () => {
  const spec: LayoutSpec = { ...SPEC, format: "zip", content: "manifest" };
  const text = Buffer.concat(await Array.fromAsync(manifestText("manifest", sourceOf(MANY.entries))));
  const zip = await archiveBytes(spec, MANY);
  // It is the first member: 30 bytes of header, the name, 9 of time (APPNOTE 4.3.7).
  const from = 30 + "a cart/manifest-sha512.txt".length + 9;
  assert.ok(zip.subarray(from, from + text.length).equals(text));
  assert.equal(text.length, plan(spec, MANY.entries).layout.regions.manifest);
});

describe("a layout depends on the folder through nothing but its length", () => {
  const folders = ["data_2026_03_04_05_06_07", "data_1999_12_31_23_59_59"];
  for (const spec of SPECS)
    test(named(spec), async () => {
      const [one, other] = folders.map((folder) => ({ ...spec, folder }));
      assert.ok(one && other);
      assert.equal(layoutKey(one), layoutKey(other));
      const planned = plan(one, AWKWARD_CART.entries);
      assert.deepEqual(planned, plan(other, AWKWARD_CART.entries));
      // Laid out for one, read for the other: as if it had been laid out for it.
      assert.ok(
        (await archiveBytes(other, AWKWARD_CART, planned)).equals(await archiveBytes(other, AWKWARD_CART)),
        "a borrowed layout makes other bytes",
      );
      assert.notEqual(etagOf(one, planned.layout), etagOf(other, planned.layout));
    });

  test("and whether it is ASCII, as tar names that are not need an extended header", () => {
    const ascii = { ...SPEC, folder: "uu" };
    const utf8 = { ...SPEC, folder: "ü" };
    assert.notEqual(layoutKey(ascii), layoutKey(utf8));
    assert.notEqual(plan(ascii, MANY.entries).layout.sizeBytes, plan(utf8, MANY.entries).layout.sizeBytes);
  });
});

test("whatever decides the bytes decides the ETag", () => {
  const { layout } = plan(SPEC, MANY.entries);
  const other = (change: Partial<ReadyEntry>) =>
    plan(
      SPEC,
      MANY.entries.map((entry) => (entry.seq === 700 ? { ...entry, ...change } : entry)),
    ).layout;
  const etags = [
    etagOf(SPEC, layout),
    ...(
      [
        { format: "zip" },
        { content: "bag" },
        { folder: "b cart" },
        { algorithm: "sha256" },
        { createdAt: SPEC.createdAt + 1000 },
      ] as const
    ).map((change) => etagOf({ ...SPEC, ...change }, layout)),
    ...[
      { path: "many/renamed.txt" },
      { sizeBytes: 1_000_000 },
      { modifiedAt: null },
      { modifiedAt: 0 },
      { crc32: 1 },
      { digest: "00".repeat(64) },
    ].map((change) => etagOf(SPEC, other(change))),
  ];
  assert.equal(new Set(etags).size, etags.length, "two of them are equal");
  assert.equal(etagOf({ ...SPEC }, structuredClone(layout)), etags[0]);
  // RFC 9110 §8.8.3: entity-tag = DQUOTE *etagc DQUOTE; a weak one would begin with W/.
  for (const etag of etags) assert.match(etag, /^"[\x21\x23-\x7e]+"$/);
});

describe("entries that are not the planned ones break the archive off", () => {
  const lost = MANY.entries.slice(0, -1);
  const gap = MANY.entries.filter(({ seq }) => seq !== 600);
  const resized = MANY.entries.map((entry) => (entry.seq === 600 ? { ...entry, sizeBytes: 4000 } : entry));
  for (const spec of SPECS)
    for (const [what, entries] of Object.entries({ lost, gap, resized }))
      test(`${named(spec)}: ${what}`, async () => {
        const { layout } = plan(spec, MANY.entries);
        let sizeBytes = 0;
        await assert.rejects(
          async () => {
            for await (const piece of pieces(spec, layout, undefined, sourceOf(entries)))
              sizeBytes += "bytes" in piece ? piece.bytes.length : piece.sizeBytes;
          },
          { code: "cart_failed" },
        );
        assert.ok(sizeBytes < layout.sizeBytes, "all bytes had come already");
      });
});

test("a range that is not within the archive is the caller's mistake", async () => {
  const { layout } = plan(SPEC, MANY.entries);
  const { sizeBytes } = layout;
  for (const range of [
    { start: -1, end: 0 },
    { start: 5, end: 4 },
    { start: 0, end: sizeBytes },
    { start: sizeBytes, end: sizeBytes },
  ])
    await assert.rejects(pieces(SPEC, layout, range, sourceOf(MANY.entries)).next(), RangeError);
});

test("entries are planned in order", () => {
  assert.throws(() => plan(SPEC, MANY.entries.slice(1)), RangeError);
  assert.throws(() => plan(SPEC, MANY.entries.toReversed()), RangeError);
});

test("a ZIP refuses, before its first byte, what it cannot say", () => {
  const spec: LayoutSpec = { ...SPEC, format: "zip" };
  const [entry] = MANY.entries;
  assert.ok(entry);
  // APPNOTE 4.4.10: two bytes for the length of the name, of which "a cart/data/" takes 12.
  const longest = { ...entry, path: "é".repeat((65_535 - 13) / 2) };
  assert.equal(plan(spec, [longest]).layout.fileCount, 1);
  assert.throws(() => plan(spec, [{ ...longest, path: `${longest.path}xx` }]), { code: "cart_path_unsafe" });

  // 2 GiB of manifest, as of 50,000 names of 40,000 bytes: more than may lie before the first file.
  const planned = plan(spec, MANY.entries).layout;
  const manifest = (bytes: number) => ({ ...planned, regions: { ...planned.regions, manifest: bytes } });
  assert.ok(archiveParts(spec, manifest(2 ** 31 - 1000)));
  assert.throws(() => archiveParts(spec, manifest(2 ** 31)), { code: "cart_refused" });
});
