/** Longest logical name taken in, in UTF-16 units; the limit bounds memory, file systems have their own. */
const MAX_LENGTH = 32_767;
const SLASH = "/".charCodeAt(0);

/**
 * A member's name as a logical path: leading `./` and trailing `/` dropped.
 * @returns `undefined` when it is absolute, climbs, has empty parts, a NUL or half a surrogate pair, or is too long.
 */
export function logicalName(name: string): string | undefined {
  // By hand: a pattern for a run of slashes at the end takes quadratic time, and names are the sender's.
  let start = 0;
  while (name.startsWith("./", start)) {
    start += 2;
    while (name.charCodeAt(start) === SLASH) start++;
  }
  let end = name.length;
  while (end > start && name.charCodeAt(end - 1) === SLASH) end--;
  if (end - start > MAX_LENGTH) return undefined;
  const path = name.slice(start, end);
  const framed = `/${path}/`;
  const climbs = framed.includes("//") || framed.includes("/./") || framed.includes("/../");
  return climbs || path.includes("\0") || !path.isWellFormed() ? undefined : path;
}
