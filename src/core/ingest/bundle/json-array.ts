import { AppError } from "../../errors.ts";

/** One element of a metadata array is an object of a few fields: a larger one is not what Longshore reads. */
const MAX_ELEMENT_LENGTH = 1024 * 1024;

/** `first`: behind `[`; `between`: behind a comma; `after`: behind `]`. */
type Where = "start" | "first" | "element" | "between" | "after";

/** A place in the text, both 1-based. */
interface Place {
  readonly line: number;
  readonly column: number;
}

/**
 * Yields the elements of one JSON array (RFC 8259), parsed one at a time: a metadata document of a million files is
 * never in memory as a whole.
 *
 * @throws AppError metadata_not_json with line and column of the fault, or of the element it is in where the parser says
 * no more; metadata_invalid when the document is JSON but no array.
 */
export async function* jsonArrayElements(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  let where = "start" as Where;
  let element = "";
  let begun: Place = { line: 1, column: 1 };
  let depth = 0;
  let inString = false;
  let escaped = false;
  let line = 1;
  // Counted in characters from the start of the document.
  let before = 0;
  let lineStart = 0;

  for await (const text of decoded(bytes)) {
    const place = (at: number): Place => ({ line, column: before + at - lineStart + 1 });
    const fault = (at: number, expected: string) =>
      new AppError("metadata_not_json", { ...place(at), expected, found: text.charAt(at) });
    let from = 0;
    let quote = -1;
    let backslash = -1;
    for (let i = 0; i < text.length; i++) {
      if (inString) {
        // Most of a document is inside of strings: go straight to what ends one, each found once.
        if (escaped) {
          escaped = false;
          continue;
        }
        if (quote < i) quote = indexOrEnd(text, '"', i);
        if (backslash < i) backslash = indexOrEnd(text, "\\", i);
        i = Math.min(quote, backslash);
        if (i === text.length) break;
        if (i === quote) inString = false;
        else escaped = true;
        continue;
      }
      const char = text.charAt(i);
      if (char === "\n") {
        line++;
        lineStart = before + i + 1;
      }
      if (where === "element") {
        if (char === '"') inString = true;
        else if (char === "{" || char === "[") depth++;
        else if ((char === "}" || char === "]") && depth > 0) depth--;
        else if (depth === 0 && (char === "," || char === "]")) {
          yield parsed(element + text.slice(from, i), begun);
          element = "";
          where = char === "," ? "between" : "after";
        }
      } else if (!isBlank(char)) {
        if (where === "start") {
          if (char !== "[") throw notAnArray(char) ?? fault(i, "[");
          where = "first";
        } else if (where === "after") throw fault(i, "the end of the document");
        else if (char === "]" && where === "first") where = "after";
        else if (char === "]" || char === ",") throw fault(i, "an object");
        else {
          where = "element";
          from = i;
          begun = place(i);
          depth = char === "{" || char === "[" ? 1 : 0;
          inString = char === '"';
        }
      }
    }
    if (where === "element") {
      element += text.slice(from);
      if (element.length > MAX_ELEMENT_LENGTH)
        throw new AppError("metadata_invalid", {
          ...begun,
          expected: `objects of at most ${MAX_ELEMENT_LENGTH} characters`,
        });
    }
    before += text.length;
  }
  if (where === "after") return;
  const expected = where === "start" ? "a JSON array" : "]";
  const column = before - lineStart + 1;
  throw new AppError("metadata_not_json", { line, column, expected, found: "the end of the document" });
}

function indexOrEnd(text: string, char: string, from: number): number {
  const at = text.indexOf(char, from);
  return at < 0 ? text.length : at;
}

function isBlank(char: string): boolean {
  return char === " " || char === "\n" || char === "\r" || char === "\t";
}

/** A document that begins like JSON and not like an array. */
function notAnArray(char: string): AppError | undefined {
  if (!'{"-0123456789tfn'.includes(char)) return undefined;
  const found = `a document that starts with ${char}`;
  return new AppError("metadata_invalid", { expected: "a JSON array of objects", found });
}

function parsed(text: string, begun: Place): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const lines = text.slice(0, Number(/ at position (\d+)/.exec(message)?.[1] ?? 0)).split("\n");
    const last = lines.at(-1) ?? "";
    const line = begun.line + lines.length - 1;
    const column = lines.length === 1 ? begun.column + last.length : last.length + 1;
    const found = text.length > 60 ? `${text.slice(0, 60)}…` : text.trimEnd();
    const reason = message.replace(/( in JSON)? at position .*|, \S*".*/s, "");
    throw new AppError("metadata_not_json", { line, column, found, reason }, { cause: error });
  }
}

async function* decoded(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for await (const chunk of bytes) yield decoder.decode(chunk, { stream: true });
    yield decoder.decode();
  } catch (error) {
    if (error instanceof TypeError && "code" in error && error.code === "ERR_ENCODING_INVALID_ENCODED_DATA")
      throw new AppError(
        "metadata_not_json",
        { expected: "UTF-8 text", found: "bytes that are not" },
        { cause: error },
      );
    throw error;
  }
}
