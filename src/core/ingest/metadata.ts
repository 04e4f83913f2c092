import type { DigestName } from "../digest.ts";

/** One file as the depositor declares it. */
export interface DeclaredFile {
  /** Logical path: `data/` and the clipped `subdir/name`. */
  readonly path: string;
  readonly sizeBytes: number | null;
  readonly mediaType: string | null;
  readonly digest: { readonly algorithm: DigestName; readonly value: string };
  readonly modifiedAt: string | null;
  readonly changedAt: string | null;
  /** Only in a move: where the file lies on the server. */
  readonly source: string | null;
}

/** What `metadata.txt` says, in our words. */
export interface BundleMetadata {
  readonly submitter: string | null;
  readonly project: string | null;
  readonly instrument: string | null;
  readonly keyValues: readonly { readonly key: string; readonly value: string }[];
  readonly files: readonly DeclaredFile[];
}
