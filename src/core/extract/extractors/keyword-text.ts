import { fileByFile } from "../file-by-file.ts";
import { keywordsOf } from "../keywords.ts";
import { malformed } from "../malformed.ts";
import { COUNT, FLAG, listSchema, NUMBER, objectSchema, TEXT } from "../record-schema.ts";
import { encodingOf, HEAD_BYTES, textOf } from "../text-encoding.ts";

/** What a text is about shows in its first megabytes. */
const MAX_CHARS = 8 * 1024 * 1024;

const KEYWORDS = listSchema(objectSchema({ phrase: TEXT, score: NUMBER, count: COUNT }));

/** Keywords of plain text. */
export const extractor = fileByFile({
  name: "keyword-text",
  version: "1",
  takes: {
    mediaTypes: ["text/plain"],
    extensions: ["txt", "text", "md", "markdown", "rst", "adoc", "tex", "log"],
  },
  schema: objectSchema({
    words: COUNT,
    phrases: { ...KEYWORDS, description: "by score, the best first" },
    terms: { ...KEYWORDS, description: "single words by the company they keep" },
    isWhole: { ...FLAG, description: "false when only the beginning was read" },
  }),
  describe(bytes) {
    const encoding = encodingOf(bytes.read(0, HEAD_BYTES));
    if (encoding === undefined) throw malformed("it is no text");
    let chars = 0;
    let isWhole = true;
    function* beginning() {
      for (const piece of textOf(bytes, encoding ?? "utf-8")) {
        if (chars + piece.length > MAX_CHARS) {
          isWhole = false;
          return;
        }
        chars += piece.length;
        yield piece;
      }
    }
    const { words, phrases, terms } = keywordsOf(beginning());
    const plain = (list: typeof phrases) => list.map((one) => ({ ...one }));
    return { data: { words, phrases: plain(phrases), terms: plain(terms), isWhole }, problems: [] };
  },
});
