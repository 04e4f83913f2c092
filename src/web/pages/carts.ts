import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { Cart, CartEntry } from "../../core/carts/cart.ts";
import { cartId, transactionId } from "../../core/ids.ts";
import { CartParams } from "../../http/api/schemas.ts";
import { wholeAddress } from "../addresses.ts";
import { countText, sizeText, timeOf } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { facts, formField, live, type Reader, table } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { copyable, curlLine, shellWord } from "../terminal.ts";
import { cartStatusBadge, cartTable, isUnderWay, stagingProgress } from "./cart-table.ts";

const CARTS_SHOWN = 50;
const FILES_SHOWN = 100;
const EVERY_SECONDS = 3;
const DAY_MS = 86_400_000;
const LINK_DAYS = [1, 7, 30];

const ListQuery = z.object({ before: z.string().max(64).transform(cartId).optional() });
const FilesQuery = z.object({ from: z.coerce.number().int().nonnegative().default(0) });
const Id = z.coerce.number().int().positive();
/** See `CartFields`; the token of the form is looked at by `face.ts`. */
const CartForm = z.looseObject({
  name: z.string().trim().min(1).max(255),
  transaction: Id.optional(),
  prefix: z.string().max(4_096).optional(),
  file: Id.optional(),
  search: z.string().max(2_000).regex(/\S/, "expected something to find").optional(),
});
const LinkForm = z.looseObject({ days: z.coerce.number().int().min(1).max(365) });

/** Carts: what is in each, how far it is, how to download it, and a link for others. */
export const cartPageRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { audit, carts, clock, links, link, show, readerOf } = context;

    app.get("/carts", { config: { scope: "read" }, schema: { querystring: ListQuery } }, async (request, reply) => {
      const reader = readerOf(request);
      const { say } = reader;
      const { before } = request.query;
      const found = await carts.list(request.principal, {
        limit: CARTS_SHOWN + 1,
        ...(before !== undefined && { before }),
      });
      const shown = found.slice(0, CARTS_SHOWN);
      const list = shown.length === 0 ? html`<p class="soft">${say("carts.none")}</p>` : cartTable(reader, shown);
      const body = html`${shown.some(isUnderWay) ? live("list", EVERY_SECONDS, list) : list}
<p class="actions">${before !== undefined && html`<a href="${link("/carts")}">${say("carts.newest")}</a>`}
${found.length > CARTS_SHOWN && html`<a href="${link(`/carts?before=${shown.at(-1)?.id}`)}">${say("carts.older")}</a>`}</p>`;
      return show(request, reply, { title: say("carts.title"), path: "/carts", body });
    });

    app.post(
      "/carts",
      { config: { scope: "read", isForm: true }, schema: { body: CartForm } },
      async ({ principal, body, raw }, reply) => {
        raw.socket.setTimeout(0); // as in the API: many files take minutes, and nothing is sent meanwhile
        const { name, transaction, prefix, file, search } = body;
        const cart = await carts.create(principal, {
          name,
          ...(transaction !== undefined && {
            transactions: [{ id: transactionId(transaction), ...(prefix !== undefined && { prefix }) }],
          }),
          ...(file !== undefined && { files: [{ id: file }] }),
          ...(search !== undefined && { search }),
        });
        const { id, fileCount: files, sizeBytes: bytes } = cart;
        await audit.record(principal.name, "cart.create", `cart/${id}`, { files, bytes });
        return reply.redirect(link(`/carts/${id}`), 303);
      },
    );

    app.get(
      "/carts/:id",
      { config: { scope: "read" }, schema: { params: CartParams, querystring: FilesQuery } },
      async (request, reply) => {
        const reader = readerOf(request);
        const { principal, params, query } = request;
        const cart = await carts.get(principal, params.id);
        const entries = await carts.entries(principal, cart.id, query.from, FILES_SHOWN + 1);
        const state = html`${cartState(reader, cart, clock.now())}
${cart.status === "ready" && html`${terminalLines(reader, cart, (path) => wholeAddress(context, request, path))}${linkForm(reader, cart)}`}`;
        const body = html`${isUnderWay(cart) ? live("cart", EVERY_SECONDS, state) : state}
${contents(reader, cart, entries, query.from)}
${removal(reader, cart)}`;
        const title = reader.say("cart.title", { name: cart.name });
        return show(request, reply, { title, path: "/carts", body, scripts: ["copy.js"] });
      },
    );

    // Answered with the link itself and not by leading on to it: an address is kept in histories and logs.
    app.post(
      "/carts/:id/link",
      { config: { scope: "read", isForm: true }, schema: { params: CartParams, body: LinkForm } },
      async (request, reply) => {
        const reader = readerOf(request);
        const { say } = reader;
        const { principal, params, body: form } = request;
        const cart = await carts.get(principal, params.id);
        await carts.download(cart, { format: "zip", content: "manifest" }); // a link to nothing is refused with the reason
        const expiresAt = clock.now() + form.days * DAY_MS;
        const token = links.sign({ kind: "cart", id: cart.id, generation: 0, expiresAt });
        await audit.record(principal.name, "cart.link", `cart/${cart.id}`, { expiresAt });
        const address = wholeAddress(context, request, `/links/cart/${token}/${encodeURIComponent(cart.name)}.zip`);
        return show(request, reply, {
          title: say("cart.linkTitle", { name: cart.name }),
          path: "/carts",
          body: html`${copyable(reader, address)}
${facts([[say("cart.linkUntil"), timeOf(expiresAt)]])}
<p class="hint">${say("cart.linkKeep")}</p>
<p><a href="${link(`/carts/${cart.id}`)}">${say("cart.back")}</a></p>`,
          scripts: ["copy.js"],
        });
      },
    );

    app.post(
      "/carts/:id/remove",
      { config: { scope: "read", isForm: true }, schema: { params: CartParams } },
      async ({ principal, params }, reply) => {
        await carts.remove(principal, params.id);
        await audit.record(principal.name, "cart.delete", `cart/${params.id}`);
        return reply.redirect(link("/carts"), 303);
      },
    );
  };

function cartState(reader: Reader, cart: Cart, now: number): Html {
  const { say, link } = reader;
  const { id, status, stageJob, problems, problemCount, expiresAt } = cart;
  const at = (path: string) => link(`/api/v1/carts/${id}/${path}`);
  return html`${facts([
    [say("carts.status"), cartStatusBadge(reader, status)],
    [say("cart.staging"), isUnderWay(cart) && stagingProgress(reader, cart, now)],
    [say("carts.files"), countText(cart.fileCount)],
    [say("carts.size"), sizeText(cart.sizeBytes)],
    [say("carts.owner"), cart.owner],
    [say("carts.created"), timeOf(cart.createdAt)],
    [say("carts.expires"), expiresAt !== null && timeOf(expiresAt)],
    [say("cart.downloads"), countText(cart.downloads)],
    [say("cart.job"), stageJob !== null && html`<a href="${link(`/jobs/${stageJob}`)}">${String(stageJob)}</a>`],
  ])}
${
  problems.length > 0 &&
  html`<h2>${say("cart.problems")}</h2><ul>${problems.map(({ path, message }) => html`<li><span class="path">${path}</span> ${message}</li>`)}</ul>
${problemCount > problems.length && html`<p class="soft">${say("cart.moreProblems", { count: countText(problemCount - problems.length) })}</p>`}`
}
${
  status === "ready" &&
  html`<h2>${say("cart.download")}</h2><div class="actions">
<a class="button" href="${at("download.tar")}" download>${say("cart.tar")}</a>
<a class="button" href="${at("download.zip")}" download>${say("cart.zip")}</a>
<a class="button quiet" href="${at("manifest")}" download>${say("cart.manifest")}</a></div>`
}`;
}

/** Both continue where they were broken off when they are called again. */
function terminalLines(reader: Reader, { id, name }: Cart, whole: (path: string) => string): Html {
  const address = whole(`/api/v1/carts/${id}/download.tar`);
  return html`<h2>${reader.say("cart.terminal")}</h2>
${copyable(reader, curlLine(reader, `-C - -o ${shellWord(`${name}.tar`)} ${shellWord(address)}`))}
${copyable(reader, `longshore get ${id}`)}`;
}

function linkForm({ say, link, formToken }: Reader, { id }: Cart): Html {
  const option = (days: number) =>
    html`<option value="${days}"${days === 7 && html` selected`}>${days === 1 ? say("cart.day") : say("cart.days", { count: days })}</option>`;
  return html`<h2>${say("cart.share")}</h2>
<form class="row" method="post" action="${link(`/carts/${id}/link`)}">${formField(formToken)}
<label>${say("cart.shareDays")}<select name="days" aria-describedby="share-hint">${LINK_DAYS.map(option)}</select></label>
<button>${say("cart.makeLink")}</button></form>
<p class="hint" id="share-hint">${say("cart.shareHint")}</p>`;
}

function contents({ say, link }: Reader, { id }: Cart, entries: readonly CartEntry[], from: number): Html {
  const shown = entries.slice(0, FILES_SHOWN);
  const at = (first: number) => link(`/carts/${id}?from=${first}`);
  const nameOf = ({ path, fileId }: CartEntry) =>
    fileId === null
      ? html`<span class="path">${path}</span>`
      : html`<a class="path" href="${link(`/files/${fileId}`)}">${path}</a>`;
  return html`<h2>${say("cart.contents")}</h2>
${table(
  say("cart.contents"),
  [say("cart.path"), say("carts.size"), say("cart.place")],
  shown.map((entry) => [nameOf(entry), sizeText(entry.sizeBytes), say(`cartPlace.${entry.location.at}`)]),
  [1],
)}
<p class="actions">${from > 0 && html`<a href="${at(0)}">${say("cart.firstFiles")}</a>`}
${entries.length > FILES_SHOWN && html`<a href="${at(from + FILES_SHOWN)}">${say("cart.moreFiles")}</a>`}</p>`;
}

function removal({ say, link, formToken }: Reader, { id }: Cart): Html {
  return html`<form class="row" method="post" action="${link(`/carts/${id}/remove`)}">${formField(formToken)}
<button class="danger" aria-describedby="remove-hint">${say("cart.remove")}</button><span class="hint" id="remove-hint">${say("cart.removeHint")}</span></form>`;
}
