import { isIP } from "node:net";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Principal } from "../core/access/access.ts";
import type { CallLimits } from "../core/access/call-limits.ts";
import { AppError } from "../core/errors.ts";
import { rateText } from "../core/rate.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /**
     * What is not counted: nothing of what monitors ask; of downloads, the requests that go on with one that has begun.
     */
    uncounted?: "all" | "continued downloads";
  }
  interface FastifyRequest {
    /** Each request counts once. */
    counted: boolean;
    /** Of a request that was one too many: when to come again, in seconds. */
    retryAfterS: number | undefined;
  }
}

export interface RateLimit {
  /**
   * Counts a request for who sends it, unless it has been counted.
   * @param principal left out: nobody known, so it counts for the address. @throws AppError rate_limited.
   */
  count(request: FastifyRequest, principal?: Principal): void;
}

/**
 * Requests are counted by token, or by the user that a proxy vouches for; without either by address. Those whose sender is
 * not known when their body comes are counted by address then.
 * @param addressOf the client's, as far as it is known.
 */
export function limitRates(
  app: FastifyInstance,
  limits: CallLimits | undefined,
  addressOf: (request: FastifyRequest) => string,
): RateLimit {
  app.decorateRequest("counted", false);
  app.decorateRequest("retryAfterS", undefined);

  function count(request: FastifyRequest, principal?: Principal): void {
    if (!limits || request.counted || isUncounted(request)) return;
    request.counted = true;
    const usedUp = limits.count(callerOf(principal) ?? `address ${network(addressOf(request))}`, principal?.rates);
    if (!usedUp) return;
    request.retryAfterS = Math.ceil(usedUp.waitMs / 1_000);
    throw new AppError("rate_limited", { limit: rateText(usedUp.rate), retryAfterSeconds: request.retryAfterS });
  }

  if (limits) {
    app.addHook("preHandler", async (request) => count(request));
    // Whatever form a protocol's errors have, and whatever their status.
    app.addHook("onSend", async ({ retryAfterS }, reply) => {
      if (retryAfterS !== undefined) reply.header("retry-after", retryAfterS);
    });
  }
  return { count };
}

/** Long enough for any user, short enough for a great many. */
const MAX_NAME = 200;

function callerOf(principal: Principal | undefined): string | undefined {
  if (principal?.token !== undefined) return `token ${principal.token}`;
  return principal?.via === "proxy" ? `user ${principal.name.slice(0, MAX_NAME)}` : undefined;
}

function isUncounted({ method, headers, routeOptions }: FastifyRequest): boolean {
  const { uncounted } = routeOptions.config;
  if (uncounted !== "continued downloads") return uncounted === "all";
  const [, from = "0"] = /^bytes=(\d+)-/.exec(headers.range ?? "") ?? [];
  return method === "GET" && Number(from) > 0;
}

/** An address, or the 64 bits of an IPv6 address that are not its owner's to choose (RFC 4291 §2.5.4). */
function network(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "");
  if (isIP(plain) !== 6) return plain;
  const [head = [], tail = []] = plain.split("::").map((half) => (half === "" ? [] : half.split(":")));
  const zeros = Array<string>(Math.max(0, 8 - head.length - tail.length)).fill("0");
  return [...head, ...zeros, ...tail].slice(0, 4).join(":");
}
