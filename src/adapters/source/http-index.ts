/** One line of a folder's index. */
export interface IndexLine {
  /** Absolute. */
  readonly url: URL;
  /** Said to be a link by the server (Python's, which writes `name@`). */
  readonly isLink: boolean;
  /** Bytes; `undefined` when it is not said, or rounded (`1.2K`). */
  readonly sizeBytes: number | undefined;
  /** Epoch milliseconds; `undefined` when it is not said, or without a time zone. */
  readonly modifiedAt: number | undefined;
}

/** Between quotes are few thousand characters at most, so that an unclosed one is not looked for in all the rest. */
const ANCHOR =
  /<a\s(?:[^<>"']|"[^"]{0,8192}"|'[^']{0,8192}')*?\bhref\s*=\s*("[^"]{0,8192}"|'[^']{0,8192}'|[^\s<>"']+)[^<>]{0,8192}>/gi;
/** After a name: nginx has 02-Jan-2026 03:04 in UTC, Apache 2026-01-02 03:04 in a zone of its own. */
const FACTS =
  /(?:(?<day>\d{2})-(?<month>[A-Z][a-z]{2})-(?<year>\d{4}) (?<time>\d{2}:\d{2})|\d{4}-\d{2}-\d{2} \d{2}:\d{2})(?::\d{2})?\s+(?<size>\S+)/;
/** Of what follows a name, this much is looked at. */
const FACTS_LENGTH = 1_000;

/**
 * Whatever an index page in HTML has links to: Apache's (both forms), nginx's, Python's `http.server` and others alike.
 * Links that do not lead directly below are among them.
 * @param base of the page, which its links are relative to.
 */
export function linesOfHtml(html: string, base: URL): readonly IndexLine[] {
  const anchors = [...html.matchAll(ANCHOR)];
  return anchors.flatMap(({ 0: tag, 1: href = "", index }, at) => {
    const address = unescaped(href.replace(/^["']|["']$/g, ""));
    const until = Math.min(anchors[at + 1]?.index ?? html.length, index + tag.length + FACTS_LENGTH);
    const rest = html.slice(index + tag.length, until);
    if (!URL.canParse(address, base.href)) return [];
    const [shown = "", facts = ""] = rest.split(/<\/a\s*>/i, 2);
    return { url: new URL(address, base), isLink: shown.endsWith("@"), ...factsOf(facts.replace(/<[^<>]*>/g, " ")) };
  });
}

function factsOf(text: string): Pick<IndexLine, "sizeBytes" | "modifiedAt"> {
  const { day, month, year, time, size = "" } = FACTS.exec(text)?.groups ?? {};
  const modifiedAt = day === undefined ? Number.NaN : Date.parse(`${day} ${month} ${year} ${time} GMT`);
  return {
    sizeBytes: /^\d+$/.test(size) ? Number(size) : undefined,
    modifiedAt: Number.isNaN(modifiedAt) ? undefined : modifiedAt,
  };
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** As far as an address is escaped. */
function unescaped(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{1,8}));/gi, (whole, decimal, hex, name: string) => {
    const code = decimal ? Number(decimal) : hex ? Number.parseInt(hex, 16) : undefined;
    if (code === undefined) return ENTITIES[name.toLowerCase()] ?? whole;
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** nginx's `autoindex_format json`. @returns `undefined` when it is something else. */
export function linesOfJson(text: string, base: URL): readonly IndexLine[] | undefined {
  const entries = parsed(text);
  if (!Array.isArray(entries)) return undefined;
  const lines: IndexLine[] = [];
  for (const entry of entries as readonly unknown[]) {
    if (typeof entry !== "object" || entry === null || !("name" in entry) || typeof entry.name !== "string")
      return undefined;
    const isFolder = "type" in entry && entry.type === "directory";
    const sizeBytes = "size" in entry && typeof entry.size === "number" ? entry.size : undefined;
    const modifiedAt = "mtime" in entry && typeof entry.mtime === "string" ? Date.parse(entry.mtime) : Number.NaN;
    if (!entry.name.isWellFormed()) continue;
    lines.push({
      url: new URL(`./${encodeURIComponent(entry.name)}${isFolder ? "/" : ""}`, base),
      isLink: false,
      sizeBytes,
      modifiedAt: Number.isNaN(modifiedAt) ? undefined : modifiedAt,
    });
  }
  return lines;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
