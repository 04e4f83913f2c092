/** The polynomial of CRC-32 (ISO 3309) without its highest term; the lowest degree is the highest bit. */
const POLYNOMIAL = 0xedb88320;
const ONE = 0x80000000;

/** x to the power of 2^n. As x to the power of 2^32 is x again, 32 of them are all. */
const POWERS = Uint32Array.of(ONE >>> 1, ...Array(31).fill(0));
for (let n = 1; n < 32; n++) POWERS[n] = product(POWERS[n - 1] ?? 0, POWERS[n - 1] ?? 0);

/**
 * The CRC-32 of two runs of bytes, one behind the other, from their own: so that both can be read at the same time.
 * Bytes that follow multiply what was before by x^8 each, modulo the polynomial. About 1 µs.
 */
export function crc32Combine(first: number, second: number, secondBytes: number): number {
  let shift = ONE;
  for (let bytes = secondBytes, n = 3; bytes > 0; bytes = Math.floor(bytes / 2), n++) {
    if (bytes % 2 === 1) shift = product(POWERS[n % 32] ?? 0, shift);
  }
  return (product(shift, first) ^ second) >>> 0;
}

/** Modulo the polynomial. */
function product(a: number, b: number): number {
  let sum = 0;
  for (let bit = ONE, factor = b; bit > 0; bit >>>= 1) {
    if ((a & bit) !== 0) sum ^= factor;
    factor = (factor & 1) === 1 ? (factor >>> 1) ^ POLYNOMIAL : factor >>> 1;
  }
  return sum >>> 0;
}
