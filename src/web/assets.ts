import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { AppError } from "../core/errors.ts";

/** A file that pages load. */
export interface Asset {
  readonly type: string;
  readonly bytes: Uint8Array;
}

export interface Assets {
  /** Its address: another one when its content is. */
  addressOf(name: string): string;
  /** @throws AppError object_missing. */
  read(name: string): Promise<Asset>;
}

/** Everything that may be loaded; scripts are named as they are imported, as `.js`. */
const STYLES = ["style.css"];
const SCRIPTS = ["app.js"];
const HERE = new URL("./client/", import.meta.url);
/** From the sources, types are taken out of scripts here; `tsc` has done it in the published build. */
const IS_SOURCE = import.meta.url.endsWith(".ts");
/** `tsc` copies no style: the published build reads the source's. */
const STYLE_FOLDER = IS_SOURCE ? HERE : new URL("../../../src/web/client/", import.meta.url);

/** The style and scripts of all pages, read once. */
export async function openAssets(prefix: string): Promise<Assets> {
  const files = new Map<string, Asset>();
  for (const name of STYLES)
    files.set(name, { type: "text/css; charset=utf-8", bytes: await readFile(new URL(name, STYLE_FOLDER)) });
  for (const name of SCRIPTS) files.set(name, { type: "text/javascript; charset=utf-8", bytes: await script(name) });
  const versions = new Map(
    [...files].map(([name, { bytes }]) => [name, createHash("sha256").update(bytes).digest("base64url").slice(0, 12)]),
  );
  return {
    addressOf: (name) => `${prefix}/assets/${name}?v=${versions.get(name) ?? ""}`,
    async read(name) {
      const found = files.get(name);
      if (!found) throw new AppError("object_missing", { path: name });
      return found;
    },
  };
}

async function script(name: string): Promise<Uint8Array> {
  if (!IS_SOURCE) return readFile(new URL(name, HERE));
  const source = await readFile(new URL(name.replace(/\.js$/, ".ts"), HERE), "utf8");
  return Buffer.from(withoutTypes(source));
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
