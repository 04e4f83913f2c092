import type { FeedItem } from "../../core/crawl/crawls.ts";
import { countText, sizeText } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { type Reader, table } from "../layout.ts";
import type { MessageName } from "../messages.ts";

/** Rows of a table; what is smaller is one row together. */
const ROWS = 12;

interface Sum {
  readonly name: string;
  readonly files: number;
  readonly bytes: number;
}

/** How large the files are together, by the ending of their names and by their top folder. */
export function crawlSizes(reader: Reader, items: readonly FeedItem[], total: number): Html {
  const { say } = reader;
  const files = items.filter(({ file }) => file !== null);
  if (files.length === 0) return html``;
  const values = { count: countText(files.length), total: countText(total) };
  const types = summed(files, ({ path }) => endingOf(path) ?? say("crawl.noEnding"), say("crawl.rest"));
  const folders = summed(files, ({ path }) => topOf(path) ?? say("crawl.top"), say("crawl.rest"));
  return html`<h2>${say("crawl.sizes")}</h2>
<p class="soft">${files.length < total ? say("crawl.ofFirst", values) : say("crawl.ofAll", values)}</p>
<div class="cards"><section><h3>${say("crawl.byType")}</h3>${sumTable(reader, "crawl.byType", "crawl.type", types)}</section>
<section><h3>${say("crawl.byFolder")}</h3>${sumTable(reader, "crawl.byFolder", "crawl.folder", folders)}</section></div>`;
}

function sumTable({ say }: Reader, caption: MessageName, head: MessageName, sums: readonly Sum[]): Html {
  const all = sums.reduce((sum, { bytes }) => sum + bytes, 0);
  return table(
    say(caption),
    [say(head), say("crawls.files"), say("crawls.size"), say("crawl.share")],
    sums.map(({ name, files, bytes }) => {
      const percent = all === 0 ? 0 : Math.round((bytes / all) * 100);
      const bar = html`<meter min="0" max="100" value="${percent}" aria-label="${name}"></meter> ${percent} %`;
      return [html`<span class="path">${name}</span>`, countText(files), sizeText(bytes), bar];
    }),
    [1, 2],
  );
}

/** Largest first. */
export function summed(
  items: readonly Pick<FeedItem, "path" | "sizeBytes">[],
  nameOf: (item: Pick<FeedItem, "path">) => string,
  rest: string,
): readonly Sum[] {
  const sums = new Map<string, Sum>();
  for (const item of items) {
    const name = nameOf(item);
    const { files, bytes } = sums.get(name) ?? { files: 0, bytes: 0 };
    sums.set(name, { name, files: files + 1, bytes: bytes + (item.sizeBytes ?? 0) });
  }
  const sorted = [...sums.values()].sort((a, b) => b.bytes - a.bytes || b.files - a.files);
  if (sorted.length <= ROWS) return sorted;
  const small = sorted.slice(ROWS - 1);
  const sumOf = (of: "files" | "bytes") => small.reduce((sum, one) => sum + one[of], 0);
  return [...sorted.slice(0, ROWS - 1), { name: rest, files: sumOf("files"), bytes: sumOf("bytes") }];
}

/** In lower case and with its dot; a name that only begins with one has none. */
export function endingOf(path: string): string | undefined {
  return /[^/](\.[^./]{1,16})$/.exec(path)?.[1]?.toLowerCase();
}

function topOf(path: string): string | undefined {
  const end = path.indexOf("/");
  return end < 0 ? undefined : path.slice(0, end + 1);
}
