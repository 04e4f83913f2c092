import { AppError } from "../errors.ts";
import type { FetchAnswer } from "../outbound/fetch.ts";
import { mayHaveKey } from "./order-rules.ts";
import type { Packing } from "./package-job.ts";

const HEAD_MS = 60_000;
const SILENCE_MS = 60_000;
const TOTAL_MS = 24 * 3_600_000;
/** Compressed in themselves: doing so again costs time and gains nothing. */
const COMPRESSED =
  /\.(?:zip|gz|tgz|bz2|xz|zst|7z|rar|jpe?g|png|gif|webp|avif|heic|mp[34]|m4[av]|mov|mkv|webm|ogg|flac|docx|xlsx|pptx|odt|ods|parquet)$/i;

/**
 * A file by URL, as it comes, into a package of that one member. One that breaks off is fetched anew when the job is tried
 * again.
 * @throws AppError portal_refused for what is no file; remote_unavailable.
 */
export async function packFile(packing: Packing): Promise<{ readonly rowCount: null }> {
  const { made, key, fetch, tasks, signal, maxBytes } = packing;
  const { recipe } = made;
  const { resourceUrl } = recipe;
  if (resourceUrl === undefined)
    throw new AppError("request_invalid", { field: "resourceUrl", expected: "an address" });

  await tasks.begin("fetch");
  const answer = await fetch({
    method: "GET",
    url: resourceUrl,
    // CKAN 2.9 takes either field, later ones the first. A redirect to another origin goes without.
    headers: key !== undefined && mayHaveKey(recipe) ? { authorization: key, "x-ckan-api-key": key } : {},
    limits: { headMs: HEAD_MS, silenceMs: SILENCE_MS, totalMs: TOTAL_MS, bodyBytes: maxBytes },
    signal,
  });
  try {
    requireFile(resourceUrl, answer);
    const declared = declaredBytes(answer);
    await tasks.begin("fetch", declared === undefined ? {} : { bytes: declared });
    const sink = await packing.open();
    const name = memberName(resourceUrl, recipe.resourceId);
    const member = sink.member(name, { stored: COMPRESSED.test(name) });
    let found = 0;
    for await (const bytes of answer.body as AsyncIterable<Uint8Array>) {
      found += bytes.length;
      tasks.advance({ bytes: bytes.length });
      await member.write(bytes);
    }
    if (declared !== undefined && found !== declared)
      throw new AppError("remote_unavailable", { origin: originOf(answer), expected: declared, found });
    await member.write(""); // an empty file is a member too
    return { rowCount: null };
  } finally {
    answer.body.destroy();
  }
}

/** @throws AppError portal_refused, remote_unavailable. */
function requireFile(asked: string, answer: FetchAnswer): void {
  const { status } = answer;
  if (status >= 500 || status === 429)
    throw new AppError("remote_unavailable", { origin: originOf(answer), expected: "200", found: status });
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

/** RFC 9110 §8.6; of a body that comes in a coding, it is not what we count. */
function declaredBytes({ headers }: FetchAnswer): number | undefined {
  const length = headers["content-length"];
  return length === undefined || headers["content-encoding"] !== undefined ? undefined : Number(length);
}

/** The last part of the path as it stands in the address. */
function memberName(url: string, resourceId: string): string {
  const last = new URL(url).pathname.split("/").findLast((part) => part !== "");
  return last ?? resourceId.replaceAll(/[/\\]|^\.+$/g, "_");
}

const originOf = ({ url }: FetchAnswer) => new URL(url).origin;
