import { STAGING } from "../fs/layout.ts";
import type { Bucket, Listed } from "./bucket.ts";
import { foldersOf } from "./layout.ts";

/** One of the service's pages, without what is hidden. */
type VisiblePage = (
  below: string,
  after?: string,
  most?: number,
) => Promise<{ readonly found: readonly Listed[]; readonly last: string | undefined }>;

/**
 * All visible files below `prefix`, folder by folder, names in code-unit order.
 *
 * A tree is hidden from its first mention on, as long as this listing takes: one that is published meanwhile does not
 * show in part. What is under way is asked for before and after each page, so that only a tree that is begun and
 * published while the service makes up one page could show in part.
 */
export async function* visibleFiles(
  bucket: Bucket,
  staged: () => Promise<ReadonlySet<string>>,
  prefix: string,
): AsyncGenerator<Listed> {
  const hidden = new Set<string>();
  const look = async () => {
    for (const tree of await staged()) hidden.add(tree);
  };
  const isHidden = (path: string) => path.startsWith(`${STAGING}/`) || foldersOf(path).some((f) => hidden.has(f));

  async function page(below: string, after?: string, most = 1000) {
    await look();
    const { found, isLast } = await bucket.page(below, { after, most });
    await look();
    return { found: found.filter(({ path }) => !isHidden(path)), last: isLast ? undefined : found.at(-1)?.path };
  }
  yield* inOrder(page, prefix === "" ? "" : `${prefix}/`);
}

/**
 * Folder by folder, where the service goes by the bytes of whole keys: it puts `a-b` before `a/x`, as `-` comes before `/`,
 * and U+FB01 before U+1F600, of which the first code unit is less. So before a file with such a character is given, what
 * the service has later and belongs before it is looked for, and given first.
 * @param after what keys come after, all beginning with `below`.
 */
async function* inOrder(page: VisiblePage, below: string, after?: string): AsyncGenerator<Listed> {
  /** Beginnings of keys that have been dealt with, as far as they are of interest for where the listing is. */
  let detours: Detour[] = [];
  for (let last = after; ; ) {
    const { found, last: next } = await page(below, last);
    for (const [i, file] of found.entries()) {
      const { path } = file;
      detours = detours.filter(({ stem }) => path.startsWith(stem));
      if (detours.some((detour) => detour.takes(path))) continue;
      for (const detour of detoursOf(path, below.length)) {
        if (detours.some(({ from }) => from === detour.from)) continue;
        detours.push(detour);
        if (await leads(detour, found.slice(i + 1), next === undefined))
          yield* inOrder(page, detour.below, detour.after);
      }
      yield file;
    }
    if (next === undefined) return;
    // What a detour has given in whole need not be listed again.
    const within = detours.find((detour) => detour.after === undefined && detour.takes(next));
    last = within ? `${within.below}${LAST}` : next;
  }

  /** Whether there is anything there: in what is at hand, or beyond. */
  async function leads(detour: Detour, rest: readonly Listed[], isAll: boolean): Promise<boolean> {
    const beyond = rest.findIndex(({ path }) => compareBytes(path, detour.from) > 0);
    const found = rest[beyond];
    if (found) return detour.takes(found.path);
    if (isAll) return false;
    const { found: first } = await page(detour.below, detour.after, 1);
    return first.length > 0;
  }
}

/** Keys that the service has later, and that belong before the one at hand. */
interface Detour {
  /** What the one at hand and all of these begin with. */
  readonly stem: string;
  /** They come right after this in the service's order. */
  readonly from: string;
  readonly below: string;
  readonly after?: string;
  takes(path: string): boolean;
}

const LAST_BMP = "\uffff";
const LAST = "\u{10ffff}";

/** Outermost first. @param start of what may differ within the path. */
function* detoursOf(path: string, start: number): Generator<Detour> {
  for (let i = start; i < path.length; i++) {
    const unit = path.charCodeAt(i);
    const stem = path.slice(0, i);
    if (unit < 0x2f) {
      const below = `${stem}/`;
      yield { stem, from: below, below, takes: (other) => other.startsWith(below) };
    } else if (unit >= 0xe000) {
      const after = `${stem}${LAST_BMP}`;
      const takes = (other: string) => other.startsWith(stem) && (other.codePointAt(i) ?? 0) > 0xffff;
      yield { stem, from: after, below: stem, after, takes };
    }
  }
}

/** As UTF-8, which is by code points. */
const compareBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
