import type { IncomingHttpHeaders } from "node:http";
import { cookieField, cookieIn } from "./cookies.ts";

const NAME = "longshore_session";

/** What a browser was given when it signed in. */
export function sessionTextOf(headers: IncomingHttpHeaders): string | undefined {
  return cookieIn(headers, NAME);
}

/** @param lastsSeconds 0: the session is over. */
export function sessionCookie(
  text: string,
  lastsSeconds: number,
  options: { readonly publicUrl?: string | undefined },
): string {
  return cookieField({ name: NAME, text, lastsSeconds }, options);
}
