import { createHash, type Hash } from "node:crypto";
import { isoTime } from "../clock.ts";
import type { Package } from "./package.ts";
import type { PackageZip } from "./package-zip.ts";
import type { PackageSink } from "./row-format.ts";

/** A member as the manifest describes it, uncompressed. */
export interface DescribedMember {
  readonly name: string;
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/** A sink that reckons what goes through it. */
export interface DescribingSink extends PackageSink {
  /** Has to be called first. What the ZIP holds already is read back. */
  over(zip: PackageZip): Promise<void>;
  members(): readonly DescribedMember[];
}

interface Reckoning {
  readonly hash: Hash;
  sizeBytes: number;
}

export function describing(): DescribingSink {
  let zip: PackageZip | undefined;
  const reckonings = new Map<string, Reckoning>();

  function reckoningOf(name: string): Reckoning {
    const known = reckonings.get(name) ?? { hash: createHash("sha256"), sizeBytes: 0 };
    reckonings.set(name, known);
    return known;
  }

  function count(reckoning: Reckoning, part: string | Uint8Array): void {
    reckoning.hash.update(part);
    reckoning.sizeBytes += Buffer.byteLength(part);
  }

  function under(): PackageZip {
    if (!zip) throw new Error("A sink that describes was used before it had a ZIP.");
    return zip;
  }

  return {
    async over(begun) {
      zip = begun;
      for (const name of begun.names()) for await (const bytes of begun.written(name)) count(reckoningOf(name), bytes);
    },
    member(name, options) {
      const member = under().member(name, options);
      const reckoning = reckoningOf(name);
      return {
        write(part) {
          count(reckoning, part);
          return member.write(part);
        },
      };
    },
    async drop(name) {
      reckonings.delete(name);
      await under().drop(name);
    },
    members: () =>
      Array.from(reckonings, ([name, { hash, sizeBytes }]) => ({ name, sizeBytes, sha256: hash.copy().digest("hex") })),
  };
}

/** The last member: what was asked for, when, and what the others hold. */
export async function writeManifest(
  zip: PackageSink,
  members: readonly DescribedMember[],
  { id, recipe }: Package,
  rowCount: number | null,
  now: number,
): Promise<void> {
  const { manifest: _, ...query } = recipe;
  const text = JSON.stringify({ package: id, createdAt: isoTime(now), query, rows: rowCount, members }, undefined, 2);
  // A file by URL may bear the name itself.
  const isTaken = members.some(({ name }) => name === "manifest.json");
  await zip.member(isTaken ? "package-manifest.json" : "manifest.json").write(`${text}\n`);
}
