import { isUtf8 } from "node:buffer";
import type { LocalBytes } from "./local-bytes.ts";

export type TextEncoding = "utf-8" | "utf-16le" | "utf-16be" | "windows-1252";

/** Enough to tell text from bytes, and which text. */
export const HEAD_BYTES = 64 * 1024;

/** Control characters that text does not hold: all but tab, line feed, form feed, carriage return and escape. */
const CONTROLS = new Set([
  0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30, 31, 127,
]);

/**
 * How the text that begins so is written, or `undefined` when it is no text. By its byte order mark; else UTF-8 if it is
 * that; else Windows-1252, of which Latin-1 is a part.
 */
export function encodingOf(head: Uint8Array): TextEncoding | undefined {
  if (head[0] === 0xff && head[1] === 0xfe) return "utf-16le";
  if (head[0] === 0xfe && head[1] === 0xff) return "utf-16be";
  if (head.some((byte) => CONTROLS.has(byte))) return undefined;
  return isUtf8(wholeCharacters(head)) ? "utf-8" : "windows-1252";
}

/** Without the character that the end of the head cuts in two. */
function wholeCharacters(head: Uint8Array): Uint8Array {
  for (let back = 1; back <= Math.min(4, head.length); back++) {
    const byte = head[head.length - back] ?? 0;
    if (byte < 0x80) return head;
    if (byte >= 0xc0) return head.subarray(0, head.length - back);
  }
  return head;
}

/** The file's text, piece by piece, without its byte order mark. What is not valid becomes U+FFFD. */
export function* textOf(bytes: LocalBytes, encoding: TextEncoding): Generator<string, void, undefined> {
  const decoder = new TextDecoder(encoding);
  for (const chunk of bytes.chunks()) {
    const text = decoder.decode(chunk, { stream: true });
    if (text !== "") yield text;
  }
  const rest = decoder.decode();
  if (rest !== "") yield rest;
}

/** The file's bytes as UTF-8, without its byte order mark; those of a UTF-8 file pass as they are, valid or not. */
export function* utf8Of(bytes: LocalBytes, encoding: TextEncoding): Generator<Buffer, void, undefined> {
  if (encoding !== "utf-8") {
    for (const text of textOf(bytes, encoding)) yield Buffer.from(text);
    return;
  }
  const mark = bytes.read(0, 3).equals(Buffer.of(0xef, 0xbb, 0xbf));
  yield* bytes.chunks(mark ? 3 : 0);
}
