import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { AppError } from "../core/errors.ts";

/** A file that pages load. */
export interface Asset {
  readonly type: string;
  readonly bytes: Uint8Array;
}

export interface Assets {
  /** The address of a style or script of `client/`: another one when anything that pages load has changed. */
  addressOf(name: string): string;
  /**
   * @param version as in the address. @param path below `src`; modules import each other by it, with `.ts` or `.js`.
   * @throws AppError object_missing.
   */
  read(version: string, path: string): Promise<Asset & { readonly isCurrent: boolean }>;
}

/** From the sources, types are taken out of scripts here; `tsc` has done it in the published build. */
const IS_SOURCE = import.meta.url.endsWith(".ts");
const SCRIPTS = new URL("../", import.meta.url);
/** `tsc` copies no style: the published build reads the source's. */
const STYLES = IS_SOURCE ? SCRIPTS : new URL("../../../src/", import.meta.url);
const CLIENT = "web/client/";
/** What pages may load beside their own: the SDK, what it shares with core, and what scripts share with the pages' makers. */
const MODULE_FOLDERS = [CLIENT, "sdk/"];
const SHARED = ["web/amounts.js", "core/rate.js", "core/outbound/host-pace.js", "core/outbound/tries.js"];

/** Style and scripts of all pages. They lie below one version, so that what modules import is of the same one. */
export async function openAssets(prefix: string): Promise<Assets> {
  const style = await readFile(new URL(`${CLIENT}style.css`, STYLES));
  const sources = new Map<string, string>();
  for (const name of [...(await moduleNames()), ...SHARED])
    sources.set(name, await readFile(new URL(IS_SOURCE ? name.replace(/\.js$/, ".ts") : name, SCRIPTS), "utf8"));
  const digest = createHash("sha256").update(style);
  for (const [name, text] of sources) digest.update(`\0${name}\0${text}`);
  const current = digest.digest("base64url").slice(0, 12);
  const scripts = new Map<string, Uint8Array>();

  function script(name: string): Uint8Array {
    const known = scripts.get(name);
    const source = sources.get(name);
    if (known) return known;
    if (source === undefined) throw new AppError("object_missing", { path: name });
    const made = Buffer.from(IS_SOURCE ? withoutTypes(source) : source);
    scripts.set(name, made);
    return made;
  }

  return {
    addressOf: (name) => `${prefix}/assets/${current}/${CLIENT}${name}`,
    async read(version, path) {
      const isCurrent = version === current;
      if (path === `${CLIENT}style.css`) return { type: "text/css; charset=utf-8", bytes: style, isCurrent };
      const bytes = script(path.replace(/\.ts$/, ".js"));
      return { type: "text/javascript; charset=utf-8", bytes, isCurrent };
    },
  };
}

/** As browsers ask for them: `.js`. */
async function moduleNames(): Promise<readonly string[]> {
  const ending = IS_SOURCE ? /(?<!\.d)\.ts$/ : /\.js$/;
  const found = MODULE_FOLDERS.map(async (folder) => {
    const names = await readdir(new URL(folder, SCRIPTS), { recursive: true });
    return names.filter((name) => ending.test(name)).map((name) => `${folder}${name.replace(ending, ".js")}`);
  });
  return (await Promise.all(found)).flat().sort();
}

/** What Node runs our own sources with; it says once in each process that its interface may change. */
function withoutTypes(source: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(source).replaceAll(/[ \t]+$/gm, "");
  } finally {
    process.emitWarning = emitWarning;
  }
}
