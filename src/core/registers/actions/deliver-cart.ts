import type { Readable } from "node:stream";
import type { Principal } from "../../access/access.ts";
import type { Links } from "../../access/links.ts";
import type { Cart, CartEntry } from "../../carts/cart.ts";
import type { Carts } from "../../carts/carts.ts";
import type { OutboxMessage } from "../../catalogue/catalogue-store.ts";
import { type Clock, isoTime } from "../../clock.ts";
import { factsOfStream, type StreamFacts } from "../../digest.ts";
import { AppError } from "../../errors.ts";
import { cartId } from "../../ids.ts";
import { PutOff } from "../../jobs/worker.ts";
import { isMailAddress } from "../../notify/address.ts";
import { MAIL_CHANNEL } from "../../notify/notices.ts";
import type { Action } from "../declaration-form.ts";
import { filledPath, filledText } from "../places.ts";
import type { ActionContext, ActionRunner } from "../register-job.ts";
import type { ActionPlaces, WorkFolder } from "./action-places.ts";

export interface DeliverCartParts {
  readonly carts: Pick<Carts, "create" | "get" | "entries">;
  /** The bytes of an entry of a ready cart. */
  readonly open: (location: CartEntry["location"]) => Promise<Readable>;
  readonly places: Pick<ActionPlaces, "work">;
  readonly links: Pick<Links, "sign">;
  readonly publicUrl: () => string;
  readonly mailFrom: string;
  readonly canMail: boolean;
  readonly clock: Clock;
}

type CartAction = Extract<Action, { do: "cart" }>;

/** How long a cart that is being staged is left alone. */
const STAGING_PAUSE_MS = 2_000;
/** Left free beside what is delivered. */
const SPARE_BYTES = 64 * 1024 ** 2;
/** How long a link in a mail works. */
const LINK_MS = 7 * 86_400_000;
const PAGE = 500;

/**
 * Makes a cart of an archived file and delivers it: into a folder, each file read back and compared, or as a link by mail.
 * A file that is there and the same is delivered; one that is there and another is left alone.
 */
export function deliverCart(parts: DeliverCartParts): ActionRunner<CartAction> {
  const { carts, open, places, clock } = parts;

  /** The cart that this attempt has made, or makes. @throws PutOff while its files are brought online. */
  async function readyCart(
    { entry, action, noted, note }: ActionContext<CartAction>,
    principal: Principal,
  ): Promise<Cart> {
    if (typeof noted.cart !== "string") {
      const wanted = filledText(action.file, entry);
      const made = await carts.create(principal, {
        name: `${entry.register}-${entry.id}`,
        ...(/^[1-9]\d*$/.test(wanted)
          ? { files: [{ id: Number(wanted) }] }
          : { search: `type:file name:"${wanted.replaceAll(/["\\]/g, "\\$&")}"` }),
      });
      await note({ cart: made.id });
      if (made.status === "ready") return made;
    }
    const cart = await carts.get(principal, cartId(String(noted.cart)));
    if (cart.status === "waiting" || cart.status === "staging") throw new PutOff(STAGING_PAUSE_MS);
    if (cart.status === "ready") return cart;
    throw new AppError("action_failed", {
      cart: cart.id,
      status: cart.status,
      reason: cart.problems[0]?.message ?? "its files cannot be had",
    });
  }

  async function intoFolder(context: ActionContext<CartAction>, cart: Cart, principal: Principal, template: string) {
    const { entry, signal, tasks } = context;
    const folder = await places.work(filledPath(template, entry));
    try {
      const freeBytes = await folder.freeBytes();
      if (freeBytes !== undefined && freeBytes < cart.sizeBytes + SPARE_BYTES)
        throw new AppError("storage_full", { expected: cart.sizeBytes + SPARE_BYTES, found: freeBytes });
      for (let from = 0; from < cart.fileCount; ) {
        const page = await carts.entries(principal, cart.id, from, PAGE);
        for (const file of page) {
          signal.throwIfAborted();
          await deliver(file, cart, folder, signal);
          tasks.advance({ files: 1, bytes: file.sizeBytes });
        }
        if (page.length === 0) break;
        from += page.length;
      }
    } finally {
      await folder.target.close();
    }
    return `${cart.fileCount} ${cart.fileCount === 1 ? "file" : "files"}, ${cart.sizeBytes} bytes, in ${filledPath(template, entry)}`;
  }

  async function deliver(file: CartEntry, cart: Cart, { target }: WorkFolder, signal: AbortSignal): Promise<void> {
    const path = cart.fileCount === 1 ? file.path.slice(file.path.lastIndexOf("/") + 1) : file.path;
    const names = [...new Set([cart.algorithm, "sha256" as const])];
    const read = async () => factsOfStream(await open(file.location), names, signal);
    const earlier = await target.facts(path, signal);
    if (earlier === undefined) {
      await target.put(path, await open(file.location), signal);
    }
    const [source, there] = [await read(), await target.facts(path, signal)];
    if (source.digests[cart.algorithm] !== file.digest || source.sizeBytes !== file.sizeBytes)
      throw new AppError("object_corrupt", {
        path,
        expected: file.digest ?? "",
        found: source.digests[cart.algorithm] ?? "",
      });
    if (there && isSame(source, there)) return;
    if (earlier === undefined) await target.remove(path);
    const facts = { path, expected: source.digests.sha256 ?? "", found: there?.digests.sha256 ?? "nothing" };
    throw new AppError(earlier === undefined ? "copy_mismatch" : "target_occupied", facts);
  }

  async function byMail({ entry, settle }: ActionContext<CartAction>, cart: Cart, template: string) {
    const to = filledText(template, entry);
    if (!isMailAddress(to) || !parts.canMail)
      throw new AppError("request_invalid", {
        expected: "a mail address, and LONGSHORE_SMTP_URL",
        found: to.slice(0, 100),
      });
    await settle();
    const expiresAt = Math.min(clock.now() + LINK_MS, cart.expiresAt ?? Number.POSITIVE_INFINITY);
    const token = parts.links.sign({ kind: "cart", id: cart.id, generation: 0, expiresAt });
    const link = `${parts.publicUrl()}/links/cart/${token}/${encodeURIComponent(cart.name)}.zip`;
    const text = `Hello,

the files you asked for are ready: ${cart.fileCount}, ${cart.sizeBytes} bytes.

Download: ${link}

The link works until ${isoTime(expiresAt)}.
`;
    const message: OutboxMessage = {
      key: `${MAIL_CHANNEL}:cart:${cart.id}`,
      channel: MAIL_CHANNEL,
      target: to,
      payload: { from: parts.mailFrom, subject: "Your files are ready", text },
    };
    return { reason: `a link is sent to ${to}`, messages: [message] };
  }

  return async (context) => {
    const { entry, action, settle } = context;
    const scopes = action.reach === "everything" ? (["read", "operate"] as const) : (["read"] as const);
    const principal: Principal = { name: entry.owner, scopes, via: "token" };
    const cart = await readyCart(context, principal);
    if ("mail" in action.deliver) return byMail(context, cart, action.deliver.mail);
    const reason = await intoFolder(context, cart, principal, action.deliver.folder);
    await settle();
    return { reason };
  };
}

function isSame(one: StreamFacts, other: StreamFacts): boolean {
  return one.sizeBytes === other.sizeBytes && one.digests.sha256 === other.digests.sha256;
}
