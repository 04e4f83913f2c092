import { AppError, type Problem } from "../errors.ts";
import type { ExtractFile, Extractor, RecordData } from "./extractor.ts";
import { requireNoLink, withLocalFile } from "./local-bytes.ts";
import { mediaTypeOfFile } from "./media-type.ts";
import { objectSchema, TEXT } from "./record-schema.ts";

/** The name under which a sandbox for built-in extractors knows this one; it is not among those that describe files. */
export const SNIFFER = "media-type";

/** What a file is by content, or why it cannot be read. */
export type Sniffed = { readonly mediaType: string } | { readonly unreadable: string };

/**
 * Looks at the beginning of a file, to choose who describes it. It is an extractor like the others because what it looks
 * at may be anything: it has their process and their limits.
 */
export const extractor: Extractor = {
  name: SNIFFER,
  version: "1",
  takes: { mediaTypes: ["*/*"], extensions: [] },
  schema: { anyOf: [objectSchema({ mediaType: TEXT }), objectSchema({ unreadable: TEXT })] },
  async extract([file]) {
    if (file === undefined) throw new AppError("internal", { expected: "one file" });
    return { data: await sniff(file), problems: [] satisfies Problem[] };
  },
};

async function sniff({ localPath }: ExtractFile): Promise<Sniffed & RecordData> {
  try {
    requireNoLink(localPath);
    return { mediaType: await withLocalFile(localPath, mediaTypeOfFile) };
  } catch (error) {
    return { unreadable: reasonOf(error) };
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "it is no longer there",
  ENOTDIR: "it is no longer there",
  ELOOP: "it is a link now",
  ERR_ACCESS_DENIED: "it is reached through a link now",
  EACCES: "it may not be read",
  EPERM: "it may not be read",
};

/** @throws what the operating system did not say. */
function reasonOf(error: unknown): string {
  if (error instanceof AppError && error.code === "entry_unreadable") return String(error.details.hint);
  if (!(error instanceof Error) || !("code" in error)) throw error;
  const code = String(error.code);
  return REASONS[code] ?? code;
}
