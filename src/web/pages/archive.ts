import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { hasScope, maySee, type Principal } from "../../core/access/access.ts";
import { preservationEvents } from "../../core/archive/premis-events.ts";
import type { FolderEntry, Transaction } from "../../core/catalogue/catalogue-store.ts";
import { AppError } from "../../core/errors.ts";
import { type TransactionId, transactionId } from "../../core/ids.ts";
import { TransactionParams } from "../../http/api/schemas.ts";
import { countText, sizeText, timeOf } from "../formats.ts";
import { type Html, html, type Part } from "../html.ts";
import { facts, type Reader, table } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { cartButton } from "./cart-table.ts";
import { EVENTS_SHOWN, timeline } from "./timeline.ts";

const TRANSACTIONS = 50;
const NAMES = 200;
const KEY_VALUES = 200;
/** All files of a bundle lie in it. */
const TOP = "data";

const ListQuery = z.object({ before: z.coerce.number().int().positive().optional() });
const FolderQuery = z.object({
  folder: z.string().max(4_096).prefault(TOP),
  after: z.string().max(4_096).optional(),
  /** Events after this one. */
  events: z.coerce.number().int().nonnegative().default(0),
});

/** Transactions, and what is in each, like folders. */
export const archiveRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { audit, catalogue, link, show, readerOf } = context;
    const history = preservationEvents(audit);

    app.get("/archive", { config: { scope: "read" }, schema: { querystring: ListQuery } }, async (request, reply) => {
      const reader = readerOf(request);
      const { say } = reader;
      const { principal, query } = request;
      const found = await catalogue.listTransactions({
        limit: TRANSACTIONS + 1,
        ...(hasScope(principal, "operate") ? {} : { owner: principal.name }),
        ...(query.before !== undefined && { beforeId: transactionId(query.before) }),
      });
      const shown = found.slice(0, TRANSACTIONS);
      const body = html`${shown.length === 0 ? html`<p class="soft">${say("archive.none")}</p>` : transactionTable(reader, say("archive.title"), shown)}
<p class="actions">${query.before !== undefined && html`<a href="${link("/archive")}">${say("jobs.newer")}</a>`}
${found.length > TRANSACTIONS && html`<a href="${link(`/archive?before=${shown.at(-1)?.id}`)}">${say("jobs.older")}</a>`}</p>`;
      return show(request, reply, { title: say("archive.title"), path: "/archive", body });
    });

    app.get(
      "/archive/:id",
      { config: { scope: "read" }, schema: { params: TransactionParams, querystring: FolderQuery } },
      async (request, reply) => {
        const reader = readerOf(request);
        const { say } = reader;
        const { principal, params, query } = request;
        const transaction = await visibleTransaction(context, principal, params.id);
        const { folder, after } = query;
        const [names, keyValues, events] = await Promise.all([
          catalogue.listFolder(transaction.id, { folder, limit: NAMES + 1, ...(after !== undefined && { after }) }),
          catalogue.keyValues(transaction.id),
          history.list(transaction.id, query.events, EVENTS_SHOWN + 1),
        ]);
        const own = keyValues.filter(({ fileId }) => fileId === null).slice(0, KEY_VALUES);
        const body = html`<div class="actions">${cartButtons(reader, transaction.id, folder)}</div>
<div class="cards"><section class="card">${transactionFacts(reader, transaction)}</section>
<section class="card"><h2>${say("transaction.metadata")}</h2>
${own.length === 0 ? html`<p class="soft">${say("transaction.noKeyValues")}</p>` : facts(own.map(({ key, value }) => [key, value]))}
</section></div>
${folderView(reader, transaction.id, folder, names)}
${timeline(reader, transaction.id, events)}`;
        return show(request, reply, {
          title: say("transaction.title", { id: transaction.id }),
          path: "/archive",
          body,
        });
      },
    );
  };

/** @throws AppError transaction_unknown, also for one that this reader may not see. */
async function visibleTransaction({ catalogue }: PageContext, principal: Principal, id: TransactionId) {
  const found = await catalogue.transaction(id);
  if (!found || !maySee(principal, found.owner)) throw new AppError("transaction_unknown", { id });
  return found;
}

export function transactionTable({ say, link }: Reader, caption: string, shown: readonly Transaction[]): Html {
  return table(
    caption,
    [
      say("archive.transaction"),
      say("archive.project"),
      say("archive.submitter"),
      say("archive.files"),
      say("archive.size"),
      say("archive.deposited"),
    ],
    shown.map(({ id, project, submitter, fileCount, sizeBytes, createdAt }) => [
      html`<a href="${link(`/archive/${id}`)}">${String(id)}</a>`,
      project,
      submitter,
      countText(fileCount),
      sizeText(sizeBytes),
      timeOf(createdAt),
    ]),
    [3, 4],
  );
}

function transactionFacts({ say, link }: Reader, transaction: Transaction): Html {
  const { id, project, submitter, instrument, owner, fileCount, sizeBytes, createdAt, inventoryDigest } = transaction;
  return facts([
    [say("archive.project"), project],
    [say("archive.submitter"), submitter],
    [say("archive.instrument"), instrument],
    [say("jobs.owner"), owner],
    [say("archive.files"), countText(fileCount)],
    [say("archive.size"), sizeText(sizeBytes)],
    [say("archive.deposited"), timeOf(createdAt)],
    [say("transaction.inventory"), html`<code>${inventoryDigest}</code>`],
    [say("transaction.job"), html`<a href="${link(`/jobs/${id}`)}">${String(id)}</a>`],
  ]);
}

function cartButtons(reader: Reader, id: TransactionId, folder: string): Html {
  const chosen = { name: `transaction-${id}`, transaction: id };
  const part = { name: folder.slice(folder.lastIndexOf("/") + 1), transaction: id, prefix: `${folder}/` };
  return html`${cartButton(reader, "carts.ofTransaction", chosen)}${folder !== TOP && cartButton(reader, "carts.ofFolder", part)}`;
}

/** As the depositor has it, where that is no time after all. */
function modifiedOf(modifiedAt: string | null): Part {
  const at = Date.parse(modifiedAt ?? "");
  return Number.isNaN(at) ? modifiedAt : timeOf(at);
}

function folderView({ say, link }: Reader, id: TransactionId, folder: string, names: readonly FolderEntry[]): Html {
  const at = (path: string, more: Record<string, string> = {}) =>
    link(`/archive/${id}?${new URLSearchParams({ folder: path, ...more })}`);
  const parts = folder.split("/");
  const crumbs = parts.map((part, nth) => {
    const path = parts.slice(0, nth + 1).join("/");
    return html`<li>${nth === parts.length - 1 ? html`<span aria-current="true">${part}</span>` : html`<a href="${at(path)}">${part}</a>`}</li>`;
  });
  const shown = names.slice(0, NAMES);
  const last = shown.at(-1);
  const rows = shown.map(({ name, file }) =>
    file === null
      ? [html`<a class="path" href="${at(`${folder}/${name}`)}">${name}/</a>`, null, null, null]
      : [
          html`<a class="path" href="${link(`/files/${file.id}`)}">${name}</a>`,
          file.mediaType,
          sizeText(file.sizeBytes),
          modifiedOf(file.modifiedAt),
        ],
  );
  return html`<h2>${say("transaction.folder")}</h2>
<nav aria-label="${say("transaction.folder")}"><ol class="crumbs">${crumbs}</ol></nav>
${table(say("transaction.folder"), [say("transaction.name"), say("file.mediaType"), say("file.size"), say("file.modified")], rows, [2])}
${
  names.length > NAMES &&
  last &&
  html`<p class="actions"><a href="${at(folder, { after: last.file === null ? `${last.name}/` : last.name })}">${say("transaction.more")}</a></p>`
}`;
}
