import type { Clock } from "../clock.ts";
import { type PackageId, packageId } from "../ids.ts";
import type { Package } from "./package.ts";
import type { PackageFiles } from "./package-files.ts";
import type { PackageStore } from "./package-store.ts";

export interface KeepingLimits {
  /** From when it is made on: so long it is given to new orders. */
  readonly freshMs: number;
  /** From when its requester is told on: so long a link works, and a package is kept. */
  readonly keepMs: number;
  /** Of all packages together. */
  readonly storeBytes: number;
}

export interface EvictionParts {
  readonly store: PackageStore;
  readonly files: PackageFiles;
  readonly clock: Clock;
  readonly keeping: KeepingLimits;
}

const PAGE = 100;
/** How long an order still tells what became of it, and the address of who ordered is kept. */
const FORGET_MS = 30 * 24 * 3_600_000;
/** A file that somebody points to by a link in the folder, such as the standing dump for GBIF, is looked at again then. */
const LINKED_MS = 24 * 3_600_000;
/** Whoever has published a file says so well within this. */
const STRAY_MS = 3_600_000;
/** As we name them; other files in the folder are nobody's business. */
const OURS = /^[0-9a-f]{32}-\d+-\d+\.zip$/;

/**
 * Removes packages that no link leads to any more, then the least recently used until the rest fits, then files that dead
 * processes have left. A row goes before its file: nobody is led to nothing.
 * @returns those that were removed.
 */
export async function evictPackages(
  { store, files, clock, keeping }: EvictionParts,
  signal: AbortSignal,
): Promise<readonly PackageId[]> {
  const evicted: PackageId[] = [];
  const linked = new Set<string>();
  for await (const fileName of files.linked()) linked.add(fileName);

  /** @returns false when it stays. */
  async function remove({ id, fileName }: Package, onlyDue: boolean): Promise<boolean> {
    const now = clock.now();
    if (fileName !== null && linked.has(fileName)) {
      await store.keep(id, now + LINKED_MS, now);
      return false;
    }
    if (!(await store.expire(id, now, onlyDue))) return false;
    if (fileName !== null) await files.remove(fileName);
    evicted.push(id);
    return true;
  }

  async function removeOld(): Promise<void> {
    for (let more = true; more && !signal.aborted; ) {
      const due = await store.due(clock.now(), PAGE);
      for (const one of due) await remove(one, true);
      more = due.length === PAGE;
    }
  }

  async function makeRoom(): Promise<void> {
    let bytes = await store.usedBytes();
    // Those that stay count as used now: when a page has no others, the next round sees further.
    for (let more = true; more && bytes > keeping.storeBytes && !signal.aborted; ) {
      more = false;
      for (const one of await store.leastUsed(PAGE)) {
        if (bytes <= keeping.storeBytes) break;
        if (!(await remove(one, false))) continue;
        bytes -= one.sizeBytes ?? 0;
        more = true;
      }
    }
  }

  /** Files whose process died before their row was written, or after it was changed. */
  async function removeStray(): Promise<void> {
    const before = clock.now() - Math.max(keeping.keepMs, STRAY_MS);
    for await (const { fileName, modifiedAt } of files.list()) {
      if (signal.aborted) return;
      const isOld = modifiedAt <= before;
      if (OURS.test(fileName) && isOld && !linked.has(fileName) && !(await store.holds(fileName)))
        await files.remove(fileName);
    }
  }

  for (const step of [removeOld, makeRoom, removeStray]) if (!signal.aborted) await step();
  for (let more = true; more && !signal.aborted; ) more = await store.forget(clock.now() - FORGET_MS);
  return evicted;
}

/** Removes workspaces of this node that no job will go on with: their package is made, elsewhere it may be, or given up. */
export async function removeLeftWork(
  { store, files }: Pick<EvictionParts, "store" | "files">,
  signal: AbortSignal,
): Promise<void> {
  for await (const name of files.workspaces()) {
    if (signal.aborted) return;
    const found = await store.package(packageId(name));
    if (found?.status !== "building") await (await files.workspace(name)).discard();
  }
}
