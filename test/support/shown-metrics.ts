import type { TransactionId } from "../../src/core/ids.ts";
import { processMetrics } from "../../src/telemetry/metrics.ts";
import { movingClock } from "./moving-clock.ts";

/** The names of all metrics that a process shows; those with labels too, though nothing has been counted yet. */
export async function shownMetrics(): Promise<ReadonlySet<string>> {
  const metrics = processMetrics({ version: "0.0.0-test", clock: movingClock() });
  metrics.watch(
    {
      jobs: { countOpen: async () => ({ queued: 1, running: 1 }), oldestQueued: async () => ({ fast: 0 }) },
      queue: { depth: async () => ({ fast: 0, slow: 0, run: 0 }) },
      outbox: { backlog: async () => ({ messages: 0, failing: 0, oldestAt: null }) },
      searchChanges: {
        depth: async () => 1,
        pending: async () => [{ number: 1, subject: { transaction: 1 as TransactionId } }],
      },
      storage: { freeBytes: async () => 1 },
      dataFreeBytes: async () => 1,
      fixityStatus: async () => ({
        transactions: 2,
        soundTransactions: 1,
        failedTransactions: 0,
        neverChecked: 1,
        bytes: 0,
        soundBytes: 0,
        oldestCheckedAt: null,
        share: 0.5,
        days: 90,
        today: { bytes: 0, busyMs: 0, checks: 0, failures: 0 },
        limits: { days: 90 },
      }),
      connections: () => ({ open: 2, idle: 1, waiting: 0 }),
      onTrouble(error) {
        throw error;
      },
    },
    { onChange: () => () => {} },
  );
  return new Set([...(await metrics.render()).matchAll(/^# TYPE (\S+)/gm)].map(([, name = ""]) => name));
}
