/** A stream that a reader may leave early without closing it, so that the rest can still be read. */
export interface OpenEnded<T> {
  readonly values: AsyncIterable<T>;
  /** Reads what is left and drops it. */
  drain(): Promise<void>;
}

/**
 * `for await` closes its source when the loop is left, and a closed request body takes the connection and the answer
 * with it. Through this, it stays open.
 */
export function openEnded<T>(source: AsyncIterable<T>): OpenEnded<T> {
  const iterator = source[Symbol.asyncIterator]();
  return {
    values: { [Symbol.asyncIterator]: () => ({ next: () => iterator.next() }) },
    async drain() {
      while (!(await iterator.next()).done);
    },
  };
}

/** One JSON document a line, in pieces of about 64 KiB. */
export async function* jsonLines(values: Iterable<unknown> | AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  let piece = "";
  for await (const value of values) {
    piece += `${JSON.stringify(value)}\n`;
    if (piece.length < 65_536) continue;
    yield Buffer.from(piece);
    piece = "";
  }
  if (piece !== "") yield Buffer.from(piece);
}

/** Lines of a UTF-8 stream, without their ends. Memory: the longest line. */
export async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  for await (const chunk of bytes) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  rest += decoder.decode();
  if (rest !== "") yield rest;
}
