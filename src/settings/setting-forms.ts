import { join, resolve } from "node:path";
import { z } from "zod";
import { type Rate, rateOf } from "../core/rate.ts";

/** Forms that settings have: text as the environment has it, and what it means. */

export const text = z.string();
export const folder = text.transform((path) => resolve(path));
export const httpUrl = z.url({
  protocol: /^https?$/,
  error: "expected a URL that begins with http:// or https://",
});

/** Where something is kept: a folder of this machine, or a bucket with a folder in it, as in `bucket/some/folder`. */
export type Place = { readonly kind: "folder"; readonly path: string } | { readonly kind: "s3"; readonly path: string };

const S3_PLACE = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,62}(?:\/[A-Za-z0-9_.=-]+)*)\/?$/;

export const place = text.transform((input, context): Place => {
  const [, path] = S3_PLACE.exec(input) ?? [];
  if (path !== undefined && !/\/\.{1,2}(?:\/|$)/.test(path)) return { kind: "s3", path };
  if (input.startsWith("file://") && URL.canParse(input))
    return { kind: "folder", path: resolve(decodeURIComponent(new URL(input).pathname)) };
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(input)
    ? refuse(context, "expected a folder, a file:// URL or s3://bucket/folder")
    : { kind: "folder", path: resolve(input) };
});

/** One of what is kept at a place. */
export const below = (at: Place, name: string): Place => ({ ...at, path: join(at.path, name) });

export const port = text.transform((input, context) => {
  const number = /^\d{1,5}$/.test(input) ? Number(input) : Number.NaN;
  return number <= 65535 ? number : refuse(context, "expected a port from 0 to 65535");
});

export function whole(
  input: string,
  context: z.RefinementCtx,
  { least = 1, most }: { readonly least?: number; readonly most: number },
): number {
  const number = /^\d{1,15}$/.test(input) ? Number(input) : Number.NaN;
  return number >= least && number <= most
    ? number
    : refuse(context, `expected a whole number from ${least} to ${most}`);
}

const MAX_HOURS = 87_600;

export function hours(input: string, context: z.RefinementCtx, { least }: { readonly least: number }): number {
  const number = /^\d+(\.\d+)?$/.test(input) ? Number(input) : Number.NaN;
  if (number >= least && number <= MAX_HOURS) return number;
  const from = least === Number.MIN_VALUE ? "more than 0" : `at least ${least}`;
  return refuse(context, `expected hours, ${from} and at most ${MAX_HOURS}`);
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function bytes(input: string, context: z.RefinementCtx): number {
  const [, number, unit = "B"] = /^(\d+)\s*([KMGTP]iB|B)?$/.exec(input) ?? [];
  const amount = Number(number) * 1024 ** BYTE_UNITS.indexOf(unit);
  return Number.isSafeInteger(amount) ? amount : refuse(context, "expected an amount like 500GiB");
}

/** `a, b` as a list; each entry goes through `entry`, which says what is wrong with it. */
export const list = <T>(entry: (input: string, context: z.RefinementCtx) => T) =>
  text.transform((input, context): readonly T[] =>
    input
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== "")
      .map((part) => entry(part, context)),
  );

export function rate(input: string, context: z.RefinementCtx): Rate {
  return rateOf(input) ?? refuse(context, "expected requests in a time, such as 15/900s or 600/m");
}

export function url(input: string, context: z.RefinementCtx): string {
  const parsed = httpUrl.safeParse(input);
  return parsed.success ? parsed.data : refuse(context, "expected URLs that begin with http:// or https://");
}

/** Records what is wrong and gives zod the value that says "do not go on". */
export function refuse(context: z.RefinementCtx, message: string): never {
  context.addIssue({ code: "custom", message });
  return z.NEVER;
}
