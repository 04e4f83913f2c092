import { Counter, Histogram, type Registry } from "prom-client";

/** Seconds. */
const REQUEST_BUCKETS = [0.01, 0.05, 0.2, 1, 5, 30];

/** One request to an S3 server; of what is sent again, each. */
export interface S3RequestTold {
  readonly operation: string;
  readonly outcome: string;
  readonly durationMs: number;
  readonly isRepeat: boolean;
}

/** What this process asks of S3. */
export function storeMeters(registers: Registry[]) {
  const requests = new Histogram({
    name: "longshore_s3_request_duration_seconds",
    help: "Requests to S3, each that is sent, by operation (PutObject, ...) and outcome: done, absent, unmet (a condition), refused, throttled (SlowDown), failed (5xx), unanswered, aborted, unreadable.",
    labelNames: ["operation", "outcome"],
    buckets: REQUEST_BUCKETS,
    registers,
  });
  const repeats = new Counter({
    name: "longshore_s3_retries_total",
    help: "Requests to S3 that were sent again, as they had met no answer, or one that may be another in a while.",
    labelNames: ["operation"],
    registers,
  });
  return {
    s3Request({ operation, outcome, durationMs, isRepeat }: S3RequestTold): void {
      requests.observe({ operation, outcome }, durationMs / 1000);
      if (isRepeat) repeats.inc({ operation });
    },
  };
}
