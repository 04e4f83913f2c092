import { AppError } from "../../errors.ts";
import type { CartId } from "../../ids.ts";
import type { Cart, CartEntry, ReadyEntry } from "../cart.ts";
import type { CartStore } from "../cart-store.ts";
import { type Checkpoint, type Layout, type LayoutSpec, layoutKey, layoutPlanner } from "./layout.ts";

/**
 * Entries that are read at a time: every download holds so many. With 512 a download of 10,000 small files takes a fifth
 * more processor time, as they outlive the young generation; with 64 the queries take it (2026-11-22).
 */
const PAGE = 128;

/** What a caller may ask of a download. */
export type DownloadForm = Pick<LayoutSpec, "format" | "content"> & { readonly folder: string };

/** Folders of the names that Pacifica clients ask for: `data`, and `data_2026_01_31_23_59_59` when they ask for none. */
const DOOR_FOLDERS = ["data", "data_YYYY_MM_DD_HH_MM_SS"];

/** The layouts that are planned before a cart is ready; any other one is planned when it is asked for first. */
export function usualForms({ uid, name }: Pick<Cart, "uid" | "name">): readonly DownloadForm[] {
  if (uid !== null) return DOOR_FOLDERS.map((folder) => ({ format: "tar", content: "files", folder }));
  return (["tar", "zip"] as const).map((format) => ({ format, content: "manifest", folder: name }));
}

export function specOf(
  { algorithm, createdAt }: Pick<Cart, "algorithm" | "createdAt">,
  form: DownloadForm,
): LayoutSpec {
  return { ...form, algorithm, createdAt };
}

/** Learns several layouts in one pass. */
export interface Planning {
  /** In order. Memory: a checkpoint every now and then. */
  add(entry: ReadyEntry): void;
  /** Keeps what was learnt. @returns the layouts, in the order of the specs. */
  keep(store: CartStore, id: CartId): Promise<readonly Layout[]>;
}

export function planning(specs: readonly LayoutSpec[]): Planning {
  const plans = specs.map((spec) => ({
    key: layoutKey(spec),
    planner: layoutPlanner(spec),
    checkpoints: [] as Checkpoint[],
  }));
  return {
    add(entry) {
      for (const { planner, checkpoints } of plans) {
        const checkpoint = planner.add(entry);
        if (checkpoint) checkpoints.push(checkpoint);
      }
    },
    async keep(store, id) {
      const layouts: Layout[] = [];
      for (const { key, planner, checkpoints } of plans) {
        const layout = planner.finish();
        await store.addLayout(id, key, layout, checkpoints);
        layouts.push(layout);
      }
      return layouts;
    },
  };
}

/**
 * Plans layouts of a cart whose entries can all be laid out, in one pass over them, and keeps them.
 * @param passed told after each page how many entries it had; what it throws ends the pass.
 * @throws AppError cart_failed when there are fewer entries than the cart has files.
 */
export async function planLayouts(
  store: CartStore,
  cart: Cart,
  forms: readonly DownloadForm[] = usualForms(cart),
  passed: (entries: number) => void | Promise<void> = () => {},
): Promise<readonly Layout[]> {
  const plans = planning(forms.map((form) => specOf(cart, form)));
  let found = 0;
  for await (const page of readyEntries(store, cart.id, 0)) {
    for (const entry of page) plans.add(entry);
    found += page.length;
    await passed(page.length);
  }
  if (found !== cart.fileCount) throw new AppError("cart_failed", { expected: cart.fileCount, found });
  return plans.keep(store, cart.id);
}

/**
 * A cart's entries from `seq` on, in pages. Memory: one page.
 * @throws AppError cart_not_ready at an entry that has not been staged.
 */
export async function* readyEntries(
  store: CartStore,
  id: CartId,
  seq: number,
): AsyncGenerator<readonly ReadyEntry[], void> {
  for (let next = seq; ; ) {
    const page = await store.entries(id, next, PAGE);
    if (!page.every(isReady)) throw new AppError("cart_not_ready", { id });
    if (page.length > 0) yield page;
    if (page.length < PAGE) return;
    next += page.length;
  }
}

export function isReady<E extends CartEntry>(entry: E): entry is E & ReadyEntry {
  return entry.crc32 !== null && entry.digest !== null && entry.location.at !== "remote";
}
