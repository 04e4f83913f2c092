import type { S3Settings } from "../adapters/s3/client.ts";
import type { Config } from "../settings/config.ts";
import { type Instruments, NO_INSTRUMENTS } from "../telemetry/instruments.ts";

/** Told of every request. */
export type S3Watch = Pick<Instruments, "s3Request">;

export function s3Settings({ s3 }: Pick<Config, "s3">, { s3Request }: S3Watch = NO_INSTRUMENTS): S3Settings {
  return { ...s3, onRequest: s3Request };
}
