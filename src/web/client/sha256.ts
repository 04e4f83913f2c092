import type { BundleHash } from "../../sdk/bundle.ts";

/** SHA-256 (FIPS 180-4) of bytes that come in pieces, which Web Crypto cannot. */
export const SHA256: BundleHash = { name: "sha256", hexDigits: 64, start };

const BLOCK = 64;
const PRIMES = firstPrimes(64);
/** The first 32 bits of the fractional parts of square roots (§5.3.3) and cube roots (§4.2.2) of primes. */
const BEGIN = Int32Array.from(PRIMES.slice(0, 8), (prime) => fractionBits(Math.sqrt(prime)));
const ROUNDS = Int32Array.from(PRIMES, (prime) => fractionBits(Math.cbrt(prime)));
/** The message schedule (§6.2.2): each block's is made anew. */
const SCHEDULE = new Int32Array(BLOCK);

function start() {
  const state = BEGIN.slice();
  const rest = new Uint8Array(BLOCK);
  let length = 0;

  function update(bytes: Uint8Array): void {
    const kept = length % BLOCK;
    length += bytes.length;
    let at = 0;
    if (kept > 0) {
      at = Math.min(bytes.length, BLOCK - kept);
      rest.set(bytes.subarray(0, at), kept);
      if (kept + at < BLOCK) return;
      compress(state, viewOf(rest), 0);
    }
    const view = viewOf(bytes);
    for (; at + BLOCK <= bytes.length; at += BLOCK) compress(state, view, at);
    rest.set(bytes.subarray(at));
  }

  return {
    update,
    hexDigest() {
      // §5.1.1: a bit of one, zeros, and the length in bits as 64 bits.
      const padding = new Uint8Array(BLOCK - ((length + 8) % BLOCK) + 8);
      padding[0] = 0x80;
      new DataView(padding.buffer).setBigUint64(padding.length - 8, BigInt(length) * 8n);
      update(padding);
      return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
    },
  };
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array) => new DataView(buffer, byteOffset, byteLength);

/** §6.2.2. Every number is a 32-bit integer throughout, which is what makes it fast. */
function compress(state: Int32Array, bytes: DataView, from: number): void {
  for (let t = 0; t < 16; t++) SCHEDULE[t] = bytes.getInt32(from + 4 * t);
  for (let t = 16; t < 64; t++) {
    const x = SCHEDULE[t - 15] ?? 0;
    const y = SCHEDULE[t - 2] ?? 0;
    const sigma0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const sigma1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    SCHEDULE[t] = ((SCHEDULE[t - 16] ?? 0) + sigma0 + (SCHEDULE[t - 7] ?? 0) + sigma1) | 0;
  }
  let a = state[0] ?? 0;
  let b = state[1] ?? 0;
  let c = state[2] ?? 0;
  let d = state[3] ?? 0;
  let e = state[4] ?? 0;
  let f = state[5] ?? 0;
  let g = state[6] ?? 0;
  let h = state[7] ?? 0;
  for (let t = 0; t < 64; t++) {
    const sum1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const choice = (e & f) ^ (~e & g);
    const one = (h + sum1 + choice + (ROUNDS[t] ?? 0) + (SCHEDULE[t] ?? 0)) | 0;
    const sum0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const majority = (a & b) ^ (a & c) ^ (b & c);
    h = g;
    g = f;
    f = e;
    e = (d + one) | 0;
    d = c;
    c = b;
    b = a;
    a = (one + sum0 + majority) | 0;
  }
  state[0] = (state[0] ?? 0) + a;
  state[1] = (state[1] ?? 0) + b;
  state[2] = (state[2] ?? 0) + c;
  state[3] = (state[3] ?? 0) + d;
  state[4] = (state[4] ?? 0) + e;
  state[5] = (state[5] ?? 0) + f;
  state[6] = (state[6] ?? 0) + g;
  state[7] = (state[7] ?? 0) + h;
}

function firstPrimes(count: number): number[] {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  return primes;
}

function fractionBits(root: number): number {
  return ((root % 1) * 2 ** 32) | 0;
}
