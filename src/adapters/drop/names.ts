import { isUtf8 } from "node:buffer";

/**
 * Paths as text. One that is not UTF-8 gets `?/` before it, which no relative path of ours begins with, and each byte
 * outside of ASCII, and each backslash, is written as `\xHH`: so every path has one text, and leads back to its bytes.
 */
export function nameOf(raw: Buffer): string {
  if (isUtf8(raw)) return raw.toString("utf8");
  return `?/${raw.toString("latin1").replace(/[\\\x80-\xff]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`)}`;
}

export function rawName(path: string): Buffer {
  if (!path.startsWith("?/")) return Buffer.from(path, "utf8");
  const bytes = path
    .slice(2)
    .replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1");
}
