import { createHash } from "node:crypto";
import { extensionOf } from "../choose.ts";
import { fileByFile } from "../file-by-file.ts";
import { mediaTypeOfFile } from "../media-type.ts";
import { COUNT, objectSchema, orNull, TEXT } from "../record-schema.ts";
import { encodingOf, HEAD_BYTES, textOf } from "../text-encoding.ts";

/** What can be said of any file. */
export const extractor = fileByFile({
  name: "generic",
  version: "1",
  takes: { mediaTypes: ["*/*"], extensions: [] },
  schema: objectSchema({
    mediaType: { ...TEXT, description: "by content, the name unseen" },
    extension: TEXT,
    sizeBytes: COUNT,
    sha256: { ...TEXT, pattern: "^[0-9a-f]{64}$" },
    encoding: orNull({ ...TEXT, description: "of text; null for other files" }),
    lines: orNull({ ...COUNT, description: "of text: line feeds, and a last line without one" }),
  }),
  describe(bytes, { name }) {
    const head = bytes.read(0, HEAD_BYTES);
    const mediaType = mediaTypeOfFile(bytes);
    const encoding = head.length === 0 ? null : (encodingOf(head) ?? null);
    const hash = createHash("sha256");
    const isBytewise = encoding === "utf-8" || encoding === "windows-1252";
    let sizeBytes = 0;
    let lines = 0;
    let last = 0x0a;
    for (const chunk of bytes.chunks()) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      last = chunk.at(-1) ?? last;
      if (isBytewise) for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, at + 1)) lines += 1;
    }
    if (isBytewise && last !== 0x0a) lines += 1;
    if (encoding !== null && !isBytewise)
      for (const text of textOf(bytes, encoding)) lines += text.split("\n").length - 1;
    return {
      data: {
        mediaType,
        extension: extensionOf(name),
        sizeBytes,
        sha256: hash.digest("hex"),
        encoding,
        lines: encoding === null ? null : lines,
      },
      problems: [],
    };
  },
});
