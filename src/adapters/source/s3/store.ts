import type { S3Client } from "@aws-sdk/client-s3";
import { AppError } from "../../../core/errors.ts";
import { optionalDriver } from "../../db/optional-driver.ts";

export interface S3Settings {
  /** Amazon's own of the region, when left out. */
  readonly endpoint?: string | undefined;
  readonly region: string;
  /** What the machine has (environment, profile, instance), when left out. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  /** Buckets in the path, not in the host's name. */
  readonly pathStyle: boolean;
}

const PACKAGE = "@aws-sdk/client-s3";
/** With growing pauses between; of each request. */
const TRIES = 5;
const CONNECT_MS = 10_000;
/** Without a byte in either direction. */
const SILENCE_MS = 60_000;

export type S3Driver = typeof import("@aws-sdk/client-s3");

/** A bucket, or what begins with a prefix in it, and how it is spoken to. */
export interface S3Store {
  readonly driver: S3Driver;
  readonly client: S3Client;
  readonly bucket: string;
  /** `""`, or text that ends with `/`. */
  readonly prefix: string;
}

/** @param place bucket and prefix, as in `bucket/some/folder`. @throws AppError driver_missing. */
export async function openS3Store(place: string, settings: S3Settings): Promise<S3Store> {
  const driver = await optionalDriver(PACKAGE, () => import("@aws-sdk/client-s3"));
  const { endpoint, region, credentials, pathStyle } = settings;
  const client = new driver.S3Client({
    region,
    forcePathStyle: pathStyle,
    maxAttempts: TRIES,
    // Not every server that speaks S3 knows the newer checksums; MD5 of what is sent they all do.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: SILENCE_MS },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  });
  const [bucket = "", ...folders] = place.split("/").filter((part) => part !== "");
  return { driver, client, bucket, prefix: folders.map((name) => `${name}/`).join("") };
}

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
