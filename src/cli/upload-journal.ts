import { createHash } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { join } from "node:path";
import type { BundleFile } from "../sdk/index.ts";

/** Journals of uploads that nobody came back to are removed after this long. */
const FORGOTTEN_MS = 30 * 24 * 3_600_000;

/**
 * What one `put` must know of an earlier, interrupted run of the same command: a file of JSON lines that is only ever
 * appended to, so that it is usable wherever the process was killed.
 */
export interface UploadJournal {
  readonly url: string | undefined;
  /** The job of the complete upload. */
  readonly jobId: number | undefined;
  /** Digests of files that were read already, by path in the bundle. */
  readonly digests: ReadonlyMap<string, string>;
  record(line: JournalLine): void;
  /** Nothing is left to be continued. */
  remove(): void;
}

export type JournalLine =
  | { readonly url: string }
  | { readonly path: string; readonly digest: string }
  | { readonly jobId: number };

/**
 * Names one deposit: the same server, the same files by path, size and time, the same metadata. Anything else is another
 * deposit and gets a journal of its own.
 */
export function depositKey(serverUrl: string, files: readonly BundleFile[], rest: unknown): string {
  const hash = createHash("sha256").update(JSON.stringify([serverUrl, rest]));
  for (const { path, sizeBytes, modifiedAt, changedAt } of files)
    hash.update(JSON.stringify([path, sizeBytes, modifiedAt, changedAt]));
  return hash.digest("hex").slice(0, 32);
}

export function openJournal(folder: string, key: string, now: number): UploadJournal {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (now - statSync(path).mtimeMs > FORGOTTEN_MS) rmSync(path, { force: true });
  }

  const path = join(folder, `${key}.jsonl`);
  let url: string | undefined;
  let jobId: number | undefined;
  const digests = new Map<string, string>();
  for (const record of readLines(path)) {
    if ("url" in record) url = record.url;
    else if ("jobId" in record) jobId = record.jobId;
    else digests.set(record.path, record.digest);
  }
  return {
    url,
    jobId,
    digests,
    record: (line) => appendFileSync(path, `${JSON.stringify(line)}\n`, { mode: 0o600 }),
    remove: () => rmSync(path, { force: true }),
  };
}

/** All whole lines; half a line at the end, written when the process was killed, is cut off. */
function* readLines(path: string): Generator<JournalLine, void, undefined> {
  if (!existsSync(path)) return;
  const bytes = readFileSync(path);
  const end = bytes.lastIndexOf("\n") + 1;
  if (end < bytes.length) truncateSync(path, end);
  for (const line of bytes.toString("utf8", 0, end).split("\n")) if (line !== "") yield JSON.parse(line);
}
