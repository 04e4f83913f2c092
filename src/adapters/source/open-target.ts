import { realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { hasScope, type Principal } from "../../core/access/access.ts";
import { type EndpointScheme, schemeOf } from "../../core/crawl/endpoints.ts";
import type { Conveyance } from "../../core/crawl/offload/conveyance.ts";
import { INCOMING_FOLDER, type Target } from "../../core/crawl/target.ts";
import type { DirectWay, Targets, TargetUse } from "../../core/crawl/targets.ts";
import { AppError } from "../../core/errors.ts";
import type { RecordsFolderOf } from "../../core/extract/extraction-store.ts";
import { ABSENT, ignoring } from "../storage/fs/errors.ts";
import { fsTarget } from "./fs-target.ts";
import { isWithin, pathOf } from "./open-endpoint.ts";

/** How targets of one scheme are judged and opened. All are given parsed URLs, and throw as {@link Targets} does. */
export interface TargetOpener {
  check(url: URL, use: TargetUse, principal: Principal): Promise<string> | string;
  open(url: URL, use: TargetUse): Promise<Target> | Target;
  /** Where it really is, without a slash at the end: what begins with it and a slash lies in it. */
  placeOf?(url: URL): Promise<string>;
  /** From another store of this scheme. */
  between?(source: URL, target: URL, way: DirectWay): Promise<Conveyance> | Conveyance;
}

/** @param openers of the schemes that this server can write to. */
export function openTargets(openers: Readonly<Partial<Record<EndpointScheme, TargetOpener>>>): Targets {
  function openerOf(text: string, use: TargetUse): readonly [TargetOpener, URL] {
    const scheme = schemeOf(text);
    if (!URL.canParse(text)) throw new AppError("request_invalid", { url: text, expected: "a URL" });
    const opener = openers[scheme];
    if (opener) return [opener, new URL(text)];
    const isOpenable = scheme === "s3" || scheme === "globus";
    const hint = isOpenable ? "LONGSHORE_OFFLOAD_STORES names no such store" : `nothing can be ${DONE[use]} there`;
    throw new AppError("endpoint_refused", { url: text, hint });
  }

  async function placeOf(text: string): Promise<string> {
    const place = await openers[schemeOf(text)]?.placeOf?.(new URL(text));
    return place ?? text.replace(/\/+$/, "");
  }

  return {
    async check(text, use, principal) {
      const [opener, url] = openerOf(text, use);
      return opener.check(url, use, principal);
    },
    async open(text, use) {
      const [opener, url] = openerOf(text, use);
      return opener.open(url, use);
    },
    async areApart(one, other) {
      if (schemeOf(one) !== schemeOf(other)) return true;
      const [first, second] = await Promise.all([placeOf(one), placeOf(other)]);
      return !isWithin(first, second) && !isWithin(second, first);
    },
    async between(source, target, way) {
      const scheme = schemeOf(source);
      if (scheme !== schemeOf(target)) return undefined;
      return openers[scheme]?.between?.(new URL(source), new URL(target), way);
    },
  };
}

const DONE: Readonly<Record<TargetUse, string>> = { write: "written", remove: "removed" };

export interface FolderTargetsParts {
  /** Below which files may be written, and removed. */
  readonly writable: readonly string[];
  /** Below which files may be removed as well. */
  readonly removable: readonly string[];
  /** Folders with files that belong to somebody. */
  owned(): Promise<readonly RecordsFolderOf[]>;
}

/**
 * Folders of this machine, which need not be there yet: below the roots when all links on the way are followed. Whoever is no
 * operator may remove from the writable ones what lies in a folder of their own, and from nowhere what is another's.
 */
export function folderTargets({ writable, removable, owned }: FolderTargetsParts): TargetOpener {
  const placesOf = (roots: readonly string[]) => Promise.all(roots.map((root) => resolvedPlace(resolve(root))));

  async function folderAt(url: URL, use: TargetUse): Promise<string> {
    const folder = await resolvedPlace(pathOf(url));
    if (folder.split("/").includes(INCOMING_FOLDER))
      throw new AppError("endpoint_refused", {
        url: url.href,
        hint: `${INCOMING_FOLDER} is a folder that Longshore works in`,
      });
    const roots = use === "write" ? writable : [...writable, ...removable];
    if ((await placesOf(roots)).some((root) => isWithin(root, folder))) return folder;
    const settings = use === "write" ? "LONGSHORE_RECORD_ROOTS" : "LONGSHORE_RECORD_ROOTS or LONGSHORE_MOVE_ROOTS";
    throw new AppError("endpoint_refused", {
      url: url.href,
      hint: `nothing may be ${DONE[use]} there: it is not below ${settings}`,
    });
  }

  async function requireOwn(folder: string, url: URL, { name }: Principal): Promise<void> {
    const meets = (place: string) => isWithin(place, folder) || isWithin(folder, place);
    const known = await owned();
    const places = await placesOf(known.map((one) => one.folder));
    const own = places.filter((_, at) => known[at]?.owner === name);
    const others = places.filter((_, at) => known[at]?.owner !== name);
    const isFree = own.some((place) => isWithin(place, folder)) || !(await placesOf(writable)).some(meets);
    if (isFree && !others.some(meets)) return;
    const hint = others.some(meets) ? "records of others lie there" : "no extraction of yours writes its records there";
    throw new AppError("endpoint_refused", { url: url.href, hint: `${hint}: an operator may move them` });
  }

  return {
    async check(url, use, principal) {
      const folder = await folderAt(url, use);
      if (use === "remove" && !hasScope(principal, "operate")) await requireOwn(folder, url, principal);
      return pathToFileURL(pathOf(url)).href;
    },
    open: async (url, use) => fsTarget({ root: await folderAt(url, use) }),
    placeOf: (url) => resolvedPlace(pathOf(url)),
  };
}

/** Without links, as far as it is there. */
async function resolvedPlace(path: string): Promise<string> {
  const found = await realpath(path).catch(ignoring(...ABSENT));
  if (found !== undefined) return found;
  const above = dirname(path);
  return above === path ? path : join(await resolvedPlace(above), basename(path));
}
