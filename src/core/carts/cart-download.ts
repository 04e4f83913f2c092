import { type Clock, isoTime } from "../clock.ts";
import { AppError, errorRecord, type Problem, problem } from "../errors.ts";
import type { CartId } from "../ids.ts";
import { type Cart, PROBLEMS_KEPT } from "./cart.ts";
import { safePart } from "./cart-names.ts";
import type { CartStore } from "./cart-store.ts";
import type { Download } from "./carts.ts";
import { assemble, type Locate } from "./layout/assemble.ts";
import { type EntrySource, etagOf, type Layout, layoutKey } from "./layout/layout.ts";
import { type DownloadForm, planLayouts, readyEntries, specOf } from "./layout/planning.ts";
import { manifestText, pieces } from "./layout/virtual-archive.ts";
import type { WindowBudget } from "./layout/window-budget.ts";
import { problemsError } from "./problem-list.ts";

/** `lastUsedAt` is for people and for expiry: once a minute is enough, and saves a write per range. */
const TOUCH_EVERY_MS = 60_000;

const MEDIA_TYPES = { tar: "application/x-tar", zip: "application/zip" } as const;

export interface DownloadParts {
  readonly store: CartStore;
  readonly clock: Clock;
  readonly staging: {
    readonly read: Locate;
    /** Protects copies in the staging cache from being dropped. */
    touch(keys: readonly string[], now: number): Promise<unknown>;
  };
  readonly budget: WindowBudget;
}

export interface CartDownloads {
  /** See `Carts.download`. */
  download(cart: Cart, form: DownloadForm): Promise<Download>;
  /** See `Carts.manifest`. */
  manifest(cart: Cart): AsyncIterable<Uint8Array>;
}

export function cartDownloads({ store, clock, staging, budget }: DownloadParts): CartDownloads {
  /** Layouts that are being planned: one pass over a cart serves everybody who asks meanwhile. */
  const planned = new Map<string, Promise<Layout>>();

  async function layoutOf(cart: Cart, form: DownloadForm): Promise<Layout> {
    const key = layoutKey(specOf(cart, form));
    const kept = await store.layout(cart.id, key);
    if (kept) return kept;
    const task = `${cart.id} ${key}`;
    const plan =
      planned.get(task) ??
      planLayouts(store, cart, [form])
        .then(([layout]) => layout ?? missing(cart.id))
        .finally(() => planned.delete(task));
    planned.set(task, plan);
    return plan;
  }

  function sourceOf({ id }: Cart, key: string): EntrySource {
    return {
      checkpoint: (region, offset) => store.checkpoint(id, key, region, offset),
      async *from(seq) {
        for await (const page of readyEntries(store, id, seq)) {
          const copies = page.flatMap(({ location }) => (location.at === "staged" ? [location.key] : []));
          if (copies.length > 0) await ifThereIsRoom(staging.touch(copies, clock.now()));
          yield page;
        }
      },
    };
  }

  async function touch({ id, lastUsedAt }: Cart): Promise<void> {
    const now = clock.now();
    if (lastUsedAt === null || now - lastUsedAt >= TOUCH_EVERY_MS)
      await ifThereIsRoom(store.update(id, ["ready"], { lastUsedAt: now }, now));
  }

  /** Shows what went wrong on the cart; the same thing once. */
  async function note(id: CartId, error: unknown): Promise<void> {
    const cart = await store.get(id);
    const wrong = problemOf(error);
    if (!cart || cart.problems.some(({ code, path }) => code === wrong.code && path === wrong.path)) return;
    const problems = [...cart.problems, wrong].slice(0, PROBLEMS_KEPT);
    await store.update(id, ["ready"], { problems, problemCount: cart.problemCount + 1 }, clock.now());
  }

  return {
    async download(cart, form) {
      requireReady(cart);
      const folder = safePart(form.folder);
      const spec = specOf(cart, { ...form, folder });
      const layout = await layoutOf(cart, { ...form, folder });
      const source = sourceOf(cart, layoutKey(spec));
      return {
        sizeBytes: layout.sizeBytes,
        etag: etagOf(spec, layout),
        modifiedAt: cart.createdAt,
        fileName: `${folder}.${form.format}`,
        mediaType: MEDIA_TYPES[form.format],
        async *read(range, signal) {
          try {
            await touch(cart);
            const parts = pieces(spec, layout, range, source);
            for await (const window of assemble(parts, staging.read, { budget, signal })) yield window;
          } catch (error) {
            // What the reader must hear of is why the download breaks, not that it could not be noted.
            if (!signal.aborted) await note(cart.id, error).catch(() => undefined);
            throw error;
          }
        },
      };
    },

    manifest(cart) {
      requireReady(cart);
      return manifestText("manifest", { from: (seq) => readyEntries(store, cart.id, seq) });
    },
  };
}

/** For notes of what is used: a full disk keeps nobody from reading what lies on it, and the use goes unnoted. */
export async function ifThereIsRoom(note: Promise<unknown>): Promise<void> {
  await note.catch((error: unknown) => {
    const isFull = error instanceof AppError && error.code === "storage_full";
    if (!isFull) throw error;
  });
}

/** @throws AppError cart_not_ready, cart_failed, cart_expired. */
function requireReady({ id, status, expiresAt, problems, problemCount, readyAt }: Cart): void {
  if (status === "ready") return;
  if (status === "error") throw problemsError("cart_failed", problemCount, problems);
  if (status === "expired") {
    // Before its time, when a copy that it needs was dropped.
    const dropped = problems.find(({ code }) => code === "cart_expired");
    throw new AppError("cart_expired", {
      id,
      ...(dropped ? { reason: dropped.message } : { expiresAt: timeOf(expiresAt) }),
    });
  }
  throw new AppError("cart_not_ready", { id, status, readyAt: timeOf(readyAt) });
}

const timeOf = (epochMs: number | null) => epochMs && isoTime(epochMs);

function missing(id: CartId): never {
  throw new AppError("internal", { id, reason: "a layout was planned, and there is none" });
}

/** What a reader of the cart needs to know of an error that broke a download. */
function problemOf(error: unknown): Problem {
  const { code, details } = errorRecord(error);
  const { path, expected, found } = details;
  return problem(code, {
    ...(typeof path === "string" && { path }),
    ...(isFact(expected) && { expected }),
    ...(isFact(found) && { found }),
  });
}

function isFact(value: unknown): value is string | number {
  return typeof value === "string" || typeof value === "number";
}
