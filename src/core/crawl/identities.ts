import { createHash } from "node:crypto";
import type { CrawlId } from "../ids.ts";

/** What of a crawl's batch an id is for. */
export type Identified = "family" | "group" | "file";

/**
 * Families, groups and files of a crawl are known by their batch and place in it; whoever needs an id gets a UUID that
 * follows from these (RFC 9562, version 8), and always the same one. Nothing is kept for it.
 * @param place counts from 0 in the batch: of families, of all families' groups one behind the other, of files.
 */
export function identityOf(crawl: CrawlId, seq: number, what: Identified, place: number): string {
  const bytes = createHash("sha256").update(`${crawl}\n${seq}\n${what}\n${place}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
