import type { Clock } from "../clock.ts";
import type { Cart } from "./cart.ts";
import type { CartStore } from "./cart-store.ts";

/** A cart that is being entered is touched far more often. */
const WAITING_MS = 10 * 60_000;
/** How long an expired cart still says that it was one. */
const EXPIRED_MS = 30 * 24 * 3_600_000;
const PAGE = 100;

export interface CartUpkeepParts {
  readonly store: CartStore;
  readonly clock: Clock;
  /** After its last use a cart without a time of its own expires. */
  readonly expiryMs: number;
}

/**
 * Lets carts expire, removes what nobody needs, and carries download counts over. Several processes may do so side by side.
 */
export async function tidyCarts({ store, clock, expiryMs }: CartUpkeepParts, signal: AbortSignal): Promise<void> {
  async function settleDue(): Promise<boolean> {
    const now = clock.now();
    const due = await store.due(
      { now, unusedSince: now - expiryMs, waitingSince: now - WAITING_MS, expiredSince: now - EXPIRED_MS },
      PAGE,
    );
    for (const cart of due) await settle(cart, now);
    return due.length === PAGE;
  }

  async function settle({ id, status }: Cart, now: number): Promise<void> {
    // By compare-and-set, as somebody may have come and used it.
    if (status === "waiting" || status === "expired") await store.remove(id);
    else await store.update(id, [status], { status: "expired" }, now);
  }

  // In this order: what was counted must be carried over before the entries that say to what are deleted.
  for (const step of [settleDue, store.tally, store.sweep]) while (!signal.aborted && (await step()));
}
