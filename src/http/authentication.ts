import { BlockList, isIP } from "node:net";
import type { FastifyRequest } from "fastify";
import type { Principal } from "../core/access/access.ts";
import { requireScope } from "../core/access/access.ts";
import type { Scope } from "../core/access/access-stores.ts";
import { requireFormToken, type Session } from "../core/access/sessions.ts";
import { AppError } from "../core/errors.ts";
import { refuseForeignOrigin } from "./origin-guard.ts";
import type { RateLimit } from "./rate-limit.ts";
import type { ServerDeps } from "./server-deps.ts";
import { sessionTextOf } from "./session-cookie.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** What a caller of this route needs. Every route below a prefix that authenticates must say. */
    scope?: Scope;
    /** A page's form is sent here: it brings the form token in its body, and the page's routes look at it. */
    isForm?: true;
  }
  interface FastifyRequest {
    /** Set before the body is read, on routes that authenticate. */
    principal: Principal;
    /** Of a browser that has signed in and shows nothing else. */
    session: Session | undefined;
  }
}

/** In the head of a script's request: what the session's forms bring along. */
export const FORM_TOKEN = "x-form-token";

export interface Authentication {
  /**
   * @param authorization stands in for the request's own field, where a protocol has it elsewhere.
   * @throws AppError token_missing, token_invalid, origin_refused, rate_limited.
   */
  identify(request: FastifyRequest, authorization?: string): Promise<Principal>;
  /** An `onRequest` hook: nobody's body is read before we know who it is and that they may send it. */
  require(request: FastifyRequest): Promise<void>;
}

/** Methods that change nothing (RFC 9110 §9.2.1). */
const SAFE = ["GET", "HEAD", "OPTIONS"];

export function authentication(
  { access, sessions, options }: Pick<ServerDeps, "access" | "sessions" | "options">,
  limit: RateLimit,
): Authentication {
  const proxies = addressList(options.trustedProxies);
  const header = options.authHeader.toLowerCase();

  async function identify(request: FastifyRequest, authorization = request.headers.authorization): Promise<Principal> {
    const proxy = proxies(request.socket.remoteAddress) ? { user: userOf(request.headers[header]) } : undefined;
    const cookie = authorization === undefined && !proxy?.user ? sessionTextOf(request.headers) : undefined;
    const session = cookie === undefined ? undefined : sessions.read(cookie);
    const principal = await access.authenticate({ authorization, proxy, session }).catch((error: unknown) => {
      limit.count(request); // who guesses tokens is slowed down
      throw error;
    });
    limit.count(request, principal);
    if (principal.via === "local") refuseForeignOrigin(request.headers);
    else if (session) request.session = session;
    return principal;
  }

  return {
    identify,
    async require(request) {
      const { scope } = request.routeOptions.config;
      if (scope === undefined) throw new AppError("internal", { route: request.routeOptions.url ?? "" });
      request.principal = await identify(request);
      const { method, session, headers, routeOptions } = request;
      if (session && !SAFE.includes(method) && !routeOptions.config.isForm)
        requireFormToken(session, headers[FORM_TOKEN]?.toString());
      requireScope(request.principal, scope);
    },
  };
}

/** The address of the connection, or the last one that a trusted proxy before it has noted. */
export function clientAddress({ trustedProxies }: ServerDeps["options"]): (request: FastifyRequest) => string {
  const proxies = addressList(trustedProxies);
  return ({ socket, headers }) => {
    const noted = [headers["x-forwarded-for"] ?? []].flat().join(",").split(",").at(-1)?.trim() ?? "";
    return proxies(socket.remoteAddress) && isIP(noted) !== 0 ? noted : (socket.remoteAddress ?? "");
  };
}

/** Whether an address is one of the listed addresses and subnets (`10.0.0.0/8`). */
function addressList(entries: readonly string[]): (address: string | undefined) => boolean {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", bits] = entry.split("/");
    if (bits === undefined) list.addAddress(address, familyOf(address));
    else list.addSubnet(address, Number(bits), familyOf(address));
  }
  return (address = "") => {
    // A socket that listens on both families shows IPv4 peers as `::ffff:10.0.0.1` (RFC 4291 §2.5.5.2).
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, "");
    return isIP(plain) !== 0 && list.check(plain, familyOf(plain));
  };
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 6 ? "ipv6" : "ipv4";
}

/** @throws AppError token_invalid when the header came twice: one of them is not the proxy's. */
function userOf(value: string | string[] | undefined): string | undefined {
  if (Array.isArray(value) || value?.includes(",")) throw new AppError("token_invalid", { expected: "one user" });
  return value;
}
