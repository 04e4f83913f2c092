import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { type BundleHash, bundleSource, type MetadataObject } from "../../src/sdk/index.ts";

export const SHA512: BundleHash = {
  name: "sha512",
  hexDigits: 128,
  start() {
    const hash = createHash("sha512");
    return { update: (bytes) => hash.update(bytes), hexDigest: () => hash.digest("hex") };
  },
};

export type Contents = Readonly<Record<string, string | Uint8Array>>;

/** A bundle of files in memory. */
export function bundleOf(contents: Contents, metadata: readonly MetadataObject[] = []) {
  return bundleSource({
    hash: SHA512,
    metadata,
    files: Object.entries(contents).map(([path, content]) => {
      const bytes = Buffer.from(content);
      return {
        path,
        sizeBytes: bytes.length,
        modifiedAt: Date.UTC(2024, 1, 29),
        async *open() {
          for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
        },
      };
    }),
  });
}

/** The same as one Blob. */
export async function bundleBlob(contents: Contents, metadata?: readonly MetadataObject[]): Promise<Blob> {
  return new Blob([await buffer(bundleOf(contents, metadata).open(0))]);
}
