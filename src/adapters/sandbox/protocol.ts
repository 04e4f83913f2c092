import type { ExtractFile, ExtractResult } from "../../core/extract/extractor.ts";

/** JSON lines: requests on the child's standard input, answers on this descriptor, which no extractor prints to by mistake. */
export const ANSWER_FD = 3;

export interface ChildRequest {
  /** URL of a module that exports `extractor`. */
  readonly module: string;
  readonly groups: readonly (readonly ExtractFile[])[];
}

export type ChildAnswer =
  | { readonly result: ExtractResult; readonly durationMs: number }
  | { readonly threw: string }
  /** The process has grown and ends; what it has not answered is for another one. */
  | { readonly resigns: true };
