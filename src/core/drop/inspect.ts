import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { type DigestName, factsOfStream } from "../digest.ts";
import { AppError, type Problem, problem } from "../errors.ts";
import { refusal } from "../ingest/refusal.ts";
import { type BagFiles, readBag } from "./bag.ts";
import { type Checksum, checksumAlgorithm, readChecksums } from "./checksum-file.ts";
import { type Drop, type DropEntry, type DropFiles, isPlainName } from "./drop.ts";

/** A delivered file whose bytes have been read once. */
export interface InspectedFile {
  /** Relative to the drop folder. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedAt: number;
  /** What its sender says where they say anything, else what was read. */
  readonly digest: { readonly algorithm: DigestName; readonly value: string };
}

/** A tag file or list of checksums is read as a whole. */
const MOST_TEXT_BYTES = 256 * 1024 ** 2;
/** The strongest first. */
const STRENGTH: readonly DigestName[] = ["sha512", "sha384", "sha256", "sha224", "sha1", "md5"];

/** Names, sizes and times of entries and of all that is in them. @throws AppError drop_unreadable. */
export async function everything(
  files: DropFiles,
  folder: string,
  entries: readonly DropEntry[],
): Promise<readonly DropEntry[]> {
  const found: DropEntry[] = [];
  for (const entry of entries) for await (const each of files.walk(folder, entry)) found.push(each);
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Differs when anything was added, taken away, written to or exchanged. A folder's own time follows from what is in it. */
export function fingerprint(entries: readonly DropEntry[]): string {
  const hash = createHash("sha256");
  for (const { path, kind, sizeBytes, modified } of entries)
    hash.update(JSON.stringify(kind === "folder" ? [path, kind] : [path, kind, sizeBytes, modified]));
  return hash.digest("hex");
}

/**
 * Reads every file of a delivery once and compares it with what its sender says: a bag's manifests, or lists of checksums.
 * @throws AppError with every problem there is.
 */
export async function inspect(
  drop: Drop,
  name: string,
  entries: readonly DropEntry[],
  files: DropFiles,
  algorithm: DigestName,
  { signal, onFile }: { readonly signal: AbortSignal; onFile(sizeBytes: number): void },
): Promise<readonly InspectedFile[]> {
  const problems = entries.flatMap(oddity);
  const regular = entries.filter(({ kind }) => kind === "file");
  if (problems.length > 0) throw refusal(problems);
  if (regular.length === 0) throw new AppError("bundle_empty", { path: name });

  const said = await expectations(drop, name, entries, files);
  problems.push(...said.problems);
  const byPath = Map.groupBy(said.checksums, ({ path }) => path);
  const inspected: InspectedFile[] = [];
  for (const { path, modifiedAt } of regular) {
    signal.throwIfAborted();
    const expected = byPath.get(path) ?? [];
    const algorithms = [...new Set([algorithm, ...expected.map((one) => one.algorithm)])];
    const { sizeBytes, digests } = await factsOfStream(files.open(drop.folder, path), algorithms, signal);
    for (const { algorithm: each, value } of expected)
      if (digests[each] !== value)
        problems.push(
          problem("delivery_mismatch", { path, expected: `${each}:${value}`, found: `${each}:${digests[each]}` }),
        );
    const declared = STRENGTH.flatMap((each) => expected.find((one) => one.algorithm === each) ?? [])[0];
    const digest = declared ?? { algorithm, value: digests[algorithm] ?? "" };
    inspected.push({ path, sizeBytes, modifiedAt, digest: { algorithm: digest.algorithm, value: digest.value } });
    onFile(sizeBytes);
  }
  if (problems.length > 0) throw refusal(problems);
  return inspected;
}

function oddity({ path, kind }: DropEntry): readonly Problem[] {
  if (!isPlainName(path)) return [problem("bundle_name_encoding", { path })];
  return kind === "other" ? [problem("source_unsuitable", { path, hint: "it is a link or a special file" })] : [];
}

/** What the sender says of the files, by paths relative to the drop folder. */
async function expectations(
  drop: Drop,
  name: string,
  entries: readonly DropEntry[],
  files: DropFiles,
): Promise<{ readonly checksums: readonly Checksum[]; readonly problems: readonly Problem[] }> {
  const paths = new Set(entries.map(({ path }) => path));
  const isBag = paths.has(`${name}/bagit.txt`);
  if (drop.bag === "required" && !isBag)
    return { checksums: [], problems: [problem("bag_invalid", { path: name, expected: "a folder with bagit.txt" })] };
  if (drop.bag !== "none" && isBag) {
    const { checksums, problems } = await readBag(bagFiles(name, drop.folder, entries, files));
    const outside = <T extends { readonly path?: string }>(one: T) => ({ ...one, path: `${name}/${one.path ?? ""}` });
    return { checksums: checksums.map(outside), problems: problems.map(outside) };
  }
  return drop.manifest === "none"
    ? { checksums: [], problems: [] }
    : listedChecksums(drop, entries, files, drop.manifest === "required");
}

/** Checksum files beside a delivered file, or at the top of a delivered folder. */
async function listedChecksums(
  { folder }: Drop,
  entries: readonly DropEntry[],
  files: DropFiles,
  isRequired: boolean,
): Promise<{ readonly checksums: readonly Checksum[]; readonly problems: readonly Problem[] }> {
  const problems: Problem[] = [];
  const checksums: Checksum[] = [];
  const regular = entries.filter(({ kind }) => kind === "file");
  const known = new Set(regular.map(({ path }) => path));
  const lists = new Set<string>();
  for (const { path } of regular) {
    const algorithm = path.split("/").length <= 2 ? checksumAlgorithm(path.split("/").at(-1) ?? "") : undefined;
    if (!algorithm) continue;
    lists.add(path);
    const base = path.slice(0, path.lastIndexOf("/") + 1);
    const { checksums: found, bad } = readChecksums(await textOf(files, folder, path, "checksums_invalid"), algorithm);
    for (const { line, expected } of bad)
      problems.push(problem("checksums_invalid", { path: `${path}, line ${line}`, expected }));
    for (const one of found) {
      const about = `${base}${one.path}`;
      if (known.has(about)) checksums.push({ ...one, path: about });
      else problems.push(problem("delivery_incomplete", { path: about }));
    }
  }
  const covered = new Set(checksums.map(({ path }) => path));
  if (isRequired)
    for (const { path } of regular)
      if (!covered.has(path) && !lists.has(path)) problems.push(problem("delivery_unlisted", { path }));
  return { checksums, problems };
}

function bagFiles(name: string, folder: string, entries: readonly DropEntry[], files: DropFiles): BagFiles {
  const inside = entries.filter(({ path }) => path.startsWith(`${name}/`));
  const relative = (path: string) => path.slice(name.length + 1);
  return {
    sizes: new Map(
      inside.flatMap(({ path, kind, sizeBytes }) => (kind === "file" ? [[relative(path), sizeBytes]] : [])),
    ),
    folders: new Set(inside.flatMap(({ path, kind }) => (kind === "folder" ? [relative(path)] : []))),
    text: (path) => textOf(files, folder, `${name}/${path}`, "bag_invalid"),
  };
}

/** @throws AppError `code` when it is too large, or not UTF-8. */
async function textOf(
  files: DropFiles,
  folder: string,
  path: string,
  code: "bag_invalid" | "checksums_invalid",
): Promise<string> {
  async function* bounded(): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    for await (const chunk of files.open(folder, path)) {
      bytes += chunk.length;
      if (bytes > MOST_TEXT_BYTES) throw new AppError(code, { path, expected: `at most ${MOST_TEXT_BYTES} bytes` });
      yield chunk;
    }
  }
  const bytes = await buffer(bounded());
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new AppError(code, { path, expected: "UTF-8" }, { cause });
  }
}
