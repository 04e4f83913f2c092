import { BlockList, isIP } from "node:net";
import type { FastifyRequest } from "fastify";
import type { Access, Principal } from "../core/access/access.ts";
import { requireScope } from "../core/access/access.ts";
import type { Scope } from "../core/access/access-stores.ts";
import { AppError } from "../core/errors.ts";
import { refuseForeignOrigin } from "./origin-guard.ts";
import type { RateLimit } from "./rate-limit.ts";
import type { ServerDeps } from "./server-deps.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** What a caller of this route needs. Every route below a prefix that authenticates must say. */
    scope?: Scope;
  }
  interface FastifyRequest {
    /** Set before the body is read, on routes that authenticate. */
    principal: Principal;
  }
}

export interface Authentication {
  /**
   * @param authorization stands in for the request's own field, where a protocol has it elsewhere.
   * @throws AppError token_missing, token_invalid, origin_refused, rate_limited.
   */
  identify(request: FastifyRequest, authorization?: string): Promise<Principal>;
  /** An `onRequest` hook: nobody's body is read before we know who it is and that they may send it. */
  require(request: FastifyRequest): Promise<void>;
}

export function authentication(access: Access, options: ServerDeps["options"], limit: RateLimit): Authentication {
  const proxies = addressList(options.trustedProxies);
  const header = options.authHeader.toLowerCase();

  async function identify(request: FastifyRequest, authorization = request.headers.authorization): Promise<Principal> {
    const proxy = proxies(request.socket.remoteAddress) ? { user: userOf(request.headers[header]) } : undefined;
    const principal = await access.authenticate({ authorization, proxy }).catch((error: unknown) => {
      limit.count(request); // who guesses tokens is slowed down
      throw error;
    });
    limit.count(request, principal);
    if (principal.via === "local") refuseForeignOrigin(request.headers);
    return principal;
  }

  return {
    identify,
    async require(request) {
      const { scope } = request.routeOptions.config;
      if (scope === undefined) throw new AppError("internal", { route: request.routeOptions.url ?? "" });
      request.principal = await identify(request);
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
