import { readFileSync } from "node:fs";

/** The package's folder lies above the sources (src) and the build (dist/src). */
export const PACKAGE_ROOT = new URL(import.meta.url.endsWith(".ts") ? "../" : "../../", import.meta.url);

/** Of Longshore, as its package says. */
export const VERSION: string = JSON.parse(readFileSync(new URL("package.json", PACKAGE_ROOT), "utf8")).version;

/** Longshore as it names itself to others and in its records: name/version. */
export const SOFTWARE = `Longshore/${VERSION}`;
