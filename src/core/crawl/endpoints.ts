import type { Principal } from "../access/access.ts";
import { AppError } from "../errors.ts";
import type { Endpoint } from "./crawl.ts";
import type { EndpointRequest } from "./crawls.ts";
import { grouperNamed, isGrouperName } from "./grouping/groupers.ts";
import type { Source } from "./source.ts";

/** Schemes of endpoints' URLs, and the setting that opens stores of each. */
export const ENDPOINT_SCHEMES = {
  file: "LONGSHORE_CRAWL_ROOTS",
  http: "LONGSHORE_FETCH_ORIGINS",
  https: "LONGSHORE_FETCH_ORIGINS",
  archive: "LONGSHORE_ARCHIVE_URL",
  s3: "LONGSHORE_CRAWL_BUCKETS",
  globus: "LONGSHORE_GLOBUS_TOKEN",
} as const;
export type EndpointScheme = keyof typeof ENDPOINT_SCHEMES;

/**
 * The stores that may be used, by their URLs.
 *
 * Adapter: `adapters/source/open-endpoint.ts`.
 */
export interface Endpoints {
  /**
   * Whether the caller may use this store. What it says holds for the settings as they are; `open` judges anew.
   * @param url with a scheme, see {@link Endpoint.url}.
   * @returns the URL as it is kept: it alone says what is opened, also for whom.
   * @throws AppError request_invalid, endpoint_refused.
   */
  check(url: string, principal: Principal): Promise<string>;
  /**
   * @param endpoint whose URL `check` has returned.
   * @returns the store, for the caller to close.
   * @throws AppError endpoint_refused when the settings no longer open it, endpoint_unreachable.
   */
  open(endpoint: Pick<Endpoint, "url">): Promise<Source>;
}

/** The scheme of a URL. @throws AppError request_invalid for one that is no endpoint's. */
export function schemeOf(url: string): EndpointScheme {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase() ?? "";
  if (isScheme(scheme)) return scheme;
  const schemes = Object.keys(ENDPOINT_SCHEMES).map((name) => `${name}:`);
  throw new AppError("request_invalid", { url, expected: `a path or a URL that begins with ${schemes.join(", ")}` });
}

const isScheme = (text: string): text is EndpointScheme => Object.hasOwn(ENDPOINT_SCHEMES, text);

/**
 * Reads what was asked for, apart from whether the store may be used.
 * @throws AppError request_invalid.
 */
export function endpointOf({ url, folders, grouper, pattern, hidden }: EndpointRequest): Endpoint {
  const name = grouper ?? "file_is_group";
  grouperNamed(name, { pattern });
  if (!isGrouperName(name)) throw new AppError("request_invalid", { grouper: name });
  if (!url.isWellFormed()) throw new AppError("request_invalid", { url, expected: "Unicode without lone surrogates" });
  const withScheme = url.startsWith("/") ? `file://${url.split("/").map(encodeURIComponent).join("/")}` : url;
  schemeOf(withScheme);
  return {
    url: withScheme,
    folders: foldersOf(folders ?? [""]),
    grouper: name,
    pattern: pattern ?? null,
    hidden: hidden ?? true,
  };
}

/** Plain paths, each once, without those that lie below another of them: these are walked with it. */
function foldersOf(asked: readonly string[]): readonly string[] {
  if (asked.length === 0) throw new AppError("request_invalid", { expected: "at least one folder, or none named" });
  const plain = new Set(asked.map(plainFolder));
  return [...plain].filter((folder) => folder === "" || !above(folder).some((one) => plain.has(one)));
}

/** @returns without slashes at its ends. */
function plainFolder(folder: string): string {
  const plain = folder.replace(/^\/+|\/+$/g, "");
  const isPlain = plain === "" || plain.split("/").every((part) => part !== "" && part !== "." && part !== "..");
  if (isPlain && !plain.includes("\0") && plain.isWellFormed()) return plain;
  throw new AppError("request_invalid", { folder, expected: "a path below the store's root" });
}

/** The folders that a path lies in, the root first. */
export function above(path: string): readonly string[] {
  const parts = path.split("/");
  return ["", ...parts.slice(1).map((_, at) => parts.slice(0, at + 1).join("/"))];
}
