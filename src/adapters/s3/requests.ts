import type { S3Client } from "@aws-sdk/client-s3";

/**
 * How a request ended. `absent`, `unmet`: answers to a question or a condition, not failures. `throttled`: the service asks
 * for fewer requests (`SlowDown`). `failed`: 5xx. `unanswered`: the connection failed, or nothing came. `aborted`: nobody
 * wanted it any more. `unreadable`: what came is no answer.
 */
export type S3Outcome =
  | "done"
  | "absent"
  | "unmet"
  | "refused"
  | "throttled"
  | "failed"
  | "unanswered"
  | "aborted"
  | "unreadable";

/** One request on the wire: what is sent again is another. */
export interface S3Request {
  /** As the service calls it: `PutObject`. */
  readonly operation: string;
  readonly outcome: S3Outcome;
  /** Until the answer was there; of an object that is read, until its first byte could be. */
  readonly durationMs: number;
  /** The same was sent before, and met no answer, or one that may be another in a while. */
  readonly isRepeat: boolean;
}

/** Tells of every request of a client. */
export function tellRequests({ middlewareStack }: S3Client, tell: (request: S3Request) => void): void {
  /** One for each call, whose requests share it. */
  const begun = new WeakSet<object>();
  middlewareStack.add(
    (next, context) => async (args) => {
      const isRepeat = begun.has(context);
      begun.add(context);
      const operation = context.commandName?.replace(/Command$/, "") ?? "unknown";
      const from = performance.now();
      const ended = (outcome: S3Outcome) =>
        tell({ operation, outcome, isRepeat, durationMs: performance.now() - from });
      try {
        const answer = await next(args);
        ended("done");
        return answer;
      } catch (error) {
        ended(outcomeOf(error));
        throw error;
      }
    },
    // Low: within the repeating.
    { name: "tellRequests", step: "finalizeRequest", priority: "low" },
  );
}

/** What the SDK's errors have, and those of connections. */
interface Told {
  readonly name: string;
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

function outcomeOf(error: unknown): S3Outcome {
  if (!(error instanceof Error)) return "unreadable";
  const { name, code, $metadata }: Told = error;
  const status = $metadata?.httpStatusCode;
  if (name === "AbortError") return "aborted";
  if (status === undefined) return typeof code === "string" || name === "TimeoutError" ? "unanswered" : "unreadable";
  if (name === "SlowDown" || status === 429) return "throttled";
  if (status === 404) return "absent";
  if (status === 304 || status === 409 || status === 412) return "unmet";
  return status >= 500 ? "failed" : "refused";
}
