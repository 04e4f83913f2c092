import { realpath, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { hasScope, type Principal } from "../../core/access/access.ts";
import { ENDPOINT_SCHEMES, type EndpointScheme, type Endpoints, schemeOf } from "../../core/crawl/endpoints.ts";
import type { Source } from "../../core/crawl/source.ts";
import { AppError } from "../../core/errors.ts";
import type { Origins } from "../../core/outbound/origins.ts";
import { ABSENT, ignoring, systemCode } from "../storage/fs/errors.ts";
import { type ArchiveSourceParts, archiveSource } from "./archive.ts";
import { fsSource } from "./fs.ts";
import { type HttpSourceParts, httpSource } from "./http.ts";

/** How stores of one scheme are judged and opened. Both are given the parsed URL, and throw as {@link Endpoints} does. */
export interface EndpointOpener {
  check(url: URL, principal: Principal): Promise<string> | string;
  open(url: URL): Promise<Source> | Source;
}

/** @param openers of the schemes that this server is set up for. */
export function openEndpoints(openers: Readonly<Partial<Record<EndpointScheme, EndpointOpener>>>): Endpoints {
  function openerOf(text: string): readonly [EndpointOpener, URL] {
    const scheme = schemeOf(text);
    if (!URL.canParse(text)) throw new AppError("request_invalid", { url: text, expected: "a URL" });
    const opener = openers[scheme];
    if (!opener) throw new AppError("endpoint_refused", { url: text, hint: `${ENDPOINT_SCHEMES[scheme]} is not set` });
    return [opener, new URL(text)];
  }
  return {
    async check(text, principal) {
      const [opener, url] = openerOf(text);
      return opener.check(url, principal);
    },
    async open({ url: text }) {
      const [opener, url] = openerOf(text);
      return opener.open(url);
    },
  };
}

/**
 * Folders of this machine: the roots, and what lies below them when all links on the way are followed. The URL stays as it
 * was given; where it leads is found out whenever it is opened.
 */
export function folderEndpoints({ roots }: { readonly roots: readonly string[] }): EndpointOpener {
  /** @returns without links. */
  async function folderAt(url: URL): Promise<string> {
    const path = pathOf(url);
    const found = await resolved(path);
    const open = (await Promise.all(roots.map(resolved))).filter((root) => root !== undefined);
    if (found !== undefined && open.some((root) => isWithin(root, found))) return found;
    const hint = roots.length === 0 ? "LONGSHORE_CRAWL_ROOTS is not set" : "it is not below LONGSHORE_CRAWL_ROOTS";
    // Of what lies elsewhere it is not even said whether it is there.
    if (found !== undefined || ![...roots, ...open].some((root) => isWithin(resolve(root), path)))
      throw new AppError("endpoint_refused", { url: url.href, hint });
    throw new AppError("endpoint_unreachable", { url: url.href, reason: "it is not there" });
  }
  return {
    async check(url) {
      if (!(await stat(await folderAt(url))).isDirectory())
        throw new AppError("request_invalid", { url: url.href, expected: "a folder" });
      return pathToFileURL(pathOf(url)).href;
    },
    open: async (url) => fsSource({ root: await folderAt(url) }),
  };
}

/** @throws AppError request_invalid. */
export function pathOf(url: URL): string {
  const expected = "file:///, then the folder's absolute path";
  if (url.search !== "" || url.hash !== "" || /%00/.test(url.pathname))
    throw new AppError("request_invalid", { url: url.href, expected });
  try {
    return resolve(fileURLToPath(url));
  } catch (error) {
    if (systemCode(error) === undefined && !(error instanceof TypeError || error instanceof URIError)) throw error;
    throw new AppError("request_invalid", { url: url.href, expected }, { cause: error });
  }
}

/** `undefined` for what is not there, or cannot be reached by this process. */
function resolved(path: string): Promise<string | undefined> {
  return realpath(path).catch(ignoring(...ABSENT, "ELOOP", "EACCES", "EPERM"));
}

export function isWithin(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith("/") ? root : `${root}/`);
}

export interface HttpEndpointsParts extends Omit<HttpSourceParts, "url"> {
  /** The same that `fetch` is guarded by. */
  readonly origins: Origins;
}

/** Index pages of web servers that may be asked. Query and fragment are no part of an endpoint. */
export function httpEndpoints({ origins, ...parts }: HttpEndpointsParts): EndpointOpener {
  return {
    check(url) {
      try {
        origins.admit(url);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        throw new AppError("endpoint_refused", { ...error.details }, { cause: error });
      }
      const { origin, pathname } = url;
      return `${origin}${pathname.endsWith("/") ? pathname : `${pathname}/`}`;
    },
    open: ({ href: url }) => httpSource({ ...parts, url }),
  };
}

/**
 * The archive's own files: all of them for operators (`archive:`), for others their own. Those are kept as
 * `archive:?owner=ada`, which operators may name as well.
 */
export function archiveEndpoints(parts: Omit<ArchiveSourceParts, "owner">): EndpointOpener {
  return {
    check(url, principal) {
      const { owner, isPlain } = ownerIn(url);
      if (!isPlain) throw new AppError("request_invalid", { url: url.href, expected: "archive:, without a path" });
      if (hasScope(principal, "operate")) return owner === undefined ? "archive:" : `archive:?owner=${encoded(owner)}`;
      if (owner !== undefined && owner !== principal.name)
        throw new AppError("endpoint_refused", { url: url.href, hint: "others' transactions are for operators" });
      return `archive:?owner=${encoded(principal.name)}`;
    },
    open: (url) => archiveSource({ ...parts, owner: ownerIn(url).owner }),
  };
}

const encoded = encodeURIComponent;

function ownerIn({ host, pathname, hash, searchParams }: URL) {
  const isPlain = host === "" && (pathname === "" || pathname === "/") && hash === "";
  const isKnown = [...searchParams.keys()].every((name) => name === "owner");
  return { owner: searchParams.get("owner") ?? undefined, isPlain: isPlain && isKnown };
}
