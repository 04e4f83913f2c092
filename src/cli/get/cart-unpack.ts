import { createHash } from "node:crypto";
import { closeSync, createReadStream, futimesSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type Cart, type FileProblem, LongshoreError } from "../../sdk/index.ts";
import { bytesText, countText, rateMeter, transferText } from "../amounts.ts";
import { type ArchiveBytes, archiveBytes, unexpected } from "../archive/archive-bytes.ts";
import { badFiles, digestProblem, nameBelow, requireWhole, topFolderOf } from "../archive/check-archive.ts";
import { type ManifestLine, manifestAlgorithm, manifestLines } from "../archive/manifest.ts";
import type { Member } from "../archive/member.ts";
import { foldedPath, isSafePart, isSafePath } from "../archive/member-path.ts";
import { tarMembers } from "../archive/tar-members.ts";
import { Interrupted } from "../failure.ts";
import type { Terminal } from "../terminal.ts";
import type { CartDownload } from "./cart-download.ts";
import { attempt, requireSpace } from "./local-write.ts";
import { type UnpackTarget, unpackTarget } from "./unpack-target.ts";
import { type KeptManifest, openWorkplace, type Workplace } from "./workplace.ts";

export interface Unpacking {
  readonly cart: Cart;
  /** Of its tar. */
  readonly download: CartDownload;
  readonly folder: string;
  /** Replace files that are there and are others. */
  readonly force: boolean;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/**
 * Unpacks a cart while it arrives. Each file is compared with its digest while it is written under a temporary name, and
 * moved to its own when it is right; what lies there already and is right is kept, and not received again unless it is
 * small. The manifest is put in place last.
 * @returns the folder with everything in it. @throws LongshoreError digest_mismatch with the list of files that were wrong,
 * remote_refused when the download is not what a server of ours makes; then nothing was written that came after.
 */
export async function unpackCart(unpacking: Unpacking): Promise<string> {
  const { cart, download, folder, terminal, signal } = unpacking;
  attempt(folder, (path) => mkdirSync(path, { recursive: true }));
  const { workplace, anew } = openWorkplace(folder, cart.id, download.etag);
  if (anew) terminal.note("  The cart's download has changed since; beginning anew, but for files that are right.");
  const archive = archiveBytes(download.sizeBytes, (from) => download.bytes(from, download.sizeBytes, signal));
  const seen: Seen = { here: [], files: 0, bytes: 0 };
  try {
    const members = tarMembers(archive);
    const manifest = workplace.manifest ?? (await receiveManifest(archive, members, workplace));
    const target = unpackTarget(folder);
    await look(unpacking, target, manifest, workplace, seen);
    requireSpace(folder, folder, cart.bytes - seen.bytes);
    const problems = await receiveFiles({ ...unpacking, archive, members, manifest, target, workplace, seen });
    if (problems.length > 0) throw badFiles(problems, cart, "The same command asks for them again.");
    requireWhole(cart, seen.files, seen.bytes);
    target.place(workplace.manifestPath, `${manifest.top}/${manifest.name}`);
  } catch (error) {
    // What does not fit together, be it that a power cut has lost a part of it, is of no use to another run.
    if (error instanceof LongshoreError && error.code === "remote_refused") workplace.remove();
    else workplace.close();
    if (error instanceof Interrupted)
      throw new Interrupted(
        `Interrupted: ${seen.files} of ${countText(cart.files, "file")} are here; the same command continues.`,
      );
    throw error;
  } finally {
    await archive.close();
  }
  const { top } = workplace.manifest ?? { top: "" };
  workplace.remove();
  return join(folder, top);
}

/** What is known to be in place and right. */
interface Seen {
  /** By number. */
  readonly here: boolean[];
  files: number;
  bytes: number;
}

/** Takes the archive's first member, and keeps it until the end. */
async function receiveManifest(
  archive: ArchiveBytes,
  members: AsyncGenerator<Member>,
  workplace: Workplace,
): Promise<KeptManifest> {
  const { value: member } = await members.next();
  if (!member) throw unexpected("it has no manifest", archive.position);
  const top = topFolderOf(member);
  const name = nameBelow(top, member);
  const isOurs = foldedPath(top) === foldedPath(workplace.name);
  if (!isSafePart(top) || isOurs || !manifestAlgorithm(name))
    throw unexpected(`it begins with ${member.path}`, member.startsAt);
  await write(member, workplace.manifestPath);
  const kept = { top, name, endsAt: member.endsAt };
  workplace.keep(kept);
  return kept;
}

const algorithmOf = ({ name }: KeptManifest) => manifestAlgorithm(name) ?? "";
const linesOf = ({ manifestPath }: Workplace) => manifestLines(bytesOf(manifestPath));

/** Opened with the first read, closed when the loop ends. */
async function* bytesOf(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  yield* createReadStream(path);
}

/**
 * Goes through the manifest before anything is written: every path must be one to write to, and what lies there already
 * must be right, or may be replaced. Memory: one path per file, 0.14 GB for a million, to notice those that a file system may
 * take for the same.
 */
async function look(
  { cart, force, terminal, signal }: Unpacking,
  target: UnpackTarget,
  manifest: KeptManifest,
  workplace: Workplace,
  seen: Seen,
): Promise<void> {
  const others: FileProblem[] = [];
  const paths = new Set<string>();
  const rate = rateMeter(() => performance.now());

  async function isRight(path: string, digest: string): Promise<boolean> {
    const there = target.look(path);
    if (there.found === "nothing") return false;
    if (there.found === "file" && (await target.digest(path, algorithmOf(manifest), signal)) === digest) {
      seen.bytes += there.sizeBytes;
      return true;
    }
    const what = there.found === "file" ? "another file of this name is there" : "something that is no file is there";
    others.push({ code: "usage", path, message: what });
    return false;
  }

  for await (const { path, digest } of linesOf(workplace)) {
    if (!path.startsWith("data/") || !isSafePath(path)) throw unexpected(`it has a file at ${path}`, 0);
    const folded = foldedPath(path);
    if (paths.has(folded)) throw unexpected(`it has two files at ${path}`, 0);
    paths.add(folded);
    const right = await isRight(`${manifest.top}/${path}`, digest);
    seen.here.push(right);
    if (right) seen.files++;
    terminal.progress(`  looking at what is here: ${transferText(seen.bytes, cart.bytes, rate.measure(seen.bytes))}`);
  }
  if (seen.files > 0)
    terminal.note(`  ${countText(seen.files, "file")}, ${bytesText(seen.bytes)}, are here already and right.`);
  if (others.length === 0 || force) return;
  throw new LongshoreError("usage", `${countText(others.length, "file")} would be replaced; --force does that.`, {
    details: { problems: others },
  });
}

interface Receiving extends Unpacking {
  readonly archive: ArchiveBytes;
  readonly members: AsyncGenerator<Member>;
  readonly manifest: KeptManifest;
  readonly target: UnpackTarget;
  readonly workplace: Workplace;
  readonly seen: Seen;
}

/** Receives what is not here, in the archive's order. @returns the files that were wrong. */
async function receiveFiles(receiving: Receiving): Promise<readonly FileProblem[]> {
  const { archive, cart, seen, terminal, workplace } = receiving;
  const { here } = seen;
  const problems: FileProblem[] = [];
  const rate = rateMeter(() => performance.now());
  const lines = linesOf(workplace);
  try {
    let file = 0;
    for (let wanted = here.indexOf(false); wanted >= 0; wanted = here.indexOf(false, file)) {
      const mark = workplace.nearest(wanted);
      if (mark.file >= file) await archive.seek(mark.offset);
      for (; file < mark.file; file++) await lines.next();
      // On the way to the one wanted, files are passed over by their headers; behind it, as long as they are wanted too.
      for (; file <= wanted || here[file] === false; file++) {
        const next = await nextFile(receiving, lines);
        if (!next) throw unexpected("it ends before its manifest does", archive.position);
        workplace.mark({ file, offset: next.member.startsAt });
        if (here[file]) continue;
        const problem = await receiveFile(receiving, next.member, next.line);
        if (problem) problems.push(problem);
        const far = transferText(seen.bytes, cart.bytes, rate.measure(seen.bytes));
        terminal.progress(`  ${far}, ${seen.files.toLocaleString("en")} of ${countText(cart.files, "file")}`);
      }
    }
    if (file === here.length) await nextFile(receiving, lines);
  } finally {
    await lines.return();
  }
  return problems;
}

/** The next member with its line; `undefined` where both end. */
async function nextFile(
  { archive, manifest, members }: Receiving,
  lines: AsyncGenerator<ManifestLine>,
): Promise<{ readonly member: Member; readonly line: ManifestLine } | undefined> {
  const { value: member } = await members.next();
  const { value: line } = await lines.next();
  if (!member && !line) return undefined;
  if (!member || !line) throw unexpected("its members are not those of its manifest", archive.position);
  if (nameBelow(manifest.top, member) !== line.path)
    throw unexpected(`its manifest has ${line.path} where ${member.path} is`, member.startsAt);
  return { member, line };
}

async function receiveFile(
  { manifest, target, workplace, seen }: Receiving,
  member: Member,
  { path, digest }: ManifestLine,
): Promise<FileProblem | undefined> {
  const temporary = join(workplace.path, "file");
  const algorithm = algorithmOf(manifest);
  const found = await write(member, temporary, algorithm);
  if (found !== digest) return digestProblem(path, algorithm, digest, found);
  target.place(temporary, `${manifest.top}/${path}`);
  seen.files++;
  seen.bytes += member.sizeBytes;
  return undefined;
}

/**
 * Writes a member to a file of its own. Synchronously: nobody else waits for this process, and for small files, four calls
 * are far quicker than four turns of the event loop. @returns the digest of what was written.
 */
async function write({ bytes, modifiedAt }: Member, path: string, algorithm = "sha256"): Promise<string> {
  const hash = createHash(algorithm);
  rmSync(path, { force: true });
  const file = attempt(path, () => openSync(path, "wx"));
  try {
    for await (const chunk of bytes()) {
      hash.update(chunk);
      for (let at = 0; at < chunk.length; ) at += attempt(path, () => writeSync(file, chunk, at));
    }
    // As a date: a number before 1970 Node takes for "now".
    if (modifiedAt !== undefined) futimesSync(file, new Date(modifiedAt), new Date(modifiedAt));
  } finally {
    closeSync(file);
  }
  return hash.digest("hex");
}
