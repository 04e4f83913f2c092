import type { IncomingHttpHeaders } from "node:http";

export interface Cookie {
  readonly name: string;
  /** Letters that need no quotes: ours are sealed texts. */
  readonly text: string;
  /** 0: it is forgotten. */
  readonly lastsSeconds: number;
  /** Our own path that it is for, and all below it; left out: all of ours. */
  readonly path?: string;
}

/** What a browser has been given under a name. */
export function cookieIn({ cookie = "" }: IncomingHttpHeaders, name: string): string | undefined {
  return cookiesIn({ cookie }).find(([known, text]) => known === name && text !== "")?.[1];
}

export function cookiesIn({ cookie = "" }: IncomingHttpHeaders): readonly (readonly [name: string, text: string])[] {
  return cookie.split(";").map((pair) => {
    const [name = "", text = ""] = pair.trim().split("=");
    return [name, text];
  });
}

/**
 * A cookie that no script reads and that other sites' forms do not bring along (RFC 6265bis); over HTTPS alone where the
 * server is reached so.
 */
export function cookieField(
  { name, text, lastsSeconds, path = "" }: Cookie,
  { publicUrl = "" }: { readonly publicUrl?: string | undefined },
): string {
  const isSecure = publicUrl.startsWith("https:");
  const prefix = publicUrl === "" ? "" : new URL(publicUrl).pathname.replace(/\/$/, "");
  return `${name}=${text}; Path=${`${prefix}${path}` || "/"}; Max-Age=${lastsSeconds}; HttpOnly; SameSite=Lax${isSecure ? "; Secure" : ""}`;
}
