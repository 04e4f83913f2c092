import type { Clock } from "../clock.ts";
import type { Lane } from "../jobs/job.ts";
import type { JobStore, QueuedKind } from "../jobs/job-store.ts";
import type { Lease, LeaseStore } from "./leases.ts";
import { unservedOf } from "./unserved.ts";

/** A process of Longshore that shares the database with others. */
export interface NodeFacts {
  /** No other process has it, nor had. */
  readonly name: string;
  /** A server may run jobs as well: see its lanes. */
  readonly role: "server" | "worker";
  readonly version: string;
  /** Jobs at a time in each lane. */
  readonly lanes: Readonly<Record<Lane, number>>;
  /** The only kinds of jobs it takes; `null`: all it knows. */
  readonly tasks: readonly string[] | null;
  /** Where it serves HTTP. */
  readonly address: string | null;
}

/** What the database knows of one; times are the store's, see {@link LeaseStore}. */
export interface KeptNode extends NodeFacts {
  /** Epoch milliseconds. */
  readonly since: number;
  readonly seenAt: number;
  /** For how long it has not been seen. */
  readonly silentMs: number;
}

/** Adapter: `adapters/db/node-store.ts`. Contract: `test/conformance/lease-store.ts`. */
export interface NodeStore {
  /** Enters a node, or notes that it has been seen just now. @returns when that is, by the store's clock. */
  see(node: NodeFacts): Promise<number>;
  /** By name. */
  list(): Promise<readonly KeptNode[]>;
  /** Epoch milliseconds, by the store's clock. */
  now(): Promise<number>;
  remove(name: string): Promise<void>;
  /** Those that have been silent for so long. */
  removeSilent(silentMs: number): Promise<void>;
}

export interface Node extends KeptNode {
  readonly isAlive: boolean;
}

/** Who is there, and who has which duty: for operators. */
export interface Nodes {
  list(): Promise<readonly Node[]>;
  duties(): Promise<readonly Lease[]>;
  /** What waits for a node that takes it, and there is none. */
  unserved(): Promise<readonly QueuedKind[]>;
}

const SEE_MS = 5_000;
/** Who has not been seen for this long is taken for dead. */
export const ALIVE_MS = 20_000;
/** Nobody need mind less: requests take as long. */
export const CLOCKS_APART_MS = 5_000;
/** For so long it is shown that a node died. */
const KEPT_MS = 24 * 3_600_000;

export function nodeService(store: NodeStore, leases: LeaseStore, jobs: Pick<JobStore, "queuedKinds">): Nodes {
  const list = async () => (await store.list()).map((node) => ({ ...node, isAlive: node.silentMs < ALIVE_MS }));
  return {
    list,
    duties: () => leases.held(),
    unserved: async () => unservedOf(await jobs.queuedKinds(), await list()),
  };
}

export interface PresenceParts {
  readonly store: NodeStore;
  readonly node: NodeFacts;
  readonly clock: Clock;
  onTrouble?(error: unknown, during: string): void;
  /**
   * Told, once each time it begins, that this machine's clock is ahead of the store's by so much, or behind. Who has a duty or a
   * job is a matter of the store's clock alone; due times, links and tokens go by the node's.
   */
  onClockApart?(aheadMs: number): void;
}

/** Says that this node is there until it is stopped; then it is gone. */
export function startPresence(parts: PresenceParts): { stop(): Promise<void> } {
  const { store, node, clock, onTrouble, onClockApart } = parts;
  const stopping = new AbortController();
  let isAway = false;
  let isApart = false;

  async function see(): Promise<void> {
    const before = clock.now();
    const seenAt = await store.see(node);
    // The store looked at its clock somewhere in between.
    const aheadMs = Math.max(before - seenAt, 0) || Math.min(clock.now() - seenAt, 0);
    const wasApart = isApart;
    isApart = Math.abs(aheadMs) > CLOCKS_APART_MS;
    if (isApart && !wasApart) onClockApart?.(aheadMs);
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await see();
        await store.removeSilent(KEPT_MS);
        isAway = false;
      } catch (error) {
        if (!isAway) onTrouble?.(error, "saying that this node is there");
        isAway = true;
      }
      await clock.sleep(SEE_MS, stopping.signal);
    }
    await store.remove(node.name).catch((error: unknown) => onTrouble?.(error, "taking this node's leave"));
  }

  const running = loop();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
