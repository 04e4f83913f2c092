import type { ExtractFile, ExtractResult } from "./extractor.ts";

/** What one process of the sandbox may use. Times are by a monotonic clock. */
export interface SandboxLimits {
  /** Between two results: how long one group of files may take. */
  readonly silenceMs: number;
  /** For all groups of one run together. */
  readonly totalMs: number;
  /** Resident memory; JavaScript's heap gets half of it. */
  readonly memoryBytes: number;
  /** Of one result as JSON. */
  readonly outputBytes: number;
}

/**
 * Why a group has no record: the extractor threw; took too long itself (`silence`) or was part of a run that did
 * (`total`); took too much memory; said too much (`output`) or what is no result (`garbage`); its process ended (`died`);
 * or there is no such extractor any more (`gone`).
 */
export type ExtractFailureReason = "threw" | "silence" | "total" | "memory" | "output" | "garbage" | "died" | "gone";

export interface Extracted {
  readonly result: ExtractResult;
  /** In the sandbox. */
  readonly durationMs: number;
  /** About what it takes in memory: characters as JSON. */
  readonly sizeChars: number;
}

export interface ExtractFailure {
  readonly reason: ExtractFailureReason;
  /** In the words of whoever noticed: an extractor's message is bounded, and otherwise as it was thrown. */
  readonly message: string;
}

export type Outcome = Extracted | ExtractFailure;

/** Groups of files for one extractor, described by one process one after the other. */
export interface SandboxRun {
  /** By the names that the sandbox was made with. */
  readonly extractor: string;
  readonly groups: readonly (readonly ExtractFile[])[];
  readonly signal: AbortSignal;
}

/**
 * Where extractors run: processes that may read the files they describe and the code they are, and nothing else: no
 * writing, no network, no further processes.
 *
 * Adapter: `adapters/sandbox/child-process.ts`. Contract: `test/conformance/sandbox.ts`.
 */
export interface Sandbox {
  /**
   * One outcome for each group, in their order, as they come. A group that breaks a limit or its process fails alone: the
   * process is replaced, and the next group goes on. Only `total` fails all that are left. Several runs at once share the
   * processes; a run waits for a free one. One that is not read to its end stops its process.
   * @throws AppError internal when there is no such extractor, or the process cannot be started; the signal's reason.
   */
  run(run: SandboxRun): AsyncGenerator<Outcome, void, undefined>;
  /** Ends all processes; runs under way fail. */
  close(): Promise<void>;
}
