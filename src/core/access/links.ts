import { createHmac, timingSafeEqual } from "node:crypto";
import type { KeyRing } from "./key-ring.ts";

/** What a link says, and whoever holds it cannot change. */
export interface LinkClaim {
  /** What kind of thing it leads to: a link for one kind is no link for another. */
  readonly kind: "order" | "cart" | "crawl";
  /** Letters, digits, `-` and `_`. */
  readonly id: string;
  /** Links of an earlier generation than the thing's own are revoked. */
  readonly generation: number;
  /** Epoch milliseconds; cut to the second. */
  readonly expiresAt: number;
}

export interface Links {
  /** @returns text that may stand in a path: letters, digits, `-`, `_` and dots. */
  sign(claim: LinkClaim): string;
  /**
   * What a signed text says, expired or not; `undefined` when we have not signed it. Whether it has expired or was revoked
   * is for the caller to say, who can then say so.
   */
  read(kind: LinkClaim["kind"], text: string): LinkClaim | undefined;
}

const SIGNATURE_BYTES = 16; // 128 bits: cannot be guessed, and the link stays short enough for mails
const FORM = /^([\w-]{1,64})\.([0-9a-z]{1,8})\.([0-9a-z]{1,9})\.([\w-]{22})$/;

/**
 * Links that need no table: `<id>.<generation>.<expiry>.<signature>`, numbers in base 36, the expiry in seconds. The
 * signature is HMAC-SHA-256 (RFC 2104, cut as its §5 allows) over everything else and the kind.
 */
export function signedLinks(keys: KeyRing): Links {
  const key = keys.derive("links");

  const signatureOf = (kind: LinkClaim["kind"], body: string) =>
    createHmac("sha256", key).update(`${kind}\n${body}`).digest().subarray(0, SIGNATURE_BYTES).toString("base64url");

  return {
    sign({ kind, id, generation, expiresAt }) {
      const body = `${id}.${generation.toString(36)}.${Math.floor(expiresAt / 1_000).toString(36)}`;
      return `${body}.${signatureOf(kind, body)}`;
    },
    read(kind, text) {
      const [, id = "", generation = "", expiry = "", signature = ""] = FORM.exec(text) ?? [];
      const body = `${id}.${generation}.${expiry}`;
      // As text: several spellings of base64url mean the same bytes, and one of them is ours.
      const [given, own] = [Buffer.from(signature), Buffer.from(signatureOf(kind, body))];
      if (given.length !== own.length || !timingSafeEqual(given, own)) return undefined;
      return { kind, id, generation: Number.parseInt(generation, 36), expiresAt: Number.parseInt(expiry, 36) * 1_000 };
    },
  };
}
