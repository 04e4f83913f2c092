import type { Query } from "./search-index.ts";
import { type Word, wordsOf } from "./words.ts";

/** What of a query is looked for in text: words that stand beside each other; of the last, perhaps only its beginning. */
export interface TextTerm {
  readonly words: readonly string[];
  readonly isPrefix: boolean;
}

export const HIGHLIGHT = { begin: "\u0002", end: "\u0003" } as const;

/** So much of a text is looked at for something to show; matches are found wherever they are. */
const LOOKED_AT = 20_000;
const SHOWN = 240;
const SHOWN_BEFORE = 60;

/** The words and phrases that a hit may owe its place to; not what is to be left out. */
export function textTerms(query: Query | undefined): readonly TextTerm[] {
  if (query === undefined) return [];
  if ("all" in query) return query.all.flatMap(textTerms);
  if ("any" in query) return query.any.flatMap(textTerms);
  if ("phrase" in query) return [{ words: foldedWords(query.phrase.join(" ")), isPrefix: false }];
  if ("word" in query) return [{ words: foldedWords(query.word), isPrefix: query.isPrefix }];
  return [];
}

export function foldedWords(text: string): readonly string[] {
  return [...wordsOf(text)].map(({ folded }) => folded);
}

/** The part of a text around the first match, with every match in it marked; `null` without one. */
export function highlighted(text: string, terms: readonly TextTerm[]): string | null {
  if (terms.length === 0) return null;
  // Marks of our own are the only ones.
  const lookedAt = text.slice(0, LOOKED_AT).toWellFormed();
  const plain = lookedAt.replaceAll(HIGHLIGHT.begin, " ").replaceAll(HIGHLIGHT.end, " ");
  const words = [...wordsOf(plain)];
  const matches = matchesIn(words, terms);
  const [first] = matches;
  if (!first) return null;

  const begin = words.find(({ start }) => start >= first.start - SHOWN_BEFORE)?.start ?? first.start;
  const limit = Math.max(begin + SHOWN, first.end);
  const end = words.findLast((word) => word.end <= limit)?.end ?? first.end;
  let shown = begin > 0 ? "…" : "";
  let at = begin;
  for (const match of matches) {
    if (match.end > end) break;
    shown += `${plain.slice(at, match.start)}${HIGHLIGHT.begin}${plain.slice(match.start, match.end)}${HIGHLIGHT.end}`;
    at = match.end;
  }
  return `${shown}${plain.slice(at, end)}${end < text.trimEnd().length ? "…" : ""}`;
}

/** A highlight as its parts: what was found, and what stands around it. */
export function highlightParts(marked: string): readonly { readonly text: string; readonly isMatch: boolean }[] {
  const [before = "", ...matches] = marked.split(HIGHLIGHT.begin);
  const parts = matches.flatMap((piece) => {
    const [found = "", behind = ""] = piece.split(HIGHLIGHT.end);
    return [
      { text: found, isMatch: true },
      { text: behind, isMatch: false },
    ];
  });
  return [{ text: before, isMatch: false }, ...parts].filter(({ text }) => text !== "");
}

/** One behind the other; of those that begin at the same word, the longest. */
function matchesIn(words: readonly Word[], terms: readonly TextTerm[]): readonly { start: number; end: number }[] {
  const matches = [];
  for (let i = 0; i < words.length; i++) {
    const length = Math.max(0, ...terms.map((term) => (isAt(words, i, term) ? term.words.length : 0)));
    const [first, last] = [words[i], words[i + length - 1]];
    if (length === 0 || !first || !last) continue;
    matches.push({ start: first.start, end: last.end });
    i += length - 1;
  }
  return matches;
}

function isAt(words: readonly Word[], at: number, { words: asked, isPrefix }: TextTerm): boolean {
  return (
    asked.length > 0 &&
    asked.every((word, i) => {
      const there = words[at + i]?.folded;
      return isPrefix && i === asked.length - 1 ? there?.startsWith(word) : there === word;
    })
  );
}
