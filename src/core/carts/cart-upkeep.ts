import type { Clock } from "../clock.ts";
import type { Cart } from "./cart.ts";
import type { CartStore } from "./cart-store.ts";

const EVERY_MS = 60_000;
/** A cart that is being entered is touched far more often. */
const WAITING_MS = 10 * 60_000;
/** How long an expired cart still says that it was one. */
const EXPIRED_MS = 30 * 24 * 3_600_000;
const PAGE = 100;

export interface UpkeepParts {
  readonly store: CartStore;
  readonly clock: Clock;
  /** After its last use a cart without a time of its own expires. */
  readonly expiryMs: number;
  /** Told of what goes wrong; it is tried again with the next round. */
  onTrouble?(error: unknown, during: string): void;
}

export interface Upkeep {
  /** Resolves when the step that is under way is done. */
  stop(): Promise<void>;
}

/**
 * Every minute: lets carts expire, removes what nobody needs, and carries download counts over. Starts at once. Several
 * processes may do so side by side.
 */
export function startCartUpkeep({ store, clock, expiryMs, onTrouble }: UpkeepParts): Upkeep {
  const stopping = new AbortController();

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

  async function round(): Promise<void> {
    // In this order: what was counted must be carried over before the entries that say to what are deleted.
    for (const step of [settleDue, store.tally, store.sweep]) while (!stopping.signal.aborted && (await step()));
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      await round().catch((error: unknown) => onTrouble?.(error, "the upkeep of carts"));
      await clock.sleep(EVERY_MS, stopping.signal);
    }
  }

  const running = loop();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
