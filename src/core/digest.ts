import { createHash, type Hash, hash } from "node:crypto";
import { crc32 } from "node:zlib";
import { AppError } from "./errors.ts";

/**
 * Digest names as they are written in OCFL inventories (OCFL 1.1 §2.4 "Digests") and, for those OCFL does not
 * name, as Python's hashlib spells them, since that is what Pacifica metadata carries. Value: the name OpenSSL uses.
 */
const OPENSSL = {
  md5: "md5",
  sha1: "sha1",
  sha224: "sha224",
  sha256: "sha256",
  sha384: "sha384",
  sha512: "sha512",
  sha3_224: "sha3-224",
  sha3_256: "sha3-256",
  sha3_384: "sha3-384",
  sha3_512: "sha3-512",
  "blake2b-512": "blake2b512",
  blake2s: "blake2s256",
} as const;

export type DigestName = keyof typeof OPENSSL;
/** Lower-case hex by algorithm. */
export type Digests = Readonly<Partial<Record<DigestName, string>>>;
/** What the archive may address its content by (OCFL 1.1 §3.5.1: sha512 or sha256). */
export type ArchiveDigestName = "sha512" | "sha256";

export const DIGEST_NAMES = Object.keys(OPENSSL) as readonly DigestName[];

const ALIASES: Readonly<Record<string, DigestName>> = { blake2b: "blake2b-512", blake2b512: "blake2b-512" };

/** The canonical name of an algorithm however it is spelled (`SHA-256`, `sha3-256`, `blake2b`), or `undefined`. */
export function digestName(spelling: string): DigestName | undefined {
  const lower = spelling.toLowerCase();
  const candidates = [lower, lower.replace(/^sha-/, "sha"), lower.replace(/^sha3-/, "sha3_")];
  for (const name of candidates) {
    if (Object.hasOwn(OPENSSL, name)) return name as DigestName;
    if (Object.hasOwn(ALIASES, name)) return ALIASES[name];
  }
  return undefined;
}

/** @throws AppError digest_unknown. */
export function requireDigestName(spelling: string): DigestName {
  const name = digestName(spelling);
  if (!name) throw new AppError("digest_unknown", { found: spelling, expected: DIGEST_NAMES.join(", ") });
  return name;
}

const LENGTHS = Object.fromEntries(DIGEST_NAMES.map((name) => [name, hash(OPENSSL[name], "").length]));

/** How many hex digits a digest of this algorithm has. */
export function digestLength(name: DigestName): number {
  return LENGTHS[name] ?? 0;
}

/** Several digests over the same bytes. Not reusable after `digests()`. */
export interface MultiHash {
  update(bytes: Uint8Array): void;
  digests(): Digests;
}

export function multiHash(names: readonly DigestName[]): MultiHash {
  const hashes = names.map((name): [DigestName, Hash] => [name, createHash(OPENSSL[name])]);
  return {
    update(bytes) {
      for (const [, h] of hashes) h.update(bytes);
    },
    digests: () => Object.fromEntries(hashes.map(([name, h]) => [name, h.digest("hex")])),
  };
}

/** One digest over bytes that come in pieces. */
export function digestHash(name: DigestName): Hash {
  return createHash(OPENSSL[name]);
}

/** Digests of bytes already in memory: one call per algorithm, faster than `createHash` for small inputs. */
export function digestsOf(bytes: Uint8Array, names: readonly DigestName[]): Digests {
  return Object.fromEntries(names.map((name) => [name, hash(OPENSSL[name], bytes, "hex")]));
}

/** What a stream's bytes are, once it has been read to its end. */
export interface StreamFacts {
  readonly sizeBytes: number;
  readonly digests: Digests;
  /** CRC-32 (ISO 3309), unsigned. */
  readonly crc32: number;
}

/** Reads a stream to its end and tells what went by. Memory: one chunk. Throws the signal's reason when it aborts. */
export async function factsOfStream(
  bytes: AsyncIterable<Uint8Array>,
  names: readonly DigestName[],
  signal?: AbortSignal,
): Promise<StreamFacts> {
  const hashing = multiHash(names);
  let sizeBytes = 0;
  let crc = 0;
  for await (const chunk of bytes) {
    signal?.throwIfAborted();
    hashing.update(chunk);
    crc = crc32(chunk, crc);
    sizeBytes += chunk.length;
  }
  return { sizeBytes, digests: hashing.digests(), crc32: crc };
}
