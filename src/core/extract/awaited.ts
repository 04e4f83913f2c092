import type { Details } from "../errors.ts";
import type { Extractor } from "./extractor.ts";

/** What is kept of an extractor with an extraction that is to use it, so that its tasks are known when it is gone. */
export type AwaitedExtractor = Pick<Extractor, "name" | "version" | "takes">;

/** Of an extraction for which none were named, as its job's input: those that an operator has added, and may take away. */
export function awaitedExtractors(chosen: readonly (AwaitedExtractor & { readonly isBuiltIn: boolean })[]): Details {
  const added = chosen.filter(({ isBuiltIn }) => !isBuiltIn);
  return {
    awaited: added.map(({ name, version, takes: { mediaTypes, extensions } }) => ({
      name,
      version,
      takes: { mediaTypes, extensions },
    })),
  };
}

/** Those that were there when the extraction was asked for, and are not among the known. */
export function goneExtractors(input: Details, known: readonly Pick<Extractor, "name">[]): readonly AwaitedExtractor[] {
  const awaited = "awaited" in input ? (input.awaited as unknown as readonly AwaitedExtractor[]) : [];
  return awaited.filter(({ name }) => !known.some((one) => one.name === name));
}
