import type { Problem } from "../../errors.ts";
import { ByteCursor, stopsAt } from "../byte-cursor.ts";
import { fileByFile } from "../file-by-file.ts";
import { malformed, malformedProblem } from "../malformed.ts";
import { countAt, type PathNode, pathTree } from "../path-tree.ts";
import { COUNT, FLAG, listSchema, mapSchema, objectSchema, orNull, TEXT } from "../record-schema.ts";
import { encodingOf, HEAD_BYTES, utf8Of } from "../text-encoding.ts";
import { textSample } from "../text-sample.ts";

const MAX_DEPTH = 10_000;
const MAX_KEY_BYTES = 1024;
const MAX_NUMBER_BYTES = 4096;

const TYPES = ["object", "array", "string", "integer", "number", "boolean", "null"] as const;
type JsonType = (typeof TYPES)[number];

const BLANK = stopsAt(" \t\n\r");
const STRING_END = stopsAt('"\\');
/** What may follow a number or a word. */
const TOKEN_END = stopsAt(' \t\n\r,]}:["{');
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/**
 * The structure of JSON (RFC 8259), of one document or of many in a row (JSON lines): read from beginning to end, in
 * memory that depends on how many paths there are and how deep they go, not on how long the file is.
 */
export const extractor = fileByFile({
  name: "json",
  version: "1",
  takes: { mediaTypes: ["application/json"], extensions: ["json", "jsonl", "ndjson", "geojson", "ipynb", "jsonld"] },
  schema: objectSchema({
    documents: { ...COUNT, description: "1, or how many lines of JSON lines" },
    topLevel: orNull({ enum: TYPES }),
    maxDepth: { ...COUNT, description: "of objects and arrays; 0 for a lone value" },
    values: objectSchema(Object.fromEntries(TYPES.map((type) => [type, COUNT]))),
    paths: listSchema(
      objectSchema({
        path: { ...TEXT, description: "JSON pointer; * is any item" },
        count: COUNT,
        types: mapSchema(COUNT),
      }),
    ),
    morePaths: { ...FLAG, description: "whether there are more paths than listed" },
    text: { ...TEXT, description: "strings at the file's beginning" },
  }),
  describe(bytes, { name }) {
    const encoding = encodingOf(bytes.read(0, HEAD_BYTES)) ?? "utf-8";
    const scan = jsonScan(new ByteCursor(utf8Of(bytes, encoding)));
    const problems: Problem[] = [];
    try {
      scan.run();
    } catch (error) {
      problems.push(malformedProblem(error, name));
    }
    return { data: scan.record(), problems };
  },
});

function jsonScan(cursor: ByteCursor) {
  const tree = pathTree();
  const sample = textSample();
  const values = Object.fromEntries(TYPES.map((type) => [type, 0])) as Record<JsonType, number>;
  /** Objects and arrays that are open; their places, where those are told apart. */
  const open: { readonly isArray: boolean; readonly node: PathNode | undefined }[] = [];
  let documents = 0;
  let topLevel: JsonType | null = null;
  let maxDepth = 0;

  const fail = (hint: string): never => {
    throw malformed(hint, cursor.offset);
  };

  function skipBlank(): number {
    while (BLANK[cursor.peek()] === 1) cursor.next();
    return cursor.peek();
  }

  /** Behind the opening quote. Escapes are looked at only in what is kept. */
  function string(keepBytes: number): string {
    let raw = Buffer.alloc(0);
    for (;;) {
      const run = cursor.until(STRING_END, Math.max(0, keepBytes - raw.length));
      if (run.length > 0) raw = Buffer.concat([raw, run]);
      const stop = cursor.next();
      if (stop < 0) fail("a string does not end");
      if (stop === 0x22) break;
      const escaped = cursor.next();
      if (escaped < 0) fail("a string does not end");
      if (raw.length < keepBytes) raw = Buffer.concat([raw, Buffer.of(stop, escaped)]);
    }
    return raw.length === 0 ? "" : unescaped(raw.toString("utf8"));
  }

  function unescaped(raw: string): string {
    // Line breaks and tabs, which RFC 8259 §7 wants escaped, are common and harm nobody; a cut escape is not there.
    return raw.replace(
      /\\(u[\da-fA-F]{4}|[^u]|u[\da-fA-F]{0,3}$)/gs,
      (_, code: string) => ESCAPES[code] ?? coded(code),
    );
  }

  function coded(code: string): string {
    if (code.length === 5) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    return code.startsWith("u") ? "" : fail(`a string has the escape \\${code}`);
  }

  function typeAndValue(node: PathNode | undefined): JsonType {
    const byte = cursor.peek();
    if (byte === 0x7b || byte === 0x5b) {
      cursor.next();
      open.push({ isArray: byte === 0x5b, node });
      if (open.length > MAX_DEPTH) fail(`values are nested deeper than ${MAX_DEPTH}`);
      maxDepth = Math.max(maxDepth, open.length);
      return byte === 0x5b ? "array" : "object";
    }
    if (byte === 0x22) {
      cursor.next();
      sample.add(string(sample.room()));
      return "string";
    }
    const token = cursor.until(TOKEN_END, MAX_NUMBER_BYTES).toString("latin1");
    if (token === "true" || token === "false") return "boolean";
    if (token === "null") return "null";
    const number = NUMBER.exec(token);
    if (!number) return fail(token === "" ? "a value is missing" : `"${token.slice(0, 20)}" is no value`);
    return number[2] === undefined && number[3] === undefined ? "integer" : "number";
  }

  function value(node: PathNode | undefined): JsonType {
    const type = typeAndValue(node);
    values[type] += 1;
    countAt(node, type);
    return type;
  }

  /** One step inside the innermost open object or array. @param isFirst whether it has just been opened. */
  function step(isFirst: boolean): boolean {
    const { isArray, node } = open.at(-1) ?? fail("nothing is open");
    const close = isArray ? 0x5d : 0x7d;
    let byte = skipBlank();
    if (byte === close) {
      cursor.next();
      open.pop();
      return false;
    }
    if (!isFirst) {
      if (byte !== 0x2c) fail(byte < 0 ? "the document does not end" : "a comma is missing");
      cursor.next();
      byte = skipBlank();
    }
    const depth = open.length;
    if (isArray) value(tree.below(node, "*"));
    else {
      if (byte !== 0x22) fail(byte < 0 ? "the document does not end" : "a name is missing");
      cursor.next();
      const child = tree.below(node, string(MAX_KEY_BYTES).toWellFormed());
      if (skipBlank() !== 0x3a) fail("a colon is missing");
      cursor.next();
      skipBlank();
      value(child);
    }
    return open.length > depth;
  }

  return {
    /** @throws AppError content_malformed; what was read before is kept. */
    run(): void {
      while (skipBlank() >= 0) {
        const type = value(tree.root);
        topLevel ??= type;
        documents += 1;
        let isFirst = true;
        while (open.length > 0) isFirst = step(isFirst);
      }
      if (documents === 0) fail("there is no value");
    },
    record: () => ({
      documents,
      topLevel,
      maxDepth,
      values: { ...values },
      paths: tree.nodes.map(({ path, count, types }) => ({ path, count, types: Object.fromEntries(types) })),
      morePaths: tree.isFull(),
      text: sample.text(),
    }),
  };
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};
