import { fileByFile } from "../file-by-file.ts";
import { KEYWORD_SCHEMA, keywordRecord } from "../keyword-record.ts";
import { malformed } from "../malformed.ts";
import { encodingOf, HEAD_BYTES, textOf } from "../text-encoding.ts";

/** Keywords of plain text. */
export const extractor = fileByFile({
  name: "keyword-text",
  version: "1",
  takes: {
    mediaTypes: ["text/plain"],
    extensions: ["txt", "text", "md", "markdown", "rst", "adoc", "tex", "log"],
  },
  schema: KEYWORD_SCHEMA,
  describe(bytes) {
    const encoding = encodingOf(bytes.read(0, HEAD_BYTES));
    if (encoding === undefined) throw malformed("it is no text");
    return { data: keywordRecord(textOf(bytes, encoding)), problems: [] };
  },
});
