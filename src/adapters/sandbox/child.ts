import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Extractor } from "../../core/extract/extractor.ts";
import { forbidNetwork } from "./no-network.ts";
import { ANSWER_FD, type ChildAnswer, type ChildRequest } from "./protocol.ts";

/** A message is for a person: the rest of a longer one helps nobody. */
const MESSAGE_CHARS = 500;

/**
 * The sandbox's process: reads requests, answers group by group, ends with its standard input.
 * @param rss the resident memory, in bytes, from which on it gives way to a fresh one: a slow leak is no file's fault.
 */
async function serve(rss: number): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const { module, groups } = JSON.parse(line) as ChildRequest;
    const { extractor } = (await import(module)) as { extractor: Extractor };
    for (const [i, files] of groups.entries()) {
      const begun = performance.now();
      try {
        const { data, problems } = await extractor.extract(files);
        answer({ result: { data, problems }, durationMs: performance.now() - begun });
      } catch (error) {
        answer({ threw: String(error instanceof Error ? error.message : error).slice(0, MESSAGE_CHARS) });
      }
      if (i + 1 < groups.length && process.memoryUsage.rss() > rss) {
        answer({ resigns: true });
        return;
      }
    }
  }
}

/** Waits until the server has taken it: the descriptor blocks. */
function answer(value: ChildAnswer): void {
  const bytes = Buffer.from(`${JSON.stringify(value)}\n`);
  for (let at = 0; at < bytes.length; ) at += writeSync(ANSWER_FD, bytes, at);
}

// A parser may leave behind a promise that nobody awaits; when it is rejected, the file it was about may long have been
// described. What an extractor is itself told, it throws: only the rest comes here, and must not end what is next.
process.on("unhandledRejection", () => {});
forbidNetwork();
await serve(Number(process.argv[2]));
process.exit();
