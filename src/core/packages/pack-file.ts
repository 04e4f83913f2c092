import { AppError } from "../errors.ts";
import { continued, declaredBytes } from "../outbound/continued.ts";
import type { FetchAnswer, FetchRequest } from "../outbound/fetch.ts";
import { mayHaveKey } from "./order-rules.ts";
import type { Packing } from "./package-job.ts";

const HEAD_MS = 60_000;
const SILENCE_MS = 60_000;
const TOTAL_MS = 24 * 3_600_000;
/** Compressed in themselves: doing so again costs time and gains nothing. */
const COMPRESSED =
  /\.(?:zip|gz|tgz|bz2|xz|zst|7z|rar|jpe?g|png|gif|webp|avif|heic|mp[34]|m4[av]|mov|mkv|webm|ogg|flac|docx|xlsx|pptx|odt|ods|parquet)$/i;

/**
 * A file by URL, as it comes, into a package of that one member. One that breaks off is gone on with where it broke if that is
 * sure to be the same file, and else fetched anew when the job is tried again.
 * @throws AppError portal_refused for what is no file; remote_unavailable.
 */
export async function packFile(packing: Packing): Promise<{ readonly rowCount: null }> {
  const { made, key, fetch, clock, tasks, signal, maxBytes } = packing;
  const { recipe } = made;
  const { resourceUrl } = recipe;
  if (resourceUrl === undefined)
    throw new AppError("request_invalid", { field: "resourceUrl", expected: "an address" });

  await tasks.begin("fetch");
  const request: FetchRequest = {
    method: "GET",
    url: resourceUrl,
    headers: {
      // As it lies there: then its length is known, and a part of it can be asked for.
      "accept-encoding": "identity",
      // CKAN 2.9 takes either field, later ones the first. A redirect to another origin goes without.
      ...(key !== undefined && mayHaveKey(recipe) && { authorization: key, "x-ckan-api-key": key }),
    },
    limits: { headMs: HEAD_MS, silenceMs: SILENCE_MS, totalMs: TOTAL_MS, bodyBytes: maxBytes },
    signal,
  };
  const answer = await fetch(request);
  try {
    requireFile(resourceUrl, answer);
    const declared = declaredBytes(answer);
    await tasks.begin("fetch", declared === undefined ? {} : { bytes: declared });
    const sink = await packing.open();
    const name = memberName(resourceUrl, recipe.resourceId);
    const member = sink.member(name, { stored: COMPRESSED.test(name) });
    for await (const bytes of continued(fetch, request, answer, clock)) {
      tasks.advance({ bytes: bytes.length });
      await member.write(bytes);
    }
    await member.write(""); // an empty file is a member too
    return { rowCount: null };
  } finally {
    answer.body.destroy();
  }
}

/** @throws AppError portal_refused, portal_busy. */
function requireFile(asked: string, answer: FetchAnswer): void {
  const { status } = answer;
  if (status >= 500 || status === 429)
    throw new AppError("portal_busy", { origin: originOf(answer), expected: "200", found: status });
  if (status !== 200)
    throw new AppError("portal_refused", { origin: originOf(answer), expected: "200", found: status });
  if (isLoginPage(asked, answer))
    throw new AppError("portal_refused", { origin: originOf(answer), expected: "a file", found: "a page to log in" });
}

/**
 * Portals answer whom they do not know with a page, and status 200. A page is a file only where it was asked for: at an
 * address that does not end like another kind of file, and that did not lead to one about logging in.
 */
function isLoginPage(asked: string, { url, headers }: FetchAnswer): boolean {
  if (!/^\s*(?:text\/html|application\/xhtml)/i.test(headers["content-type"] ?? "")) return false;
  const { pathname } = new URL(asked);
  const extension = /\.([a-z0-9]{1,8})$/i.exec(pathname)?.[1]?.toLowerCase();
  if (extension !== undefined && !/^(?:x?html?|php\d?|aspx?|jsp|cgi)$/.test(extension)) return true;
  return url !== asked && /(?:log|sign)[-_]?(?:in|on)\b/i.test(new URL(url).pathname);
}

/** The last part of the path as it stands in the address. */
function memberName(url: string, resourceId: string): string {
  const last = new URL(url).pathname.split("/").findLast((part) => part !== "");
  return last ?? resourceId.replaceAll(/[/\\]|^\.+$/g, "_");
}

const originOf = ({ url }: FetchAnswer) => new URL(url).origin;
