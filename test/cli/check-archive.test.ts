import assert from "node:assert/strict";
import { buffer } from "node:stream/consumers";
import { describe, test } from "node:test";
import { fromBufferPromise } from "yauzl";
import { archiveBytes } from "../../src/cli/archive/archive-bytes.ts";
import { type BadMember, checkArchive } from "../../src/cli/archive/check-archive.ts";
import { tarMembers } from "../../src/cli/archive/tar-members.ts";
import { zipMembers } from "../../src/cli/archive/zip-members.ts";
import type { LayoutSpec } from "../../src/core/carts/layout/layout.ts";
import { AWKWARD, AWKWARD_TIMES, cartOf, type LaidFile, archiveBytes as layOut, SPEC } from "../support/layouts.ts";

const READERS = { tar: tarMembers, zip: zipMembers };
const FEW: readonly LaidFile[] = [
  { path: "a.txt", content: "hello\n" },
  { path: "größe/b.bin", content: Buffer.alloc(700, 3) },
];

interface Case {
  readonly spec: LayoutSpec;
  readonly files: readonly LaidFile[];
}

/** Checks an archive that comes in chunks of so many bytes, all in the same memory. */
async function check({ spec, files }: Case, archive: Uint8Array, chunkBytes = 1000): Promise<readonly BadMember[]> {
  const sizes = cartOf(files).entries.map(({ sizeBytes }) => sizeBytes);
  const open = async function* (from: number) {
    const chunk = Buffer.alloc(chunkBytes);
    for (let at = from; at < archive.length; at += chunkBytes) {
      chunk.set(archive.subarray(at, at + chunkBytes));
      yield chunk.subarray(0, archive.length - at);
    }
  };
  const bytes = archiveBytes(archive.length, open);
  return checkArchive(
    bytes,
    { files: files.length, bytes: sizes.reduce((sum, size) => sum + size, 0) },
    {
      members: READERS[spec.format],
      bag: spec.content === "bag",
      async keepManifest({ sizeBytes }) {
        const [from, kept] = [bytes.position, archive.subarray(bytes.position, bytes.position + sizeBytes)];
        return async function* () {
          for (let at = 0; at < kept.length; at += chunkBytes)
            yield archive.subarray(from + at, from + Math.min(kept.length, at + chunkBytes));
        };
      },
    },
  );
}

describe("checking an archive while it is received", () => {
  for (const format of ["tar", "zip"] as const)
    for (const content of ["manifest", "bag"] as const) {
      const spec = { ...SPEC, format, content };
      test(`the server's ${format} with ${content} is right, in chunks of whatever size`, async () => {
        const files = [...AWKWARD, ...AWKWARD_TIMES];
        const archive = await layOut(spec, cartOf(files));
        for (const chunkBytes of [13, 512, 65_536, archive.length])
          assert.deepEqual(await check({ spec, files }, archive, chunkBytes), [], `chunks of ${chunkBytes}`);
      });

      test(`a ${format} with ${content} of any other length is refused`, async () => {
        const archive = await layOut(spec, cartOf(FEW));
        for (const length of [0, 3, 511, 600, archive.length - 512, archive.length - 1])
          await assert.rejects(check({ spec, files: FEW }, archive.subarray(0, length)), { code: "remote_refused" });
        const longer = Buffer.concat([archive, Buffer.alloc(512)]);
        await assert.rejects(check({ spec, files: FEW }, longer), { code: "remote_refused" });
      });
    }

  test("a tar in which any one byte is another is noticed, whichever it is", async () => {
    for (const content of ["manifest", "bag"] as const) {
      const spec = { ...SPEC, content };
      const archive = await layOut(spec, cartOf(FEW));
      for (let at = 0; at < archive.length; at++)
        assert.ok(await isNoticed({ spec, files: FEW }, archive, at), `${content}: byte ${at}`);
    }
  });

  test("a ZIP in which one byte is another is noticed, but where other readers would not care either", async (t) => {
    const spec = { ...SPEC, format: "zip" } as const;
    const archive = await layOut(spec, cartOf(FEW));
    const right = await readByYauzl(archive);
    let unnoticed = 0;
    for (let at = 0; at < archive.length; at++) {
      if (await isNoticed({ spec, files: FEW }, archive, at)) continue;
      unnoticed++;
      assert.deepEqual(await readByYauzl(flipped(archive, at)), right, `byte ${at}`);
    }
    t.diagnostic(`${unnoticed} of ${archive.length} bytes are versions, times and attributes`);
    assert.ok(unnoticed < archive.length / 10);
  });

  test("a file that is wrong is named with the bytes it takes up, and the others are still checked", async () => {
    for (const format of ["tar", "zip"] as const) {
      const spec = { ...SPEC, format };
      const archive = await layOut(spec, cartOf(FEW));
      const wrong = flipped(archive, archive.indexOf("hello"));
      const bad = await check({ spec, files: FEW }, wrong);
      assert.deepEqual(
        bad.map(({ code, path }) => [code, path]),
        [["digest_mismatch", "data/a.txt"]],
      );
      const [{ startsAt = 0, endsAt = 0 } = {}] = bad;
      assert.equal(archive.subarray(startsAt, endsAt).indexOf("a cart/data/a.txt") >= 0, true);
      assert.ok(startsAt < archive.indexOf("hello") && endsAt >= archive.indexOf("hello") + 6);
    }
  });

  test("a ZIP of more members than its old fields can count is read by those of ZIP64", async () => {
    const spec = { ...SPEC, format: "zip" } as const;
    const files = Array.from({ length: 66_000 }, (_, n) => ({ path: `${n}`, content: "" }));
    const archive = await layOut(spec, cartOf(files));
    assert.deepEqual(await check({ spec, files }, archive, 65_536), []);
  });
});

const flipped = (archive: Buffer, at: number): Buffer => {
  const other = Buffer.from(archive);
  other[at] = (other[at] ?? 0) ^ 1;
  return other;
};

async function isNoticed(one: Case, archive: Buffer, at: number): Promise<boolean> {
  try {
    return (await check(one, flipped(archive, at))).length > 0;
  } catch (error) {
    assert.ok(error instanceof Error && "code" in error, String(error));
    assert.match(String(error.code), /^(remote_refused|digest_unknown)$/, `byte ${at}: ${error.stack}`);
    return true;
  }
}

/** Names and contents as an independent reader sees them. */
async function readByYauzl(archive: Buffer): Promise<Record<string, string>> {
  const zip = await fromBufferPromise(archive);
  const contents: Record<string, string> = {};
  for await (const entry of zip.eachEntry())
    contents[entry.fileName] = (await buffer(await zip.openReadStreamPromise(entry))).toString("hex");
  return contents;
}
