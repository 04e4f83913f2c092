import type { JobId } from "../ids.ts";
import type { Lane } from "./job.ts";

/** A job id handed to one worker for as long as it keeps the lease. */
export interface Delivery {
  readonly jobId: JobId;
  readonly lane: Lane;
  /** Opaque: names this one delivery to the adapter. */
  readonly receipt: string;
}

/**
 * Delivers the ids of queued jobs, at least once each. What a job is and how it stands is the job store's business; ids
 * enter through the store, in the transaction that queues the job.
 *
 * Adapters: `adapters/queue/{sqlite,pg-boss}.ts`. Contract: `test/conformance/job-queue.ts`.
 */
export interface JobQueue {
  /** How long a delivery is held without a heartbeat, in milliseconds; then another worker gets it. */
  readonly leaseMs: number;
  /**
   * Takes up to `limit` ids of a lane; none when there are none. Owners take turns, so nobody waits for the many jobs of
   * another; an owner's jobs come in the order they were queued. A job's priority lets it pass others, and what has waited
   * long enough is passed no more.
   * @param kinds only jobs of these kinds; all when left out. Others stay where they are, for other workers.
   */
  claim(worker: string, lane: Lane, limit: number, kinds?: readonly string[]): Promise<readonly Delivery[]>;
  /** Extends the leases. @returns those that are still held; the others have been taken over and must be stopped. */
  heartbeat(deliveries: readonly Delivery[]): Promise<readonly Delivery[]>;
  /** The job is over, or has been queued anew by the store: this delivery is not repeated. */
  done(delivery: Delivery): Promise<void>;
  /** Gives the id back, to be delivered again after `delayMs`, behind what its owner has queued meanwhile. */
  release(delivery: Delivery, delayMs: number): Promise<void>;
  /** Calls `wake` when something may be claimable; also without cause. @returns a function that stops it. */
  onAvailable(wake: () => void): () => void;
  /** Ids waiting per lane, not counting those delivered. */
  depth(): Promise<Readonly<Record<Lane, number>>>;
  close(): Promise<void>;
}
