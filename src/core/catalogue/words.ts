/*
 * What counts as a word when text is searched, and which words are the same. Index and query both ask here: whatever is
 * changed needs an index that is made anew.
 */

export interface Word {
  /** Folded; letters and digits alone. */
  readonly folded: string;
  /** Where it stands in the text, in UTF-16 units; `end` is behind it. */
  readonly start: number;
  readonly end: number;
}

/**
 * A run of letters and digits. Chinese and Japanese characters are a word each, as these languages put no spaces: several
 * beside each other are found as a phrase.
 */
const WORD =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[[\p{L}\p{N}\p{M}]--[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]]+/gv;

/** Marks that belong to no script: accents. Vowel signs of Indian scripts are letters to their readers, and stay. */
const ACCENT = /[\p{Mn}&&\p{Script=Inherited}]/gv;

/** Letters with a stroke, and ligatures, which Unicode does not decompose. */
const PLAIN: Readonly<Record<string, string>> = { ø: "o", ł: "l", đ: "d", ħ: "h", æ: "ae", œ: "oe", ς: "σ" };

const ASCII = /^[\0-\x7f]*$/;

/** A longer word is found by its beginning. */
const MAX_WORD_LENGTH = 200;

/** Without accents and case, so that `Ångström` is `angstrom`, `STRASSE` is `Straße` and `ﬁle` is `file`. */
export function fold(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase();
  return text
    .normalize("NFKD")
    .replace(ACCENT, "")
    .toUpperCase() // ß has two letters in upper case alone
    .toLowerCase()
    .replace(/[øłđħæœς]/g, (letter) => PLAIN[letter] ?? letter);
}

/** The words of a text, in its order. */
export function* wordsOf(text: string): Generator<Word> {
  for (const { 0: found, index } of text.matchAll(WORD)) {
    // Decomposition may bring in spaces and signs: `½` becomes `1⁄2`.
    const folded = fold(found)
      .replace(/[^\p{L}\p{N}\p{M}]/gu, "")
      .slice(0, MAX_WORD_LENGTH)
      .toWellFormed();
    if (folded !== "") yield { folded, start: index, end: index + found.length };
  }
}
