import type { Clock } from "../../clock.ts";
import { AppError, type Code, type Problem, problem } from "../../errors.ts";
import type { JobContext } from "../../jobs/worker.ts";
import type { Cart, CartEntry } from "../cart.ts";
import type { CartChange, CartStore } from "../cart-store.ts";
import { type ProblemList, problemList } from "../problem-list.ts";

const PAGE = 500;
/** How often a cart shows how far its staging is. */
const SHOW_EVERY_MS = 1_000;

/** What is wrong with one file: its cart goes on with the others. Anything else ends the run. */
const FILE_CODES: readonly Code[] = [
  "file_unknown",
  "file_size_mismatch",
  "digest_mismatch",
  "object_missing",
  "object_corrupt",
  "remote_refused",
  "remote_unavailable",
  "staging_full",
];

export type Facts = Parameters<CartStore["staged"]>[2];

/** One run of a stage job: what is left to do, and what has become of the rest. */
export interface StagingRun {
  readonly cart: Cart;
  readonly tasks: JobContext["tasks"];
  /** The job's; it aborts as well when the cart is removed. */
  readonly signal: AbortSignal;
  /** Entries to be dealt with still, in order, without those that have failed. Memory: a page. */
  left(): AsyncGenerator<CartEntry>;
  staged(entry: CartEntry, facts: Facts): Promise<void>;
  /** @throws `error`, unless it is about this file alone. */
  failed(entry: CartEntry, error: unknown): void;
  /** Shows on the cart how far it is, and more. @throws AppError cart_unknown when the cart was removed meanwhile. */
  show(change?: Omit<CartChange, "status">): Promise<void>;
  /** Shows now and then how far it is while `work` goes on. */
  showing<T>(work: () => Promise<T>): Promise<T>;
  /** What is wrong with those that have failed. */
  readonly problems: Pick<ProblemList, "count" | "kept">;
}

/** @param progress files that need no staging, or had it in an earlier run. */
export function stagingRun(
  carts: CartStore,
  clock: Clock,
  cart: Cart,
  { tasks, signal: asked }: Pick<JobContext, "tasks" | "signal">,
  progress: Pick<Cart, "stagedFiles" | "stagedBytes">,
): StagingRun {
  const problems = problemList();
  const failed = new Set<CartEntry["seq"]>();
  let { stagedFiles, stagedBytes } = progress;
  let isShown = true;
  const unshown = new AbortController();
  const signal = AbortSignal.any([asked, unshown.signal]);

  async function show(change: CartChange = {}): Promise<void> {
    isShown = true;
    const shown = await carts.update(cart.id, ["staging"], { stagedFiles, stagedBytes, ...change }, clock.now());
    if (!shown) throw new AppError("cart_unknown", { id: cart.id });
  }

  async function showUntil(over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      await clock.sleep(SHOW_EVERY_MS, over);
      if (!isShown) await show();
    }
  }

  return {
    cart,
    tasks,
    signal,
    show,

    async showing(work) {
      const over = new AbortController();
      const shown = showUntil(over.signal).catch((error: unknown) => unshown.abort(error));
      try {
        return await work();
      } finally {
        over.abort();
        await shown;
      }
    },

    async *left() {
      for (let seq = 0; ; ) {
        const page = await carts.unstaged(cart.id, seq, PAGE);
        for (const entry of page) {
          signal.throwIfAborted();
          if (!failed.has(entry.seq)) yield entry;
        }
        const last = page.at(-1);
        if (!last || page.length < PAGE) return;
        seq = last.seq + 1;
      }
    },

    async staged(entry, facts) {
      await carts.staged(cart.id, entry.seq, facts);
      stagedFiles += 1;
      stagedBytes += facts.sizeBytes;
      isShown = false;
    },

    failed({ seq, path }, error) {
      signal.throwIfAborted();
      if (!(error instanceof AppError && FILE_CODES.includes(error.code))) throw error;
      failed.add(seq);
      problems.add(problemOf(error, path));
    },

    problems,
  };
}

/** The error's own words, with the path that the file has in the cart. */
function problemOf({ code, details }: AppError, path: string): Problem {
  const { expected, found = details.reason ?? details.id, hint } = details;
  return problem(code, {
    path,
    ...(isPlain(expected) && { expected }),
    ...(isPlain(found) && { found }),
    ...(typeof hint === "string" && { hint }),
  });
}

function isPlain(value: unknown): value is string | number {
  return typeof value === "string" || typeof value === "number";
}
