import type { S3ClientConfig } from "@aws-sdk/client-s3";

type RetryStrategy = Extract<
  Exclude<S3ClientConfig["retryStrategy"], undefined>,
  { acquireInitialRetryToken: unknown }
>;

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

/**
 * Repeats what met no answer, or one that may be another in a while (5xx, SlowDown), so many times in all, with pauses that
 * double up to 5 s. The SDK's own strategy gives up early once a hundred requests have been repeated, whichever they are:
 * a server that is away for a moment fails everything that is under way.
 */
export function patientRetries(tries: number): RetryStrategy {
  const token = (count: number, pauseMs: number) => ({ getRetryCount: () => count, getRetryDelay: () => pauseMs });
  return {
    acquireInitialRetryToken: async () => token(0, 0),
    async refreshRetryTokenForRetry(before, { errorType, error, retryAfterHint }) {
      const count = before.getRetryCount() + 1;
      if (errorType === "CLIENT_ERROR" || count >= tries) throw error;
      const asked = (retryAfterHint?.getTime() ?? 0) - Date.now();
      const most = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** count);
      // Not all at the same moment.
      const pauseMs = most * (0.5 + Math.random() / 2);
      return token(count, Math.max(pauseMs, Math.min(asked, 4 * LONGEST_PAUSE_MS)));
    },
    recordSuccess() {},
  };
}
