import { type Cart, type Longshore, LongshoreError } from "../sdk/index.ts";
import { bytesText, countText, durationText, rateMeter, transferText } from "./amounts.ts";
import { Interrupted, problemLines } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

export interface CartWaiting {
  readonly client: Longshore;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** Waits until a cart can be downloaded, showing how far it is. @throws LongshoreError cart_failed, cart_expired. */
export async function readyCart({ client, terminal, signal }: CartWaiting, id: string): Promise<Cart> {
  const rate = rateMeter(() => performance.now());
  let told = false;
  try {
    const cart = await client.carts.wait(id, {
      signal,
      onProgress(cart) {
        if (cart.status !== "waiting" && cart.status !== "staging") return;
        if (!told) terminal.note(`  Cart ${id} is being brought online.`);
        told = true;
        terminal.progress(`  ${stagingText(cart, rate.measure(cart.staged.bytes))}`);
      },
      onRetry: (error, pauseMs) => terminal.note(`  ${error.message} Trying again in ${durationText(pauseMs)}.`),
    });
    if (cart.status === "ready") return cart;
    throw notDownloadable(cart);
  } catch (error) {
    if (error instanceof Interrupted)
      throw new Interrupted(`Interrupted: cart ${id} is brought online without us (longshore cart show ${id}).`);
    throw error;
  }
}

function notDownloadable({ id, status, problems, problemCount }: Cart): LongshoreError {
  const details = { details: { id, problems, problemCount } };
  return status === "expired"
    ? new LongshoreError("cart_expired", `Cart ${id} has expired; make another one.`, details)
    : new LongshoreError(
        "cart_failed",
        `Cart ${id} cannot be downloaded: ${countText(problemCount, "file")} of it cannot be had.`,
        details,
      );
}

/** `3 of 10 files, 1.2 GiB of 3.0 GiB (40 %), 98.1 MiB/s, 0:18 left; expected at 2030-…`. */
function stagingText({ files, bytes, staged, readyAt }: Cart, perSecond: number | undefined): string {
  const text = `${staged.files.toLocaleString("en")} of ${countText(files, "file")} online, ${transferText(staged.bytes, bytes, perSecond)}`;
  return readyAt === null ? text : `${text}; expected at ${readyAt}`;
}

/** What a person wants to know of one cart. @param downloads how to get it, when it is ready. */
export function cartLines(cart: Cart, downloads: readonly string[]): string[] {
  const { problems, problemCount } = cart;
  const more = problemCount - problems.length;
  return [
    `Cart ${cart.id}: ${cart.name}, ${cart.status}`,
    `  files      ${cart.files.toLocaleString("en")}`,
    `  bytes      ${cart.bytes.toLocaleString("en")} (${bytesText(cart.bytes)})`,
    ...(cart.status === "staging" ? [`  staging    ${stagingText(cart, undefined)}`] : []),
    ...(cart.job === null ? [] : [`  job        ${cart.job}`]),
    `  created    ${cart.createdAt}`,
    ...(cart.expiresAt === null ? [] : [`  expires    ${cart.expiresAt}`]),
    `  downloads  ${cart.downloads.toLocaleString("en")}${cart.lastUsedAt === null ? "" : `, used last ${cart.lastUsedAt}`}`,
    ...problemLines({ problems }).map((line) => `  problem    ${line}`),
    ...(more > 0 ? [`  problem    … and ${more.toLocaleString("en")} more`] : []),
    ...(cart.status === "ready" ? downloads.map((line) => `  download   ${line}`) : []),
  ];
}
