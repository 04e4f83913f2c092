import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import type { ReadStream } from "node:tty";
import { Interrupted } from "./failure.ts";

/**
 * A secret from standard input: what a person types at a terminal, up to Enter and without echo, or all that a pipe or a
 * file holds, less one line break at its end.
 * @throws Interrupted at Ctrl-C and Ctrl-D, which a terminal that does not echo leaves to us.
 */
export async function secretInput(
  input: ReadStream,
  output: Pick<NodeJS.WriteStream, "write">,
  prompt: string,
): Promise<string> {
  if (!input.isTTY) return (await text(input)).replace(/\r?\n$/, "");
  // The line editor echoes by itself, into the void; the terminal does not while the editor has it.
  const nowhere = new Writable({ write: (_bytes, _encoding, done) => done() });
  const editor = createInterface({ input, output: nowhere, terminal: true, historySize: 0 });
  const given = new AbortController();
  for (const ending of ["SIGINT", "close"] as const)
    editor.once(ending, () => given.abort(new Interrupted("Interrupted: nothing was set.")));
  output.write(prompt);
  try {
    return await editor.question("", { signal: given.signal });
  } catch (error) {
    throw given.signal.aborted ? given.signal.reason : error;
  } finally {
    output.write("\n");
    editor.close();
  }
}
