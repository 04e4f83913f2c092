import { AppError } from "../../core/errors.ts";

/** What the service answered, as far as it did. */
export interface S3Failure {
  /** `NoSuchKey` and the like; of a connection, `ECONNREFUSED` and the like. */
  readonly reason: string;
  /** `undefined` when there was no answer. */
  readonly status: number | undefined;
}

/** @throws the error itself when it comes neither from the service nor from the connection to it. */
export function s3Failure(error: unknown): S3Failure {
  if (!(error instanceof Error) || error instanceof AppError) throw error;
  const { code, $metadata: metadata } = error as Error & {
    readonly code?: unknown;
    readonly $metadata?: { readonly httpStatusCode?: number };
  };
  if (metadata?.httpStatusCode !== undefined) return { reason: error.name, status: metadata.httpStatusCode };
  if (metadata === undefined && typeof code !== "string") throw error;
  return { reason: typeof code === "string" ? code : error.name, status: undefined };
}

/** A lack of answers, or answers that may be others in a while. */
export const isPassing = ({ status }: S3Failure) => status === undefined || status >= 500 || status === 429;

/** What an operator can do about it, by the service's own words. */
const HINTS: Readonly<Record<string, string>> = {
  NoSuchBucket: "there is no such bucket",
  InvalidAccessKeyId: "the server does not know the access key",
  SignatureDoesNotMatch: "the access key's secret is not the server's",
  AccessDenied: "the access key may not do this there",
  RequestTimeTooSkewed: "the clocks of this machine and of the server are apart",
  PermanentRedirect: "the bucket is in another region",
  AuthorizationHeaderMalformed: "the bucket is in another region",
  InvalidObjectState: "the object lies in cold storage and has not been restored",
};

/**
 * What a store of our own met there, in our words: storage_full, or storage_unavailable with what to do about it.
 * @throws the error itself when it comes neither from the service nor from the connection to it.
 */
export function storageFailure(error: unknown, path: string): AppError {
  const { reason, status } = s3Failure(error);
  const isFull = status === 507 || reason === "QuotaExceeded";
  const hint = HINTS[reason];
  return new AppError(
    isFull ? "storage_full" : "storage_unavailable",
    { path, reason, ...(status !== undefined && { status }), ...(hint !== undefined && { hint }) },
    { cause: error },
  );
}
