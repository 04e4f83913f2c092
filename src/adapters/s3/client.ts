import type { S3Client } from "@aws-sdk/client-s3";
import { AppError } from "../../core/errors.ts";
import { optionalDriver } from "../db/optional-driver.ts";
import { type S3Request, tellRequests } from "./requests.ts";
import { patientRetries } from "./retries.ts";

export interface S3Settings {
  /** Amazon's own of the region, when left out. */
  readonly endpoint?: string | undefined;
  readonly region: string;
  /** What the machine has (environment, profile, instance), when left out. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  /** Buckets in the path, not in the host's name. */
  readonly pathStyle: boolean;
  /** Told of every request, once it has ended. */
  readonly onRequest?: ((request: S3Request) => void) | undefined;
}

const PACKAGE = "@aws-sdk/client-s3";
/** Of each request of a crawl or an offload, which have ways of their own to wait: some 3 s. */
const TRIES = 5;
/** Of each request of what must not fail because a server was restarted: some half a minute. */
export const PATIENT_TRIES = 10;
const CONNECT_MS = 10_000;
/** Without a byte in either direction. */
const SILENCE_MS = 60_000;
const CONNECTIONS = 128;

export type S3Driver = typeof import("@aws-sdk/client-s3");

/** A bucket, or what begins with a prefix in it, and how it is spoken to. */
export interface S3Store {
  readonly driver: S3Driver;
  readonly client: S3Client;
  readonly bucket: string;
  /** `""`, or text that ends with `/`. */
  readonly prefix: string;
  /** Requests are signed with the SHA-256 of what they carry, as nothing else protects it: the way is not encrypted. */
  readonly signsBodies: boolean;
}

export interface S3StoreOptions {
  /** Of each request that meets no answer, or one that may be another in a while; with growing pauses between. */
  readonly tries?: number;
}

/** @param place bucket and prefix, as in `bucket/some/folder`. @throws AppError driver_missing. */
export async function openS3Store(
  place: string,
  settings: S3Settings,
  { tries = TRIES }: S3StoreOptions = {},
): Promise<S3Store> {
  const driver = await optionalDriver(PACKAGE, () => import("@aws-sdk/client-s3"));
  const { endpoint, region, credentials, pathStyle, onRequest } = settings;
  const client = new driver.S3Client({
    region,
    forcePathStyle: pathStyle,
    retryStrategy: patientRetries(tries),
    // Not every server that speaks S3 knows the newer checksums; MD5 of what is sent they all do.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      socketTimeout: SILENCE_MS,
      httpAgent: { maxSockets: CONNECTIONS, keepAlive: true },
      httpsAgent: { maxSockets: CONNECTIONS, keepAlive: true },
    },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  });
  if (onRequest) tellRequests(client, onRequest);
  const signsBodies = endpoint?.startsWith("http:") ?? false;
  return { driver, client, signsBodies, ...placeIn(place) };
}

/** @param place bucket and prefix, as in `bucket/some/folder`. */
export function placeIn(place: string): Pick<S3Store, "bucket" | "prefix"> {
  const [bucket = "", ...folders] = place.split("/").filter((part) => part !== "");
  return { bucket, prefix: folders.map((name) => `${name}/`).join("") };
}

/** Bucket and folder of `s3://bucket/some/folder`, as in `bucket/some/folder`. @throws AppError request_invalid. */
export function s3Place(url: URL): string {
  const expected = "s3://, then a bucket, and a folder in it";
  const { protocol, hostname, pathname, search, hash, port, username } = url;
  try {
    const folders = pathname.replace(/\/+$/, "").split("/").slice(1).map(decodeURIComponent);
    const isPlain = folders.every((name) => !["", ".", ".."].includes(name) && !/[/\0]/.test(name));
    const isBucket = /^[a-z0-9][a-z0-9.-]{1,62}$/.test(hostname) && port === "" && username === "";
    if (protocol === "s3:" && isPlain && isBucket && search === "" && hash === "")
      return [hostname, ...folders].join("/");
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    throw new AppError("request_invalid", { url: url.href, expected }, { cause: error });
  }
  throw new AppError("request_invalid", { url: url.href, expected });
}

/** A key as listings write it with `EncodingType: "url"`: XML has no way to write every character; a blank is `+` there. */
export const decodedKey = (key: string | undefined) => decodeURIComponent((key ?? "").replaceAll("+", "%20"));
