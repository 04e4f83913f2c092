import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Duty, LeaseStore } from "./leases.ts";

/** How long the duties of a node that died rest, beside {@link LOOK_MS}. */
const LEASE_MS = 15_000;
const RENEW_MS = LEASE_MS / 3;
/** How long after it was last granted a duty counts as had. */
const KEPT_MS = RENEW_MS * 2;
/** How often those that have no duty ask for it: a node that stops in good order is followed within that time. */
const LOOK_MS = 1_000;

/** What is done by whoever has the duty: begun when it is had, and over soon after the signal aborts. */
export type DutyWork = (signal: AbortSignal) => Promise<unknown>;

export interface Leading {
  /** Whether the work is being done here. */
  isLeading(): boolean;
  /** Ends the work, then hands the duty over at once. */
  stop(): Promise<void>;
}

export interface Leadership {
  /**
   * Does the work whenever this node has the duty, until it is stopped; whatever ends otherwise is told, and done again by
   * whoever is next, be it this node.
   *
   * The signal aborts before another node can have the duty, a third of the lease earlier, for the work to come to an end.
   * One thing is stronger: a process that was halted as a whole (a suspended machine) learns of it when it goes on. So two may be
   * at work for a moment, and what they do must bear it: a lease saves work, compare-and-set guards it.
   */
  lead(duty: Duty, work: DutyWork): Leading;
}

export interface LeadershipParts {
  readonly leases: LeaseStore;
  /** This node's name: no other process has it, nor had. */
  readonly node: string;
  readonly clock: Clock;
  /** Told when the work ended by itself, and when the duty cannot be asked for. */
  onTrouble?(error: unknown, during: string): void;
  /** Told when this node has a duty, and when no more. */
  onChange?(duty: Duty, leads: boolean): void;
  /** Milliseconds of a clock that no one sets; the process's own when left out. */
  readonly ticks?: () => number;
}

export function leadership(parts: LeadershipParts): Leadership {
  const { leases, node, clock, onTrouble, onChange, ticks = () => performance.now() } = parts;

  function lead(duty: Duty, work: DutyWork): Leading {
    const stopping = new AbortController();
    let isLeading = false;
    let isAway = false;

    /**
     * Waits no longer than so for the answer: that of a database which is away may never come.
     * @returns when it was asked for, if it was granted: the lease is counted from there.
     */
    async function ask(limitMs: number): Promise<number | "refused" | "no answer"> {
      const askedAt = ticks();
      try {
        const granted = await within(limitMs, leases.take(duty, node, LEASE_MS));
        isAway = false;
        return granted ? askedAt : "refused";
      } catch (error) {
        away(error);
        return "no answer";
      }
    }

    async function within<T>(limitMs: number, answer: Promise<T>): Promise<T> {
      const answered = new AbortController();
      const late = clock.sleep(limitMs, answered.signal).then(() => {
        throw new AppError("database_unavailable", { reason: `no answer within ${limitMs} ms` });
      });
      return Promise.race([answer, late]).finally(() => answered.abort());
    }

    /** Told once, however long it lasts. */
    function away(error: unknown): void {
      if (!isAway) onTrouble?.(error, `asking for the duty ${duty}`);
      isAway = true;
    }

    async function campaign(): Promise<void> {
      while (!stopping.signal.aborted) {
        const answer = await ask(LEASE_MS);
        if (typeof answer === "number") await reign(answer);
        await clock.sleep(LOOK_MS, stopping.signal);
      }
    }

    async function reign(askedAt: number): Promise<void> {
      const lost = new AbortController();
      const ended = new AbortController();
      isLeading = true;
      onChange?.(duty, true);
      const keeping = keep(askedAt, ended.signal).then(() => lost.abort());
      const signal = AbortSignal.any([stopping.signal, lost.signal]);
      try {
        await work(signal);
        if (!signal.aborted) throw new Error("The work of a duty ended by itself.");
      } catch (error) {
        if (!signal.aborted) onTrouble?.(error, `the duty ${duty}`);
      }
      ended.abort();
      await keeping;
      isLeading = false;
      onChange?.(duty, false);
      await within(LEASE_MS, leases.release(duty, node)).catch(away); // it runs out
    }

    /** Extends the lease until the work has ended, also while it is stopping. @returns when it has, or the lease is lost. */
    async function keep(askedAt: number, ended: AbortSignal): Promise<void> {
      let keptUntil = askedAt + KEPT_MS;
      let pauseMs = RENEW_MS;
      for (;;) {
        await clock.sleep(pauseMs, ended);
        const leftMs = keptUntil - ticks();
        if (ended.aborted || leftMs <= 0) return;
        const answer = await ask(leftMs);
        if (answer === "refused") return;
        if (answer !== "no answer") keptUntil = answer + KEPT_MS;
        pauseMs = answer === "no answer" ? Math.max(0, Math.min(LOOK_MS, keptUntil - ticks())) : RENEW_MS;
      }
    }

    const running = campaign();
    return {
      isLeading: () => isLeading,
      async stop() {
        stopping.abort();
        await running;
      },
    };
  }

  return { lead };
}

/** Something that goes on until it is stopped, as the work of a duty. */
export function whileLeading(start: () => { stop(): Promise<unknown> }): DutyWork {
  return async (signal) => {
    if (signal.aborted) return;
    const running = start();
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    await running.stop();
  };
}
