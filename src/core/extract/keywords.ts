import { STOP_WORDS } from "./stop-words.ts";

const MAX_PHRASE_WORDS = 4;
const MIN_WORD_CHARS = 3;
const MAX_WORD_CHARS = 60;
/** Distinct phrases kept while reading; beyond, only those known are counted. */
const MAX_PHRASES = 50_000;
const TOP = 50;

/** Words, and what parts phrases: anything but blanks within a line. `can't` and `X-ray` are words. */
const TOKEN = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*|\n\s*\n|[^\s\p{L}\p{N}]/gu;

export interface Keyword {
  readonly phrase: string;
  readonly score: number;
  readonly count: number;
}

export interface Keywords {
  /** Words of any kind. */
  readonly words: number;
  /** The best first; equal ones by the alphabet. */
  readonly phrases: readonly Keyword[];
  readonly terms: readonly Keyword[];
}

/**
 * Rapid Automatic Keyword Extraction (Rose, Engel, Cramer, Cowley 2010): phrases are runs of words between stop words and
 * punctuation; a word's score is its degree (words it shares phrases with, itself among them) over its frequency; a
 * phrase's is the sum of its words'. Added to it: a phrase counts as often as it comes (by the root, so that what is said
 * once at length does not outrank what the text is about), and runs longer than four words are no phrases.
 *
 * @param pieces of text, cut anywhere. Memory is bounded by the number of distinct phrases kept.
 */
export function keywordsOf(pieces: Iterable<string>): Keywords {
  const frequency = new Map<string, number>();
  const degree = new Map<string, number>();
  const phrases = new Map<string, number>();
  let words = 0;
  let run: string[] = [];

  function endRun(): void {
    const kept = run;
    if (kept.length === 0) return;
    run = [];
    if (kept.length > MAX_PHRASE_WORDS) return;
    const phrase = kept.join(" ");
    const known = phrases.get(phrase);
    if (known === undefined && phrases.size >= MAX_PHRASES) return;
    phrases.set(phrase, (known ?? 0) + 1);
    for (const word of kept) {
      frequency.set(word, (frequency.get(word) ?? 0) + 1);
      degree.set(word, (degree.get(word) ?? 0) + kept.length);
    }
  }

  function token(text: string): void {
    const code = text.charCodeAt(0);
    const isWord = text.length > 1 || (code > 0x2f && /[\p{L}\p{N}]/u.test(text));
    if (!isWord || text.startsWith("\n")) {
      endRun();
      return;
    }
    words += 1;
    const word = text.toLowerCase().replaceAll("’", "'");
    if (isKeyword(word)) run.push(word);
    else endRun();
  }

  let carried = "";
  for (const piece of pieces) {
    const text = carried + piece;
    // The last word may go on in the next piece; one longer than any word is cut.
    const cut = lastWordAt(text);
    for (const [found] of text.slice(0, cut).matchAll(TOKEN)) token(found);
    carried = text.slice(cut);
  }
  for (const [found] of carried.matchAll(TOKEN)) token(found);
  endRun();

  const scoreOf = (word: string) => (degree.get(word) ?? 0) / (frequency.get(word) ?? 1);
  const scored = [...phrases].map(([phrase, count]): Keyword => {
    const score = phrase.split(" ").reduce((sum, word) => sum + scoreOf(word), 0) * Math.sqrt(count);
    return { phrase, score: rounded(score), count };
  });
  const terms = [...frequency].map(
    ([word, count]): Keyword => ({ phrase: word, score: rounded(degree.get(word) ?? 0), count }),
  );
  return { words, phrases: best(scored), terms: best(terms) };
}

function isKeyword(word: string): boolean {
  if (word.length < MIN_WORD_CHARS || word.length > MAX_WORD_CHARS) return false;
  return !STOP_WORDS.has(word) && /\p{L}/u.test(word);
}

/** Where the word begins that the text ends with, or `4 * MAX_WORD_CHARS` before its end. */
function lastWordAt(text: string): number {
  const least = Math.max(0, text.length - 4 * MAX_WORD_CHARS);
  let at = text.length;
  while (at > least && text.charCodeAt(at - 1) > 0x20) at -= 1;
  return at;
}

function best(keywords: readonly Keyword[]): readonly Keyword[] {
  return keywords
    .toSorted((a, b) => b.score - a.score || b.count - a.count || (a.phrase < b.phrase ? -1 : 1))
    .slice(0, TOP);
}

function rounded(score: number): number {
  return Math.round(score * 1000) / 1000;
}
