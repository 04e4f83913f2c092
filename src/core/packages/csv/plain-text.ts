const [MINUS, POINT, ZERO, NINE] = [0x2d, 0x2e, 0x30, 0x39];
/** A double holds any number of so many digits. */
const SURE_DIGITS = 15;

/** A set of characters of ASCII. @param pattern matches each of them alone. */
export function characters(pattern: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (code < 128 && pattern.test(String.fromCharCode(code)) ? 1 : 0));
}

/** Whether there are only characters of a set. */
export function isOnly(set: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (set[bytes[at] ?? 0] !== 1) return false;
  return true;
}

/** Whether it is a number that JavaScript spells the very same way. Says no of some others that are. */
export function isShortNumber(bytes: Uint8Array, start: number, end: number): boolean {
  const first = bytes[start] === MINUS ? start + 1 : start;
  if (first === end || end - first > SURE_DIGITS || bytes[first] === ZERO) return false;
  let points = 0;
  for (let at = first; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === POINT && at > first) points++;
    else if (byte < ZERO || byte > NINE) return false;
  }
  const last = bytes[end - 1];
  return points === 0 || (points === 1 && last !== ZERO && last !== POINT);
}
