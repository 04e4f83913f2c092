import { randomBytes } from "node:crypto";
import type { Principal } from "../access/access.ts";
import { sizesOf } from "../archive/many-files.ts";
import type { ObjectStorage } from "../archive/object-storage.ts";
import type { PlacedFile } from "../catalogue/catalogue-store.ts";
import { modifiedMs } from "../catalogue/modified-time.ts";
import type { Clock } from "../clock.ts";
import type { DigestName } from "../digest.ts";
import { AppError, type Problem, problem } from "../errors.ts";
import { type CartId, cartId, type JobId } from "../ids.ts";
import { mapInOrder } from "../streams.ts";
import type { Cart } from "./cart.ts";
import { cartNames, safePart } from "./cart-names.ts";
import type { CartChange, CartStore, NewEntry } from "./cart-store.ts";
import type { CartRequest } from "./carts.ts";
import { type Choice, type ChoiceParts, choices } from "./choice.ts";
import { isReady, planning, specOf, usualForms } from "./layout/planning.ts";
import { type ProblemList, problemList, problemsError } from "./problem-list.ts";

/** Pages of choices that are looked up while an earlier one is entered. */
const PAGES_AHEAD = 2;
/** Requests to cold storage that are under way at a time. */
const STATES_AT_ONCE = 16;
/** How often a cart that is being entered says that it still is. */
const TOUCH_MS = 30_000;

export interface CreateParts extends ChoiceParts {
  readonly store: CartStore;
  readonly archive: { readonly storage: ObjectStorage; readonly algorithm: DigestName };
  readonly clock: Clock;
  /** Has a cart staged, once, however often it is asked. */
  submitStaging(cart: Cart): Promise<JobId>;
}

/**
 * See `Carts.create`. Until its last entry is in, the cart waits; should the process die, it is removed as one that waits
 * for nobody. Memory: a few pages, and what `cartNames` keeps. Of processor
 * time 10,000 files take 0.4 s, 200,000 take 6 s (SQLite, 22 November 2026).
 */
export async function createCart(parts: CreateParts, principal: Principal, request: CartRequest): Promise<Cart> {
  const { store, clock, archive } = parts;
  const cart = await store.create(
    {
      id: newCartId(),
      uid: request.uid ?? null,
      name: safePart(request.name ?? request.uid ?? "cart"),
      owner: principal.name,
      algorithm: archive.algorithm,
      expiresAt: request.expiresAt ?? null,
    },
    clock.now(),
  );
  try {
    return await enter(parts, principal, request, cart);
  } catch (error) {
    // Should that fail too, it goes with those that wait for nobody; what matters to the caller is the first error.
    await store.remove(cart.id).catch(() => undefined);
    throw error;
  }
}

/** Its first character is never a dash, which a command line would take for an option. */
function newCartId(): CartId {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return cartId(bytes.toString("base64url"));
}

async function enter(parts: CreateParts, principal: Principal, request: CartRequest, cart: Cart): Promise<Cart> {
  const { store, clock } = parts;
  const names = cartNames();
  const refused = problemList();
  const failed = problemList();
  const plans = planning(usualForms(cart).map((form) => specOf(cart, form)));
  const total = { fileCount: 0, sizeBytes: 0, stagedFiles: 0, stagedBytes: 0 };
  let touchedAt = clock.now();

  const located = mapInOrder(choices(parts, principal, request), PAGES_AHEAD, (page) => locate(parts, page));
  for await (const page of located) {
    const entries: NewEntry[] = [];
    for (const { choice, found } of page) {
      if ("refused" in choice) {
        refused.add(choice.refused);
        continue;
      }
      const path = names.choose(choice.path, "file" in choice ? String(choice.file.id) : `remote:${choice.remote}`);
      if (path === undefined) continue;
      const seq = total.fileCount + entries.length;
      const entry =
        "file" in choice
          ? archivedEntry({ ...choice, path, seq }, found, parts.archive.algorithm, failed)
          : remoteEntry({ ...choice, path, seq });
      entries.push(entry);
    }
    if (refused.count > 0) continue; // what else is wrong is still of interest
    await store.addEntries(cart.id, entries);
    for (const entry of entries) {
      total.fileCount++;
      total.sizeBytes += entry.sizeBytes;
      if (!isReady(entry) || entry.offline || entry.expected) continue;
      // Once one must be staged there is nothing to plan: staging does, when it is through.
      if (total.stagedFiles === entry.seq) plans.add(entry);
      total.stagedFiles++;
      total.stagedBytes += entry.sizeBytes;
    }
    if (clock.now() - touchedAt < TOUCH_MS) continue;
    touchedAt = clock.now();
    await change(parts, cart, total);
  }

  if (refused.count === 0 && total.fileCount === 0) refused.add(problem("cart_empty"));
  if (refused.count > 0 && cart.uid === null) throw problemsError("cart_refused", refused.count, refused.kept);
  const wrong = refused.count > 0 ? refused : failed;
  if (wrong.count > 0)
    return change(parts, cart, { ...total, status: "error", problems: wrong.kept, problemCount: wrong.count });
  if (total.stagedFiles < total.fileCount) return stage(parts, await change(parts, cart, total));
  await plans.keep(store, cart.id);
  return change(parts, cart, { ...total, status: "ready" });
}

/** @throws AppError cart_unknown when somebody has removed it. */
async function change({ store, clock }: CreateParts, { id }: Cart, fields: CartChange): Promise<Cart> {
  const changed = await store.update(id, ["waiting"], fields, clock.now());
  if (!changed) throw new AppError("cart_unknown", { id });
  return changed;
}

/**
 * The job first: should this process die before the cart says that it is being staged, the job makes it say so. And it may
 * be ahead of us.
 */
async function stage(parts: CreateParts, cart: Cart): Promise<Cart> {
  const { store, clock } = parts;
  const stageJob = await parts.submitStaging(cart);
  const staging = await store.update(cart.id, ["waiting"], { status: "staging", stageJob }, clock.now());
  const current = staging ?? (await store.get(cart.id));
  if (!current) throw new AppError("cart_unknown", { id: cart.id });
  return current;
}

/** A choice, with what the storage says of a file of ours. */
interface Located {
  readonly choice: Choice;
  readonly found: { readonly sizeBytes: number | undefined; readonly online: boolean };
}

async function locate({ archive }: CreateParts, page: readonly Choice[]): Promise<readonly Located[]> {
  const { storage } = archive;
  const paths = page.map((choice) => ("file" in choice ? pathOf(choice.file) : undefined));
  const sizes = await sizesOf(
    storage,
    paths.filter((path) => path !== undefined),
  );
  let next = 0;
  const sized = paths.map((path) => ({ path, sizeBytes: path === undefined ? undefined : sizes[next++] }));
  const states = mapInOrder(
    sized,
    STATES_AT_ONCE,
    async ({ path, sizeBytes }) =>
      path === undefined || sizeBytes === undefined || (await storage.restore?.state(path))?.online !== false,
  );
  const online = storage.restore ? await Array.fromAsync(states) : [];
  return page.map((choice, i) => ({ choice, found: { sizeBytes: sized[i]?.sizeBytes, online: online[i] ?? true } }));
}

const pathOf = ({ objectPath, contentPath }: PlacedFile) => `${objectPath}/${contentPath}`;

type Placed<C> = C & { readonly seq: number };

function archivedEntry(
  { file, path, digest, seq }: Placed<Extract<Choice, { readonly file: PlacedFile }>>,
  found: Located["found"],
  algorithm: DigestName,
  failed: ProblemList,
): NewEntry {
  const held = digest && file.digests[digest.algorithm];
  for (const wrong of mismatches(file, path, found.sizeBytes, digest, held)) failed.add(wrong);
  return {
    seq,
    path,
    sizeBytes: file.sizeBytes,
    modifiedAt: modifiedMs(file),
    crc32: file.crc32,
    digest: file.digests[algorithm] ?? null,
    fileId: file.id,
    transactionId: file.transactionId,
    location: { at: "archive", path: pathOf(file) },
    expected: digest && held === undefined ? digest : null,
    offline: !found.online,
  };
}

function* mismatches(
  file: PlacedFile,
  path: string,
  sizeBytes: number | undefined,
  digest: Extract<Choice, { readonly file: PlacedFile }>["digest"],
  held: string | undefined,
): Generator<Problem> {
  if (sizeBytes === undefined) yield problem("object_missing", { path });
  else if (sizeBytes !== file.sizeBytes)
    yield problem("object_corrupt", { path, expected: file.sizeBytes, found: sizeBytes });
  if (digest && held !== undefined && held !== digest.value)
    yield problem("digest_mismatch", {
      path,
      expected: `${digest.algorithm}:${digest.value}`,
      found: `${digest.algorithm}:${held}`,
    });
}

function remoteEntry({ remote, path, digest, seq }: Placed<Extract<Choice, { readonly remote: string }>>): NewEntry {
  return {
    seq,
    path,
    sizeBytes: 0,
    modifiedAt: null,
    crc32: null,
    digest: null,
    fileId: null,
    transactionId: null,
    location: { at: "remote", id: remote },
    expected: digest ?? null,
  };
}
