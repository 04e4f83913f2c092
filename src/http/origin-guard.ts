import type { IncomingHttpHeaders } from "node:http";
import { AppError } from "../core/errors.ts";

/**
 * A server that lets in anybody on this machine must not let in the web pages their browser shows. Refused are requests
 * that a page of another origin started (RFC 6454 `Origin`, Fetch Metadata `Sec-Fetch-Site`), and names that are not
 * this machine's own in `Host`: a page can have its own name resolve to 127.0.0.1 (DNS rebinding), but not to
 * `localhost`.
 *
 * @throws AppError origin_refused.
 */
export function refuseForeignOrigin(headers: IncomingHttpHeaders): void {
  const host = headers.host ?? "";
  if (!isThisMachine(host)) throw new AppError("origin_refused", { host });
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none")
    throw new AppError("origin_refused", { "sec-fetch-site": String(site) });
  const { origin } = headers;
  if (origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === host))
    throw new AppError("origin_refused", { origin });
}

/** `localhost` and what ends in it (RFC 6761 §6.3), 127.0.0.0/8 and ::1, with or without a port. */
function isThisMachine(host: string): boolean {
  if (!URL.canParse(`http://${host}`)) return false;
  const { hostname } = new URL(`http://${host}`);
  return /^(.+\.)?localhost$/.test(hostname) || /^127(\.\d+){3}$/.test(hostname) || hostname === "[::1]";
}
