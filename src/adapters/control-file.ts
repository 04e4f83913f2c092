import { readFile } from "node:fs/promises";

/** Reads the control file anew each time it is called. @throws when it is not there, not readable, or no text. */
export function controlFile(path: string): () => Promise<string> {
  return async () => new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
}
