import { isoTime } from "../../clock.ts";
import { type DigestName, digestHash } from "../../digest.ts";
import type { ReadyEntry } from "../cart.ts";
import type { LayoutSpec } from "./layout.ts";

/** `manifest-sha512.txt`: lower case, "removing all non-alphanumeric characters" (RFC 8493 §2.1.3). */
export function manifestName(algorithm: DigestName): string {
  return `manifest-${algorithm.replace(/[^a-z0-9]/g, "")}.txt`;
}

/**
 * The line of an entry, as `sha512sum` writes and `sha512sum -c` reads it. In a bag, `%` and line ends in paths are
 * percent-encoded (RFC 8493 §2.1.3); elsewhere paths stand as they are, since those of carts hold neither backslashes nor
 * control characters, which `sha512sum` would escape.
 */
export function manifestLine(content: LayoutSpec["content"], { digest, path }: ReadyEntry): string {
  return `${digest}  data/${pathText(content, path)}\n`;
}

/** Its length, without making it. */
export function manifestLineBytes(content: LayoutSpec["content"], { digest, path }: ReadyEntry): number {
  return digest.length + "  data/\n".length + Buffer.byteLength(pathText(content, path));
}

function pathText(content: LayoutSpec["content"], path: string): string {
  return content === "bag" ? path.replace(/[%\r\n]/g, percentEncoded) : path;
}

function percentEncoded(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

/** RFC 8493 §2.1.1. */
export const BAGIT_TXT = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";

/** RFC 8493 §2.2.2. */
export function bagInfo(createdAt: number, payloadBytes: number, fileCount: number): string {
  return `Bagging-Date: ${isoTime(createdAt).slice(0, 10)}\nPayload-Oxum: ${payloadBytes}.${fileCount}\n`;
}

/** RFC 8493 §2.2.1: the digests of every other tag file. */
export function tagManifest(
  algorithm: DigestName,
  manifestDigest: string,
  tagFiles: Readonly<Record<string, string>>,
): string {
  const lines = Object.entries(tagFiles).map(
    ([name, text]) => `${digestHash(algorithm).update(text).digest("hex")}  ${name}\n`,
  );
  return `${lines.join("")}${manifestDigest}  ${manifestName(algorithm)}\n`;
}
