import type { IncomingHttpHeaders } from "node:http";

const NAME = "longshore_session";

/** What a browser was given when it signed in. */
export function sessionTextOf({ cookie = "" }: IncomingHttpHeaders): string | undefined {
  for (const pair of cookie.split(";")) {
    const [name, value] = pair.trim().split("=");
    if (name === NAME && value) return value;
  }
  return undefined;
}

/**
 * A cookie that no script reads and that other sites' forms do not bring along (RFC 6265bis); over HTTPS alone where the
 * server is reached so.
 */
export function sessionCookie(
  text: string,
  lastsSeconds: number,
  { publicUrl = "" }: { readonly publicUrl?: string | undefined },
): string {
  const isSecure = publicUrl.startsWith("https:");
  const path = publicUrl === "" ? "/" : new URL(publicUrl).pathname;
  return `${NAME}=${text}; Path=${path}; Max-Age=${lastsSeconds}; HttpOnly; SameSite=Lax${isSecure ? "; Secure" : ""}`;
}
