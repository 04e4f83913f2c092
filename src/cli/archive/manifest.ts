import { LongshoreError } from "../../sdk/index.ts";
import { unexpected } from "./archive-bytes.ts";
import { copyOf, textOf } from "./member.ts";

/** What a manifest says of one file. */
export interface ManifestLine {
  /** Lower-case hex. */
  readonly digest: string;
  /** Below the archive's top folder. */
  readonly path: string;
}

/** Longer than any digest and path together. */
const MAX_LINE_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

/**
 * The digest algorithm that a manifest's name tells, as Node has it; `undefined` for another file's name.
 * @throws LongshoreError digest_unknown.
 */
export function manifestAlgorithm(name: string): string | undefined {
  const [, algorithm] = /^manifest-([a-z0-9]+)\.txt$/.exec(name) ?? [];
  if (algorithm === undefined || ["sha256", "sha512", "sha1", "md5"].includes(algorithm)) return algorithm;
  throw new LongshoreError("digest_unknown", `The cart's digests, ${algorithm}, cannot be checked here.`, {
    details: { found: algorithm },
  });
}

/**
 * The lines of a manifest in `sha512sum` form, in the order of the archive's members. Paths hold neither backslashes nor
 * line ends, so that nothing is escaped; in a bag, `%` is (RFC 8493 §2.1.3).
 * @throws LongshoreError remote_refused.
 */
export async function* manifestLines(
  bytes: AsyncIterable<Uint8Array>,
  bag = false,
): AsyncGenerator<ManifestLine, void, undefined> {
  let position = 0;
  let rest: Uint8Array = new Uint8Array();
  for await (const chunk of bytes) {
    const text: Uint8Array = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = text.indexOf(NEWLINE); end >= 0; end = text.indexOf(NEWLINE, start)) {
      yield lineOf(text.subarray(start, end), bag, position + start);
      start = end + 1;
    }
    position += start;
    rest = copyOf(text.subarray(start));
    if (rest.length > MAX_LINE_BYTES) throw unexpected("a line of its manifest is too long", position);
  }
  if (rest.length > 0) throw unexpected("its manifest ends in the middle of a line", position);
}

function lineOf(bytes: Uint8Array, bag: boolean, at: number): ManifestLine {
  const [, digest, path] = /^([0-9a-f]{32,128}) [ *]([^\\]+)$/.exec(textOf(bytes) ?? "") ?? [];
  if (digest === undefined || path === undefined) throw unexpected("a line of its manifest is not understood", at);
  return { digest, path: bag ? path.replace(/%(0A|0D|25)/gi, decodeURIComponent) : path };
}
