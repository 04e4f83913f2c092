import type { Principal } from "../../core/access/access.ts";
import { AppError } from "../../core/errors.ts";
import type { ExtractionRecord } from "../../core/extract/extraction.ts";
import { extractionId, type FileId } from "../../core/ids.ts";
import type { PageContext } from "../page-context.ts";

const RECORDS_TRIED = 20;

/**
 * The newest record that one of these extractors has made of an archived file, the first of them before the others; nothing
 * when it was not described, or search does not know yet.
 */
export async function recordOfFile(
  { search, extractions }: Pick<PageContext, "search" | "extractions">,
  principal: Principal,
  file: FileId,
  extractors: readonly string[],
): Promise<ExtractionRecord | undefined> {
  const wanted = extractors.map((name) => `extractor:"${name}"`).join(" OR ");
  const query = `file:${file} (${wanted}) -failure:*`;
  const { hits } = await search.search(principal, { query, types: ["record"], order: "newest", limit: RECORDS_TRIED });
  const [found] = hits.toSorted((one, other) => rankOf(one.fields, extractors) - rankOf(other.fields, extractors));
  const [, extraction = "", number = ""] = found?.key.split(":") ?? [];
  if (extraction === "") return undefined;
  try {
    return await extractions.record(principal, extractionId(extraction), Number(number));
  } catch (error) {
    // Removed since search was told of it.
    if (error instanceof AppError && error.kind === "not_found") return undefined;
    throw error;
  }
}

function rankOf({ extractor = [] }: Readonly<Record<string, readonly unknown[]>>, extractors: readonly string[]) {
  return extractors.findIndex((name) => extractor.includes(name));
}
