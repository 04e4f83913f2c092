import type { Links } from "../access/links.ts";
import type { ErrorRecord } from "../errors.ts";
import type { Notices } from "../notify/notices.ts";
import type { Order, Package } from "./package.ts";
import type { Consequences } from "./package-store.ts";
import type { Statistics } from "./statistics.ts";

/** What requesters are told, and what is logged of it. */
export interface Telling {
  /** `null` when the package is not ready, or the order's link is revoked. */
  linkOf(order: Order, made: Package): string | null;
  ready(order: Order, made: Package): Consequences;
  failed(error: ErrorRecord): (order: Order, made: Package) => Consequences;
}

export interface TellingParts {
  readonly notices: Notices;
  readonly statistics: Pick<Statistics, "requestOf" | "errorOf">;
  readonly links: Links;
  /** Under which clients reach the server, without a slash at the end. */
  readonly publicUrl: () => string;
}

export function telling({ notices, statistics, links, publicUrl }: TellingParts): Telling {
  function linkOf(order: Order, { status, fileName }: Package): string | null {
    const { id, linkGeneration: generation, linkExpiresAt: expiresAt } = order;
    if (status !== "ready" || fileName === null || expiresAt === null) return null;
    return `${publicUrl()}/links/${links.sign({ kind: "order", id, generation, expiresAt })}/${fileName}`;
  }

  return {
    linkOf,

    /** Who has left no address finds the package by asking: that is when they are served. */
    ready(order, made) {
      const messages = notices.ready(order, made, linkOf(order, made) ?? "");
      return messages.length > 0 ? { messages } : { messages, request: statistics.requestOf(order, made) };
    },

    failed: (error) => (order, made) => ({
      messages: notices.failed(order, made, error),
      error: statistics.errorOf(order, made, error.message),
    }),
  };
}
