import { createHash, hash as hashOf } from "node:crypto";
import { crc32 } from "node:zlib";
import { type Cart, type FileProblem, LongshoreError } from "../../sdk/index.ts";
import { type ArchiveBytes, unexpected } from "./archive-bytes.ts";
import { type ManifestLine, manifestAlgorithm, manifestLines } from "./manifest.ts";
import { copyOf, type Member, type MemberReader } from "./member.ts";

/** A file of an archive that is not what it should be, and the bytes of the archive that it takes up. */
export interface BadMember extends FileProblem {
  readonly startsAt: number;
  readonly endsAt: number;
}

export interface CheckOptions {
  readonly members: MemberReader;
  /** Made as a bag (RFC 8493). */
  readonly bag: boolean;
  /** Uses the manifest's bytes up. @returns how to read them again, while the files they name pass by. */
  keepManifest(manifest: Member): Promise<() => AsyncIterable<Uint8Array>>;
}

/** What a bag has beside its manifest; held in memory until the manifest of such files comes. */
const TAG_FILES = ["bagit.txt", "bag-info.txt"];
const MAX_TAG_BYTES = 64 * 1024;

/**
 * Reads an archive from its first byte to its last, and compares every member with its digest in the manifest and with its
 * CRC-32, the manifest with the members, and both with the cart. Memory does not grow with the number of files.
 * @returns the files whose bytes are wrong. @throws LongshoreError remote_refused when it is not this cart at all.
 */
export async function checkArchive(
  archive: ArchiveBytes,
  cart: Pick<Cart, "files" | "bytes">,
  { members, bag, keepManifest }: CheckOptions,
): Promise<readonly BadMember[]> {
  const bad: BadMember[] = [];
  const tags = new Map<string, Uint8Array>();
  let manifestDigest = "";
  let top: string | undefined;
  let manifest: { readonly algorithm: string; readonly lines: AsyncGenerator<ManifestLine> } | undefined;
  let [files, bytes] = [0, 0];

  for await (const member of members(archive)) {
    const { startsAt, endsAt } = member;
    top ??= topFolderOf(member);
    const name = nameBelow(top, member);
    if (manifest && name.startsWith("data/")) {
      const { value: line } = await manifest.lines.next();
      if (line?.path !== name) throw unexpected(`its manifest does not have ${name} here`, startsAt);
      files++;
      bytes += member.sizeBytes;
      const wrong = await wrongBytes(member, manifest.algorithm, line);
      if (wrong) bad.push({ ...wrong, startsAt, endsAt });
    } else if (!manifest && manifestAlgorithm(name)) {
      const reopen = await keepManifest(member);
      const algorithm = manifestAlgorithm(name) ?? "";
      if (bag) manifestDigest = await digestOf(reopen(), algorithm);
      manifest = { algorithm, lines: manifestLines(reopen(), bag) };
    } else if (bag && (TAG_FILES.includes(name) || name.startsWith("tagmanifest-"))) {
      if (member.sizeBytes > MAX_TAG_BYTES) throw unexpected(`${name} is too large`, startsAt);
      tags.set(name, copyOf(await archive.take(member.sizeBytes)));
    } else throw unexpected(`it has ${member.path} where something else should be`, startsAt);
  }
  if (!manifest) throw unexpected("it has no manifest", archive.position);
  const { value: unseen } = await manifest.lines.next();
  if (unseen) throw unexpected(`${unseen.path} is missing`, archive.position);
  if (bag) await checkTags(tags, manifest.algorithm, manifestDigest);
  requireWhole(cart, files, bytes);
  return bad;
}

export function topFolderOf({ path, startsAt }: Member): string {
  const slash = path.indexOf("/");
  if (slash < 1) throw unexpected(`${path} is in no folder`, startsAt);
  return path.slice(0, slash);
}

export function nameBelow(top: string, { path, startsAt }: Member): string {
  if (!path.startsWith(`${top}/`)) throw unexpected(`${path} is not in the folder ${top}`, startsAt);
  return path.slice(top.length + 1);
}

async function wrongBytes(
  member: Member,
  algorithm: string,
  { path, digest }: ManifestLine,
): Promise<FileProblem | undefined> {
  const hash = createHash(algorithm);
  let sum = 0;
  for await (const chunk of member.bytes()) {
    hash.update(chunk);
    if (member.crc32 !== undefined) sum = crc32(chunk, sum);
  }
  const found = hash.digest("hex");
  if (found !== digest) return digestProblem(path, algorithm, digest, found);
  if (member.crc32 === undefined || member.crc32 === sum) return undefined;
  return digestProblem(path, "crc32", hex32(member.crc32), hex32(sum));
}

const hex32 = (sum: number) => sum.toString(16).padStart(8, "0");

export function digestProblem(path: string, algorithm: string, expected: string, found: string): FileProblem {
  const message = `What was received is not what the archive names (${algorithm}: expected ${expected}, found ${found}).`;
  return { code: "digest_mismatch", path, expected, found, message };
}

/** RFC 8493 §2.2.1: the manifest of the files that are none of the payload. */
async function checkTags(
  tags: ReadonlyMap<string, Uint8Array>,
  algorithm: string,
  manifestDigest: string,
): Promise<void> {
  const name = `tagmanifest-${algorithm}.txt`;
  const text = async function* () {
    yield tags.get(name) ?? new Uint8Array();
  };
  const listed = new Map<string, string>();
  for await (const { path, digest } of manifestLines(text(), true)) listed.set(path, digest);
  const expected = new Map([[`manifest-${algorithm}.txt`, manifestDigest]]);
  for (const file of TAG_FILES) expected.set(file, hashOf(algorithm, tags.get(file) ?? new Uint8Array()));
  if (listed.size !== expected.size || [...expected].some(([file, digest]) => listed.get(file) !== digest))
    throw unexpected(`${name} is not right`, 0);
}

async function digestOf(bytes: AsyncIterable<Uint8Array>, algorithm: string): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of bytes) hash.update(chunk);
  return hash.digest("hex");
}

/** The cart says how much it has: what was shortened together with its manifest would go unnoticed otherwise. */
export function requireWhole(cart: Pick<Cart, "files" | "bytes">, files: number, bytes: number): void {
  if (cart.files === files && cart.bytes === bytes) return;
  const [expected, found] = [`${cart.files} files of ${cart.bytes} bytes`, `${files} files of ${bytes} bytes`];
  throw new LongshoreError("remote_refused", `The cart has ${expected}, its download has ${found}.`, {
    details: { expected, found },
  });
}

/** What to end with when files were not right; the list goes with it. */
export function badFiles(problems: readonly FileProblem[], cart: Cart, advice: string): LongshoreError {
  const listed = problems.map(({ code, path, expected, found, message }) => ({ code, path, expected, found, message }));
  return new LongshoreError(
    "digest_mismatch",
    `${problems.length} of ${cart.files} files of ${cart.name} are not what the archive names. ${advice}`,
    { details: { id: cart.id, problems: listed } },
  );
}
