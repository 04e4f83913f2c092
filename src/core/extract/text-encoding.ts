import { isUtf8 } from "node:buffer";
import type { LocalBytes } from "./local-bytes.ts";

export type TextEncoding = "utf-8" | "utf-16le" | "utf-16be" | "windows-1252";

/** Enough to tell text from bytes, and which text. */
export const HEAD_BYTES = 64 * 1024;

/** Control characters that text does not hold: all but tab, line feed, form feed, carriage return and escape. */
const IS_CONTROL = Uint8Array.from({ length: 256 }, (_, byte) =>
  (byte < 0x20 && ![0x09, 0x0a, 0x0c, 0x0d, 0x1b].includes(byte)) || byte === 0x7f ? 1 : 0,
);

/**
 * How the text that begins so is written, or `undefined` when it is no text. By its byte order mark; else UTF-8 if it is
 * that; else Windows-1252, of which Latin-1 is a part.
 */
export function encodingOf(head: Uint8Array): TextEncoding | undefined {
  if (head[0] === 0xff && head[1] === 0xfe) return "utf-16le";
  if (head[0] === 0xfe && head[1] === 0xff) return "utf-16be";
  // Not `some`: a call for each of 65,536 bytes took longer than all else that is done with a small file.
  for (let at = 0; at < head.length; at++) if (IS_CONTROL[head[at] ?? 0] === 1) return undefined;
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
