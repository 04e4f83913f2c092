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

/** What to do when the memory of a chunk may be used again, by chunk. */
const lent = new WeakMap<Uint8Array, () => void>();

/** Lets whoever gets `chunk` give its memory back through {@link recycle}. */
export function lend(chunk: Uint8Array, takeBack: () => void): void {
  lent.set(chunk, takeBack);
}

/**
 * Says that nobody will look at the chunk's bytes again, as when they have left for the network. Only of use for chunks
 * that were lent, and before the next one is asked for; no harm otherwise: without it, memory is left to the garbage
 * collector, which lets tens of MiB pile up behind a fast stream.
 */
export function recycle(chunk: Uint8Array): void {
  const takeBack = lent.get(chunk);
  lent.delete(chunk);
  takeBack?.();
}

/** Ends a loan. @returns whether the chunk had not been given back. */
export function forgo(chunk: Uint8Array): boolean {
  return lent.delete(chunk);
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
  /** Of the line that has begun: joined once, as a long one comes in many. */
  let pieces: string[] = [];
  for await (const chunk of bytes) {
    const [first = "", ...others] = decoder.decode(chunk, { stream: true }).split("\n");
    pieces.push(first);
    const last = others.pop();
    if (last === undefined) continue;
    yield pieces.join("");
    yield* others;
    pieces = [last];
  }
  pieces.push(decoder.decode());
  const rest = pieces.join("");
  if (rest !== "") yield rest;
}

/**
 * Maps with several under way and yields the results in the order of their items. Nothing is under way any more when it
 * returns or throws.
 * @param room what may be under way at once; an item that takes more is taken alone.
 * @param weigh how much of it an item takes.
 */
export async function* mapInOrder<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  room: number,
  map: (item: T) => Promise<R>,
  weigh: (item: T) => number = () => 1,
): AsyncGenerator<R> {
  const underWay: { readonly result: Promise<R>; readonly weight: number }[] = [];
  let taken = 0;
  async function* settle(enough: () => boolean): AsyncGenerator<R> {
    for (let next = underWay[0]; next && !enough(); next = underWay[0]) {
      const result = await next.result;
      underWay.shift();
      taken -= next.weight;
      yield result;
    }
  }
  try {
    for await (const item of items) {
      const weight = weigh(item);
      yield* settle(() => taken + weight <= room);
      const result = map(item);
      result.catch(() => {}); // thrown when its turn comes
      underWay.push({ result, weight });
      taken += weight;
    }
    yield* settle(() => false);
  } finally {
    await Promise.allSettled(underWay.map(({ result }) => result));
  }
}

/**
 * Works on items with several under way, in no particular order. When it returns or throws nothing is under way any more.
 * @param room how many may be under way, at least 1; asked before each is begun.
 * @param work is told to stop by `signal`, with what it failed with, as soon as another failed.
 * @throws what the first failed with.
 */
export async function eachAtOnce<T>(
  items: AsyncIterable<T> | Iterable<T>,
  room: () => number,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  const failed = new AbortController();
  try {
    for await (const item of items) {
      const one = work(item, failed.signal)
        .catch((error: unknown) => failed.abort(error))
        .finally(() => underWay.delete(one));
      underWay.add(one);
      while (underWay.size >= Math.max(1, room())) await Promise.race(underWay);
      if (failed.signal.aborted) break;
    }
  } catch (error) {
    failed.abort(error);
  }
  await Promise.all(underWay);
  failed.signal.throwIfAborted();
}

/**
 * Asks a source for its values before they are wanted: up to `count` of them wait, while it makes the next. Leaving the
 * loop early closes the source, once what it is making is made.
 */
export async function* ahead<T>(source: AsyncGenerator<T>, count: number): AsyncGenerator<T> {
  const waiting: Promise<IteratorResult<T>>[] = [];
  const ask = () => {
    const next = source.next();
    next.catch(() => {}); // thrown when its turn comes
    waiting.push(next);
  };
  try {
    while (waiting.length <= count) ask();
    for (let result = await waiting.shift(); result && !result.done; result = await waiting.shift()) {
      ask();
      yield result.value;
    }
  } finally {
    await source.return(undefined);
  }
}
