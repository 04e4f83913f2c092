import { AppError } from "../errors.ts";

/** One element of a metadata array is an object of a few fields: a larger one is not what Longshore reads. */
const MAX_ELEMENT_LENGTH = 1024 * 1024;

/** `first`: behind `[`; `between`: behind a comma; `after`: behind `]`. */
type Where = "start" | "first" | "element" | "between" | "after";

const BLANK = /[ \t\n\r]/;

/**
 * Yields the elements of one JSON array (RFC 8259), parsed one at a time: a metadata document of a million files is
 * never in memory as a whole.
 *
 * @throws AppError metadata_not_json with line and column (1-based) of the fault; metadata_invalid when the document is
 * JSON but no array.
 */
export async function* jsonArrayElements(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  let where = "start" as Where;
  let element = "";
  let depth = 0;
  let inString = false;
  let escaped = false;
  let line = 1;
  let column = 0;

  const fault = (expected: string, found: string) =>
    new AppError("metadata_not_json", { line, column, expected, found });

  function parse(): unknown {
    const text = element;
    element = "";
    try {
      return JSON.parse(text);
    } catch (error) {
      const found = text.trim().length > 60 ? `${text.trim().slice(0, 60)}…` : text.trim();
      throw new AppError("metadata_not_json", { line, column, found, reason: reasonOf(error) }, { cause: error });
    }
  }

  for await (const text of decoded(bytes)) {
    let from = 0;
    for (let i = 0; i < text.length; i++) {
      const char = text.charAt(i);
      if (char === "\n") {
        line++;
        column = 0;
      } else column++;

      if (where === "element") {
        if (inString) {
          if (escaped) escaped = false;
          else if (char === "\\") escaped = true;
          else if (char === '"') inString = false;
        } else if (char === '"') inString = true;
        else if (char === "{" || char === "[") depth++;
        else if ((char === "}" || char === "]") && depth > 0) depth--;
        else if (depth === 0 && (char === "," || char === "]")) {
          element += text.slice(from, i);
          yield parse();
          where = char === "," ? "between" : "after";
        }
      } else if (!BLANK.test(char)) {
        if (where === "start") {
          if (char !== "[") {
            if ('{"-0123456789tfn'.includes(char))
              throw new AppError("metadata_invalid", {
                expected: "a JSON array of objects",
                found: `a document that starts with ${char}`,
              });
            throw fault("[", char);
          }
          where = "first";
        } else if (where === "after") throw fault("the end of the document", char);
        else if (char === "]" && where === "first") where = "after";
        else if (char === "]" || char === ",") throw fault("an object", char);
        else {
          where = "element";
          from = i;
          depth = char === "{" || char === "[" ? 1 : 0;
          inString = char === '"';
        }
      }
    }
    if (where === "element") {
      element += text.slice(from);
      if (element.length > MAX_ELEMENT_LENGTH)
        throw new AppError("metadata_invalid", {
          line,
          expected: `objects of at most ${MAX_ELEMENT_LENGTH} characters`,
        });
    }
  }
  if (where !== "after") throw fault(where === "start" ? "a JSON array" : "]", "the end of the document");
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

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
