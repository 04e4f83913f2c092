import type { Outbox, OutboxMessage } from "../catalogue/catalogue-store.ts";
import type { Clock } from "../clock.ts";
import { AppError, type Code, type ErrorRecord, errorRecord } from "../errors.ts";

/** Carries messages to one kind of receiver. */
export interface OutboxChannel {
  /**
   * Resolves once the receiver has taken the message, and rejects when it has not: then it is tried again later. Settles
   * well within {@link LEASE_MS}, or else another process repeats the delivery meanwhile.
   */
  deliver(message: OutboxMessage, signal: AbortSignal): Promise<void>;
  /**
   * Told when the receiver has taken the message, before it is forgotten. May be told so more than once: what is done here
   * is done again, and the delivery is not, when the database is away meanwhile.
   */
  taken?(message: OutboxMessage): Promise<void>;
  /**
   * A message that has failed for this long is given up, and one that is refused for good at once: see {@link gaveUp}.
   * Left out: messages of this channel are never given up.
   */
  readonly giveUpMs?: number;
  /** Told of each message that is given up, before it is forgotten. */
  gaveUp?(message: OutboxMessage, error: ErrorRecord): Promise<void>;
}

/** What no further try can change. */
const REFUSED: readonly Code[] = ["mail_refused", "notice_refused", "fetch_refused"];

export interface OutboxDeliveryParts {
  readonly outbox: Outbox;
  /** By the messages' `channel`. */
  readonly channels: Readonly<Record<string, OutboxChannel>>;
  readonly clock: Clock;
  /** Told of every delivery that failed, and of whatever goes wrong around them; for the log. */
  onTrouble?(error: unknown, during: string): void;
}

/** What this process has seen since it began. */
export interface DeliveryCounts {
  readonly delivered: number;
  /** Tries that failed. */
  readonly failed: number;
  /** Messages that have failed for {@link OVERDUE_MS} and more, and are still being tried. */
  readonly overdue: number;
}

export interface OutboxDelivery {
  counts(): DeliveryCounts;
  /** Breaks off what is under way, which is due again at once. Resolves when all is settled. */
  stop(): Promise<void>;
}

/** How long a claimed message is left alone before it is taken for lost with its process. */
export const LEASE_MS = 10 * 60_000;
const AT_A_TIME = 8;
/** How often the outbox is looked at; nobody says when something is due. */
const IDLE_MS = 1_000;
const RETRY_FIRST_MS = 1_000;
const RETRY_LONGEST_MS = 3_600_000;
const OVERDUE_MS = 24 * 3_600_000;
/** Between two tries to note what has become of a message. */
const NOTE_AGAIN_MS = 250;

/**
 * Delivers what is in the outbox, at least once each, until `stop`. Starts at once.
 *
 * A receiver that fails is tried again after 1 s, 2 s, 4 s … and then every hour, for as long as its channel has it. That it
 * has taken a message is noted as soon as the database answers. Only when this process ends between the two is it delivered
 * again, by the next one after the message's lease: so receivers may see one twice.
 */
export function outboxDelivery({ outbox, channels, clock, onTrouble }: OutboxDeliveryParts): OutboxDelivery {
  const running = new Set<Promise<void>>();
  /** When each overdue message failed last. */
  const overdue = new Map<string, number>();
  const stopping = new AbortController();
  let wake = Promise.withResolvers<void>();
  let delivered = 0;
  let failed = 0;

  async function claimLoop(): Promise<void> {
    while (!stopping.signal.aborted) {
      wake = Promise.withResolvers<void>();
      const lookedAt = clock.now();
      try {
        const room = AT_A_TIME - running.size;
        if (room > 0) for (const message of await outbox.claim(clock.now(), LEASE_MS, room)) begin(message);
      } catch (error) {
        onTrouble?.(error, "claiming messages");
      }
      const waited = new AbortController();
      const idleMs = Math.max(0, lookedAt + IDLE_MS - clock.now());
      await Promise.race([wake.promise, clock.sleep(idleMs, AbortSignal.any([stopping.signal, waited.signal]))]);
      waited.abort();
    }
  }

  function begin(message: ClaimedMessage): void {
    const done = work(message)
      .catch((error: unknown) => onTrouble?.(error, `message ${message.key}`))
      .finally(() => {
        running.delete(done);
        wake.resolve();
      });
    running.add(done);
  }

  async function work(message: ClaimedMessage): Promise<void> {
    try {
      const channel = channels[message.channel];
      if (!channel) throw new AppError("remote_unavailable", { channel: message.channel, reason: "not configured" });
      await channel.deliver(message, stopping.signal);
    } catch (error) {
      return putOff(message, error);
    }
    await noted(message, async () => {
      await channels[message.channel]?.taken?.(message);
      await outbox.delivered(message.key);
    });
    delivered++;
    overdue.delete(message.key);
  }

  /** Writes down what has become of a message. A database that is away is waited for while nobody else has the message. */
  async function noted({ key }: ClaimedMessage, note: () => Promise<void>): Promise<void> {
    // Half of it has been left for the delivery.
    const leaseEndsAt = clock.now() + LEASE_MS / 2;
    for (let tries = 1; ; tries++)
      try {
        return await note();
      } catch (error) {
        const isAway = error instanceof AppError && error.retryable;
        if (!isAway || stopping.signal.aborted || clock.now() >= leaseEndsAt) throw error;
        if (tries === 1) onTrouble?.(error, `message ${key}`);
        await clock.sleep(NOTE_AGAIN_MS, stopping.signal);
      }
  }

  async function putOff(message: ClaimedMessage, error: unknown): Promise<void> {
    const { key, attempts } = message;
    if (stopping.signal.aborted) return outbox.failed(key, clock.now(), "The server stopped during the delivery.");
    failed++;
    if (failingForMs(attempts) >= OVERDUE_MS) overdue.set(key, clock.now());
    onTrouble?.(error, `message ${key}`);
    const record = errorRecord(error);
    const channel = channels[message.channel];
    if (
      channel?.giveUpMs !== undefined &&
      (REFUSED.includes(record.code) || failingForMs(attempts) >= channel.giveUpMs)
    ) {
      await noted(message, async () => {
        await channel.gaveUp?.(message, record);
        await outbox.delivered(key);
      });
      overdue.delete(key);
      return;
    }
    await noted(message, () => outbox.failed(key, clock.now() + pauseMs(attempts), record.message));
  }

  const loop = claimLoop();

  return {
    counts() {
      // Silent for two rounds: another process has taken it, and knows better.
      for (const [key, failedAt] of overdue) if (clock.now() - failedAt > 2 * RETRY_LONGEST_MS) overdue.delete(key);
      return { delivered, failed, overdue: overdue.size };
    },
    async stop() {
      stopping.abort();
      await loop;
      await Promise.all(running);
    },
  };
}

type ClaimedMessage = Awaited<ReturnType<Outbox["claim"]>>[number];

/** The pause after the n-th try. */
function pauseMs(attempts: number): number {
  return Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** (attempts - 1));
}

/** How long ago the first try was, at least, when the n-th fails: the outbox counts tries and keeps no time. */
function failingForMs(attempts: number): number {
  let ms = 0;
  for (let n = 1; n < attempts; n++) ms += pauseMs(n);
  return ms;
}
