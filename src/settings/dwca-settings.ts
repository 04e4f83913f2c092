import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { AppError } from "../core/errors.ts";
import { readExtension } from "../core/packages/dwca/extension-file.ts";
import { BUILT_IN, type Extension } from "../core/packages/dwca/extensions.ts";
import { type DwcaSettings, readMedia } from "../core/packages/dwca/settings.ts";
import type { Config } from "./config.ts";

/** Reads what the settings name, once, at start. @throws AppError dwca_invalid, saying which file and why. */
export async function dwcaSettings({ dwca }: Pick<Config, "dwca">): Promise<DwcaSettings> {
  const core = await extension(dwca.core);
  const extensions = await Promise.all(dwca.extensions.map(extension));
  const known = [core, ...extensions];
  const twice = known.find((one, at) => known.findIndex(({ name }) => name === one.name) !== at);
  if (twice) throw new AppError("dwca_invalid", { expected: "each extension once", found: `${twice.name} twice` });
  if (!core.terms.has(dwca.dynamicTerm))
    throw new AppError("dwca_invalid", { expected: `a term of ${core.name}`, found: dwca.dynamicTerm });
  const media = dwca.mediaFile === undefined ? new Map() : readMedia(await text(dwca.mediaFile), dwca.mediaFile, known);
  return { core, extensions, media, idField: dwca.idField, dynamicTerm: dwca.dynamicTerm };
}

async function extension(nameOrPath: string): Promise<Extension> {
  if (Object.hasOwn(BUILT_IN, nameOrPath)) return BUILT_IN[nameOrPath] as Extension;
  return readExtension(await text(resolve(nameOrPath)), nameOrPath);
}

async function text(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const expected = `one of ${Object.keys(BUILT_IN).join(", ")}, or a file that can be read`;
    throw new AppError("dwca_invalid", { path, expected }, { cause });
  }
}
