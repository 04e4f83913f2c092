import type { Cart, CartStatus } from "../../core/carts/cart.ts";
import { countText, durationText, sizeText, timeOf } from "../formats.ts";
import { type Html, html, type Part } from "../html.ts";
import { badge, formField, type Reader, table } from "../layout.ts";
import type { MessageName } from "../messages.ts";

const LOOKS: Readonly<Record<CartStatus, Parameters<typeof badge>[0]>> = {
  waiting: "busy",
  staging: "busy",
  ready: "good",
  error: "bad",
  expired: "plain",
};

/** What `POST /carts` makes a cart of. */
export interface CartFields {
  readonly name: string;
  readonly transaction?: number;
  /** Of the archived path, with a slash at its end. */
  readonly prefix?: string;
  readonly file?: number;
  readonly search?: string;
}

export function cartStatusBadge({ say }: Reader, status: CartStatus): Html {
  return badge(LOOKS[status], say(`cartStatus.${status}`));
}

export const isUnderWay = ({ status }: Cart): boolean => status === "waiting" || status === "staging";

/** A button of other pages that makes a cart of what they show. */
export function cartButton({ say, link, formToken }: Reader, label: MessageName, fields: CartFields): Html {
  const inputs = Object.entries(fields).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`,
  );
  return html`<form method="post" action="${link("/carts")}">${formField(formToken)}${inputs}<button class="quiet">${say(label)}</button></form>`;
}

export function cartTable(reader: Reader, carts: readonly Cart[]): Html {
  const { say, link } = reader;
  return table(
    say("carts.title"),
    [
      say("carts.name"),
      say("carts.status"),
      say("carts.files"),
      say("carts.size"),
      say("carts.owner"),
      say("carts.created"),
      say("carts.expires"),
    ],
    carts.map((cart) => [
      html`<a href="${link(`/carts/${cart.id}`)}">${cart.name}</a>`,
      cartStatusBadge(reader, cart.status),
      countText(cart.fileCount),
      sizeText(cart.sizeBytes),
      cart.owner,
      timeOf(cart.createdAt),
      cart.expiresAt !== null && timeOf(cart.expiresAt),
    ]),
    [2, 3],
  );
}

/** How far staging is, and when it will be done: by what the storage says, else by the pace until now. */
export function stagingProgress({ say }: Reader, cart: Cart, now: number): Html {
  const { fileCount, sizeBytes, stagedFiles, stagedBytes, readyAt, createdAt } = cart;
  const amounts = say("cart.amounts", {
    files: countText(stagedFiles),
    totalFiles: countText(fileCount),
    bytes: sizeText(stagedBytes),
    totalBytes: sizeText(sizeBytes),
  });
  const leftMs = stagedBytes > 0 ? ((sizeBytes - stagedBytes) / stagedBytes) * (now - createdAt) : undefined;
  const [done, total] = sizeBytes > 0 ? [stagedBytes, sizeBytes] : [stagedFiles, fileCount];
  const expected: Part =
    readyAt !== null
      ? withTime(say("cart.expected"), readyAt)
      : leftMs !== undefined && leftMs > 0 && say("cart.pace", { duration: durationText(leftMs) });
  return html`<progress max="${Math.max(1, total)}" value="${done}" aria-label="${say("cart.staging")}"></progress> ${amounts}${expected && html`<br>${expected}`}`;
}

/** @param sentence with `{time}` where the time stands. */
function withTime(sentence: string, at: number): Html {
  const [before = "", after = ""] = sentence.split("{time}");
  return html`${before}${timeOf(at)}${after}`;
}
