import { AppError } from "../../../core/errors.ts";
import { type S3Settings, s3Place } from "../../s3/client.ts";
import type { CopyLimits } from "../../s3/copy.ts";
import type { EndpointOpener } from "../open-endpoint.ts";
import type { TargetOpener } from "../open-target.ts";
import { s3Conveyance } from "./conveyance.ts";
import { s3Source } from "./source.ts";
import { s3Target } from "./target.ts";

export interface S3EndpointsParts {
  readonly settings: S3Settings;
  /** Buckets, or folders of them as in `bucket/some/folder`, that may be crawled. */
  readonly buckets: readonly string[];
}

/** Buckets and folders in them: `s3://bucket/some/folder`. */
export function s3Endpoints({ settings, buckets }: S3EndpointsParts): EndpointOpener {
  function placeAt(url: URL): string {
    const place = s3Place(url);
    if (buckets.some((bucket) => isWithin(bucket, place))) return place;
    throw new AppError("endpoint_refused", { url: url.href, hint: "it is not in LONGSHORE_CRAWL_BUCKETS" });
  }
  return {
    check: (url) => urlOf(placeAt(url)),
    open: (url) => s3Source({ place: placeAt(url), settings }),
  };
}

export interface S3TargetsParts {
  readonly settings: S3Settings;
  /** URLs of what may be written, and removed from. */
  readonly writable: readonly string[];
  /** Of copies by the server. */
  readonly limits?: CopyLimits;
}

export function s3Targets({ settings, writable, limits = {} }: S3TargetsParts): TargetOpener {
  const places = writable.map((url) => s3Place(new URL(url)));
  function placeAt(url: URL): string {
    const place = s3Place(url);
    if (places.some((one) => isWithin(one, place))) return place;
    throw new AppError("endpoint_refused", { url: url.href, hint: "it is not below LONGSHORE_OFFLOAD_STORES" });
  }
  return {
    check: (url) => urlOf(placeAt(url)),
    open: (url) => s3Target({ place: placeAt(url), settings }),
    between: (source, target, { isMove }) =>
      s3Conveyance({ source: isMove ? placeAt(source) : s3Place(source), target: placeAt(target), settings, limits }),
  };
}

const isWithin = (place: string, found: string) => found === place || found.startsWith(`${place}/`);

/** The same text for the same place. */
const urlOf = (place: string) => `s3://${place.split("/").map(encodeURIComponent).join("/")}`;
