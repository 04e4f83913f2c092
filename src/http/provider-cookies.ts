import type { IncomingHttpHeaders } from "node:http";
import { cookieField, cookieIn, cookiesIn } from "./cookies.ts";

type Options = { readonly publicUrl?: string | undefined };

/** Paths of signing in at a provider, and of signing out. */
export const PROVIDER_PATH = "/sign-in/openid";
export const SIGN_OUT_PATH = "/sign-out";

const ATTEMPT = "longshore_attempt_";
const FAREWELL = "longshore_farewell";
/** Of one browser at a time, in tabs: together they stay far below what a request's head may have. */
const MAX_ATTEMPTS = 5;
/** Browsers keep 4,096 bytes of a cookie with its name and attributes (RFC 6265bis §5.6). */
const MAX_FAREWELL_CHARACTERS = 3_800;

/** Each attempt to sign in has a cookie of its own: two tabs do not get in each other's way. */
const nameOf = (state: string) => `${ATTEMPT}${state.slice(0, 16)}`;

/** @param state as it came back; what is none has no attempt. */
export function attemptIn(headers: IncomingHttpHeaders, state: string): string | undefined {
  return /^[\w-]{16,}$/.test(state) ? cookieIn(headers, nameOf(state)) : undefined;
}

/** Of too many attempts, the earlier ones are forgotten. */
export function attemptCookies(
  headers: IncomingHttpHeaders,
  { state, sealed }: { readonly state: string; readonly sealed: string },
  lastsSeconds: number,
  options: Options,
): readonly string[] {
  const earlier = cookiesIn(headers).filter(([name]) => name.startsWith(ATTEMPT));
  const forgotten = earlier.length < MAX_ATTEMPTS ? [] : earlier.map(([name]) => name);
  return [
    ...forgotten.map((name) => cookieField({ name, text: "", lastsSeconds: 0, path: PROVIDER_PATH }, options)),
    cookieField({ name: nameOf(state), text: sealed, lastsSeconds, path: PROVIDER_PATH }, options),
  ];
}

/** An answer is taken once. */
export function attemptOver(state: string, options: Options): string {
  return cookieField({ name: nameOf(state), text: "", lastsSeconds: 0, path: PROVIDER_PATH }, options);
}

/** What the provider likes to be shown when somebody signs out. */
export const farewellIn = (headers: IncomingHttpHeaders): string | undefined => cookieIn(headers, FAREWELL);

/** One that is too long for a browser is left out: the provider asks then. @param lastsSeconds 0: it is forgotten. */
export function farewellCookie(sealed: string, lastsSeconds: number, options: Options): string {
  const text = sealed.length > MAX_FAREWELL_CHARACTERS ? "" : sealed;
  return cookieField(
    { name: FAREWELL, text, lastsSeconds: text === "" ? 0 : lastsSeconds, path: SIGN_OUT_PATH },
    options,
  );
}
