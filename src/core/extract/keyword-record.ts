import type { RecordData } from "./extractor.ts";
import { keywordsOf } from "./keywords.ts";
import { COUNT, FLAG, listSchema, NUMBER, objectSchema, TEXT } from "./record-schema.ts";

/** What a text is about shows in its first megabytes. */
export const MAX_KEYWORD_CHARS = 8 * 1024 * 1024;

const KEYWORDS = listSchema(objectSchema({ phrase: TEXT, score: NUMBER, count: COUNT }));

/** What is said of the words of a text, whatever file it comes from. */
export const KEYWORD_SCHEMA = objectSchema({
  words: COUNT,
  phrases: { ...KEYWORDS, description: "by score, the best first" },
  terms: { ...KEYWORDS, description: "single words by the company they keep" },
  isWhole: { ...FLAG, description: `false when only the beginning was read: ${MAX_KEYWORD_CHARS} characters at most` },
});

/**
 * @param pieces of text, cut anywhere; no more of them are read than the bound allows.
 * @param isAll whether they are all there is.
 */
export function keywordRecord(pieces: Iterable<string>, isAll = true): RecordData {
  let chars = 0;
  let isWhole = true;
  function* beginning() {
    for (const piece of pieces) {
      if (chars + piece.length > MAX_KEYWORD_CHARS) {
        isWhole = false;
        yield piece.slice(0, MAX_KEYWORD_CHARS - chars);
        return;
      }
      chars += piece.length;
      yield piece;
    }
  }
  const { words, phrases, terms } = keywordsOf(beginning());
  const plain = (list: typeof phrases) => list.map((one) => ({ ...one }));
  return { words, phrases: plain(phrases), terms: plain(terms), isWhole: isWhole && isAll };
}
