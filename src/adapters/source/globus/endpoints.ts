import type { Clock } from "../../../core/clock.ts";
import { AppError } from "../../../core/errors.ts";
import type { EndpointOpener } from "../open-endpoint.ts";
import type { TargetOpener } from "../open-target.ts";
import { isPlainPath } from "../plain-path.ts";
import type { GlobusApi } from "./api.ts";
import { globusConveyance } from "./conveyance.ts";
import type { OwnCollection } from "./landing.ts";
import { type GlobusPlace, globusSource } from "./source.ts";
import { globusTarget } from "./target.ts";

export interface GlobusEndpointsParts {
  readonly api: GlobusApi;
  readonly own?: OwnCollection | undefined;
  readonly clock: Clock;
}

/** Folders of Globus collections, `globus://<id>/some/folder`: all that the token opens. */
export function globusEndpoints(parts: GlobusEndpointsParts): EndpointOpener {
  return {
    check: (url) => urlOf(placeOf(url)),
    open: (url) => globusSource({ ...parts, place: placeOf(url) }),
  };
}

export interface GlobusTargetsParts extends GlobusEndpointsParts {
  /** URLs of what may be written, and removed from. */
  readonly writable: readonly string[];
}

export function globusTargets({ writable, ...parts }: GlobusTargetsParts): TargetOpener {
  const places = writable.map((url) => placeOf(new URL(url)));
  function placeAt(url: URL): GlobusPlace {
    const place = placeOf(url);
    if (places.some((one) => isWithin(one, place))) return place;
    throw new AppError("endpoint_refused", { url: url.href, hint: "it is not below LONGSHORE_OFFLOAD_STORES" });
  }
  return {
    check: (url) => urlOf(placeAt(url)),
    open(url) {
      const { own } = parts;
      const place = placeAt(url);
      if (own) return globusTarget({ ...parts, own, place });
      throw new AppError("endpoint_refused", { url: url.href, hint: "LONGSHORE_GLOBUS_COLLECTION is not set" });
    },
    between(source, target, { label, isMove }) {
      const from = isMove ? placeAt(source) : placeOf(source);
      return globusConveyance({ api: parts.api, source: from, target: placeAt(target), label });
    },
  };
}

function isWithin(one: GlobusPlace, found: GlobusPlace): boolean {
  const prefix = one.folder === "/" ? "/" : `${one.folder}/`;
  return one.collection === found.collection && (found.folder === one.folder || found.folder.startsWith(prefix));
}

/** The same text for the same place. */
function urlOf({ collection, folder }: GlobusPlace): string {
  return `globus://${collection}${folder === "/" ? "" : folder.split("/").map(encodeURIComponent).join("/")}`;
}

/** @throws AppError request_invalid. */
function placeOf({ href, hostname, pathname, search, hash, port, username }: URL): GlobusPlace {
  const expected = "globus://, then the collection's id, and a folder of it";
  try {
    const parts = pathname.replace(/\/+$/, "").split("/").slice(1).map(decodeURIComponent);
    const isPlain = parts.length === 0 || (isPlainPath(parts.join("/")) && !parts.some((part) => part.includes("/")));
    const isCollection =
      /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(hostname) && port === "" && username === "";
    if (isPlain && isCollection && search === "" && hash === "")
      return { collection: hostname.toLowerCase(), folder: `/${parts.join("/")}` };
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    throw new AppError("request_invalid", { url: href, expected }, { cause: error });
  }
  throw new AppError("request_invalid", { url: href, expected });
}
