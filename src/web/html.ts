/** HTML that is safe to send: made by {@link html} alone. */
export interface Html {
  readonly [HTML]: string;
}
const HTML = Symbol("html");

/** What may stand between the texts of a template. What is not HTML is escaped; `false`, `null` and `undefined` are nothing. */
export type Part = Html | string | number | false | null | undefined | readonly Part[];

/**
 * A template whose every value is escaped unless it was made here: markup in a file's name stays a name. Values may stand
 * between tags and in attributes with quotes, and nowhere else: never in a tag's or attribute's name, `<script>` or `<style>`.
 */
export function html(texts: TemplateStringsArray, ...parts: readonly Part[]): Html {
  let made = texts[0] ?? "";
  for (const [at, part] of parts.entries()) made += textOf(part) + (texts[at + 1] ?? "");
  return { [HTML]: made };
}

/** Of a whole page, to be sent. */
export function markupOf(page: Html): string {
  return page[HTML];
}

function textOf(part: Part): string {
  if (part === false || part === null || part === undefined) return "";
  if (typeof part === "string") return escaped(part);
  if (typeof part === "number") return String(part);
  if (HTML in part) return part[HTML];
  return part.map(textOf).join("");
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Marks that turn the direction of what follows (Unicode Standard Annex 9 §2) are shown as what they are: in a file's name
 * they can make `exe.` look like `.exe`.
 */
const DIRECTION = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/g;

function escaped(text: string): string {
  return text
    .replace(/[&<>"']/g, (mark) => ESCAPES[mark] ?? "")
    .replace(DIRECTION, (mark) => `\\u${mark.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
}
