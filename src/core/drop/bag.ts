import { type DigestName, digestLength, digestName } from "../digest.ts";
import { type Problem, problem } from "../errors.ts";
import type { Checksum } from "./checksum-file.ts";

/** A bag as it lies there: sizes by path, relative to the bag, and how to read one of its tag files. */
export interface BagFiles {
  readonly sizes: ReadonlyMap<string, number>;
  readonly folders: ReadonlySet<string>;
  /** @throws AppError bag_invalid when it is too large or not UTF-8. */
  text(path: string): Promise<string>;
}

const DECLARATION = "bagit.txt";
const MANIFEST = /^(tag)?manifest-([A-Za-z0-9-]+)\.txt$/;

/**
 * Reads a bag's declaration and manifests (RFC 8493; the drafts 0.93 to 0.97 alike) and compares them with what is there. A
 * bag is valid when nothing is objected to here and every file has the checksums returned.
 */
export async function readBag(files: BagFiles): Promise<{
  readonly checksums: readonly Checksum[];
  readonly problems: readonly Problem[];
}> {
  const problems: Problem[] = [];
  const object = (path: string, expected: string, found?: string | number) =>
    problems.push(problem("bag_invalid", { path, expected, ...(found === undefined ? {} : { found }) }));

  const version = await declaredVersion(files, object);
  if (version === undefined) return { checksums: [], problems };
  if (!files.folders.has("data")) object("data", "a folder for the payload (RFC 8493, section 2.1.2)");

  const payload = [...files.sizes.keys()].filter((path) => path.startsWith("data/"));
  const byName = new Map([...files.sizes.keys()].map((path) => [path.normalize("NFC"), path]));
  const checksums: Checksum[] = [];
  const listedBy = new Map<string, Set<string>>();
  for (const manifest of files.sizes.keys()) {
    const [, tag, spelling = ""] = MANIFEST.exec(manifest) ?? [];
    const algorithm = digestName(spelling);
    if (!algorithm) continue;
    const listed = new Set<string>();
    for (const [index, raw] of (await files.text(manifest)).split(/\r\n|\n|\r/).entries()) {
      if (raw.trim() === "") continue;
      const at = `${manifest}, line ${index + 1}`;
      const line = entryOf(raw, algorithm, version);
      if (!line) object(at, `${digestLength(algorithm)} hex digits and a path`);
      else if (isUnsafe(line.path)) object(at, "a path inside of the bag", line.path);
      else if (!tag && !line.path.startsWith("data/")) object(at, "a path in data/", line.path);
      else {
        const path = files.sizes.has(line.path) ? line.path : (byName.get(line.path.normalize("NFC")) ?? line.path);
        if (listed.has(path)) object(at, "each path once", path);
        else if (!files.sizes.has(path)) problems.push(problem("delivery_incomplete", { path }));
        else checksums.push({ ...line, path });
        listed.add(path);
      }
    }
    if (!tag) listedBy.set(manifest, listed);
  }

  if (listedBy.size === 0) object("manifest-sha512.txt", "a payload manifest of an algorithm that Longshore knows");
  for (const path of payload) {
    const missing = [...listedBy].filter(([, listed]) => !listed.has(path)).map(([manifest]) => manifest);
    // Before version 1.0, one manifest was enough.
    if (missing.length > 0 && (version >= 1 || missing.length === listedBy.size))
      problems.push(problem("delivery_unlisted", { path, expected: missing.join(", ") }));
  }
  await comparePayload(files, payload, object);
  await compareFetched(files, problems);
  return { checksums, problems };
}

type Object_ = (path: string, expected: string, found?: string | number) => void;

/** Section 2.1.1. */
async function declaredVersion(files: BagFiles, object: Object_): Promise<number | undefined> {
  const text = await files.text(DECLARATION);
  const [, version, encoding] =
    /^BagIt-Version: (\d+\.\d+)(?:\r\n|\n|\r)Tag-File-Character-Encoding: (\S+)\s*$/.exec(text) ?? [];
  if (version === undefined || encoding === undefined) {
    object(DECLARATION, "the lines BagIt-Version and Tag-File-Character-Encoding, and nothing else");
    return undefined;
  }
  if (!/^utf-?8$/i.test(encoding)) object(DECLARATION, "UTF-8", encoding);
  if (Number(version) > 1) object(DECLARATION, "version 1.0 or earlier", version);
  return Number(version);
}

/** Section 2.1.3. Line ends in paths are percent-encoded; so are percent signs, from version 1.0 on. */
function entryOf(line: string, algorithm: DigestName, version: number): Checksum | undefined {
  const [, digits = "", name = ""] = /^([0-9A-Fa-f]+)[ \t]+\*?(.+)$/.exec(line) ?? [];
  if (digits.length !== digestLength(algorithm)) return undefined;
  const plain = name.replace(/^\.\//, "");
  const path = plain.replace(version >= 1 ? /%(0A|0D|25)/gi : /%(0A|0D)/gi, (code) => decodeURIComponent(code));
  return { path, algorithm, value: digits.toLowerCase() };
}

const isUnsafe = (path: string): boolean =>
  /^[/\\~]|^[A-Za-z]:[\\/]/.test(path) || path.split("/").some((part) => part === ".." || part === "");

/** Payload-Oxum, section 2.2.2: how many bytes and how many files. */
async function comparePayload(files: BagFiles, payload: readonly string[], object: Object_): Promise<void> {
  if (!files.sizes.has("bag-info.txt")) return;
  const [, expected] = /^Payload-Oxum[ \t]*:[ \t]*(\S+)[ \t]*$/im.exec(await files.text("bag-info.txt")) ?? [];
  if (expected === undefined) return;
  const bytes = payload.reduce((sum, path) => sum + (files.sizes.get(path) ?? 0), 0);
  const found = `${bytes}.${payload.length}`;
  if (found !== expected) object("bag-info.txt", `Payload-Oxum ${expected}`, found);
}

/** Section 2.2.3: what is to be fetched has to be fetched before the bag is delivered. */
async function compareFetched(files: BagFiles, problems: Problem[]): Promise<void> {
  if (!files.sizes.has("fetch.txt")) return;
  for (const line of (await files.text("fetch.txt")).split(/\r\n|\n|\r/)) {
    const [, path] = /^\S+[ \t]+(?:\d+|-)[ \t]+(.+)$/.exec(line) ?? [];
    const isListed = problems.some((one) => one.code === "delivery_incomplete" && one.path === path);
    if (path !== undefined && !files.sizes.has(path) && !isListed)
      problems.push(problem("delivery_incomplete", { path, hint: "fetch.txt lists it: fetch it before delivery" }));
  }
}
