import { hash } from "node:crypto";
import type { CrawlId } from "../ids.ts";

/** What of a crawl's batch an id is for. */
export type Identified = "family" | "group" | "file";

/**
 * Families, groups and files of a crawl are known by their batch and place in it; whoever needs an id gets a UUID that
 * follows from these (RFC 9562, version 8), and always the same one. Nothing is kept for it.
 * @param place counts from 0 in the batch: of families, of all families' groups one behind the other, of files.
 */
export function identityOf(crawl: CrawlId, seq: number, what: Identified, place: number): string {
  const hex = hash("sha256", `${crawl}\n${seq}\n${what}\n${place}`, "hex");
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
