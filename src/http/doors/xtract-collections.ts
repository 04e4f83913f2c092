import { AppError } from "../../core/errors.ts";

/** How names of Globus collections ("endpoints", as the clients have it) lead to stores. */
export interface CollectionSettings {
  /** Id of the collection that is this machine's own. */
  readonly ownCollection?: string | undefined;
  /** Folder of this machine that the own collection shows as `/`; without it, paths are those of this machine. */
  readonly ownFolder?: string | undefined;
  /** Whether the server can speak to Globus for other collections. */
  readonly hasGlobus: boolean;
}

export interface Collections {
  /**
   * @param path absolute in its collection; or an endpoint's URL, which is taken as it is.
   * @throws AppError request_invalid.
   */
  urlOf(collection: string, path: string): string;
  /** The way back: the path that `urlOf` was given, of a URL in the form in which it is kept. */
  pathOf(url: string): string;
}

const URL_FORM = /^(file|https?|s3|globus):\/\/|^archive:/i;

/**
 * The own collection, and every one when there is no way to Globus, is this machine: so a client that was written for
 * Globus crawls folders of the server without it. What may be crawled there is for the crawl roots to say.
 */
export function collections({ ownCollection, ownFolder, hasGlobus }: CollectionSettings): Collections {
  const top = (ownFolder ?? "").replace(/\/+$/, "");
  return {
    urlOf(collection, path) {
      if (!path.isWellFormed() || !collection.isWellFormed())
        throw new AppError("request_invalid", { path, expected: "Unicode without lone surrogates" });
      if (URL_FORM.test(path)) return path;
      const isOwn = collection.toLowerCase() === ownCollection?.toLowerCase();
      const parts = path.split("/").map(encodeURIComponent).join("/");
      const absolute = parts.startsWith("/") ? parts : `/${parts}`;
      if (!isOwn && hasGlobus) return `globus://${encodeURIComponent(collection)}${absolute}`;
      return `file://${isOwn ? top.split("/").map(encodeURIComponent).join("/") : ""}${absolute}`;
    },
    pathOf(url) {
      const { protocol, pathname } = new URL(url);
      if (protocol !== "file:" && protocol !== "globus:") return url.replace(/\/+$/, "");
      const path = decodeURIComponent(pathname).replace(/\/+$/, "");
      const isShown = protocol === "file:" && top !== "" && `${path}/`.startsWith(`${top}/`);
      return isShown ? path.slice(top.length) : path;
    },
  };
}
