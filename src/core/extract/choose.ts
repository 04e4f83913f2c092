import { AppError } from "../errors.ts";
import type { Extractor, Takes } from "./extractor.ts";

/** Media types that say too little: the name's ending is asked then. */
const SAYS_LITTLE = new Set(["text/plain", "application/octet-stream"]);

/**
 * Those that were asked for by name, in the order in which they are known; all of them for `null`.
 * @throws AppError extractor_unknown; request_invalid when none was named.
 */
export function chosenExtractors<T extends Pick<Extractor, "name">>(
  known: readonly T[],
  names: readonly string[] | null,
): readonly T[] {
  if (names === null) return known;
  if (names.length === 0) throw new AppError("request_invalid", { expected: "at least one extractor, or none named" });
  for (const name of names)
    if (!known.some((one) => one.name === name))
      throw new AppError("extractor_unknown", { found: name, expected: known.map((one) => one.name).join(", ") });
  return known.filter(({ name }) => names.includes(name));
}

/**
 * The extractors that describe a file, in the order given: all that take its media type, and where content says no more
 * than text or bytes, all that take the ending of its name.
 */
export function chooseExtractors<T extends Pick<Extractor, "takes">>(
  extractors: readonly T[],
  mediaType: string,
  name: string,
): readonly T[] {
  return extractors.filter(({ takes }) => isTaken(takes, mediaType, name));
}

function isTaken({ mediaTypes, extensions }: Takes, mediaType: string, name: string): boolean {
  if (mediaTypes.some((pattern) => matches(pattern, mediaType))) return true;
  return SAYS_LITTLE.has(mediaType) && extensions.includes(extensionOf(name));
}

/** A pattern is a media type, all of a top-level type (`image/*`), or all there are. */
function matches(pattern: string, mediaType: string): boolean {
  if (pattern === "*/*") return true;
  return pattern.endsWith("/*") ? mediaType.startsWith(pattern.slice(0, -1)) : pattern === mediaType;
}

/** In lower case, without the dot; `""` for a name without one, and for `.profile`. */
export function extensionOf(name: string): string {
  const file = name.slice(name.lastIndexOf("/") + 1);
  const dot = file.lastIndexOf(".");
  return dot <= 0 ? "" : file.slice(dot + 1).toLowerCase();
}
