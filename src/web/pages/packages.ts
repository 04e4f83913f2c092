import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { hasScope } from "../../core/access/access.ts";
import { AppError } from "../../core/errors.ts";
import { orderId } from "../../core/ids.ts";
import { OrderForm, orderRequest } from "../../core/packages/order-form.ts";
import { PACKAGE_KINDS, type PackageStatus, TABLE_FORMATS } from "../../core/packages/package.ts";
import type { OrderedPackage } from "../../core/packages/packages.ts";
import { PackageParams } from "../../http/api/package-schemas.ts";
import { countText, sizeText, timeOf } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { badge, facts, formField, live, type Reader, table } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { copyable } from "../terminal.ts";

const ORDERS_SHOWN = 50;
const EVERY_SECONDS = 2;
const LOOKS: Readonly<Record<PackageStatus, Parameters<typeof badge>[0]>> = {
  building: "busy",
  ready: "good",
  failed: "bad",
  expired: "plain",
};

const ListQuery = z.object({ before: z.string().max(64).transform(orderId).optional() });
const Field = z
  .string()
  .trim()
  .max(64 * 1024)
  .default("");
const Typed = z.looseObject({
  kind: z.enum(PACKAGE_KINDS),
  apiUrl: Field,
  resourceId: Field,
  resourceUrl: Field,
  format: z.enum(TABLE_FORMATS),
  q: Field,
  filters: Field,
  fields: Field,
  limit: Field,
  email: Field,
});

/** Packages of portals: ordering one, how it stands, and its link. */
export const packagePageRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { audit, packages, link, show, readerOf } = context;

    app.get("/packages", { config: { scope: "read" }, schema: { querystring: ListQuery } }, async (request, reply) => {
      const reader = readerOf(request);
      const { say } = reader;
      const { principal, query } = request;
      const found = await packages.list(principal, {
        limit: ORDERS_SHOWN + 1,
        ...(query.before !== undefined && { before: query.before }),
      });
      const shown = found.slice(0, ORDERS_SHOWN);
      const list = shown.length === 0 ? html`<p class="soft">${say("packages.none")}</p>` : orderTable(reader, shown);
      const body = html`${hasScope(principal, "operate") && html`<p class="actions"><a href="${link("/packages/statistics")}">${say("packages.statistics")}</a></p>`}
${orderForm(reader)}
<h2>${say("packages.list")}</h2>
${live("list", EVERY_SECONDS, list)}
<p class="actions">${query.before !== undefined && html`<a href="${link("/packages")}">${say("packages.newest")}</a>`}
${found.length > ORDERS_SHOWN && html`<a href="${link(`/packages?before=${shown.at(-1)?.order.id}`)}">${say("packages.older")}</a>`}</p>`;
      return show(request, reply, { title: say("packages.title"), path: "/packages", body });
    });

    app.post(
      "/packages",
      { config: { scope: "read", isForm: true }, schema: { body: Typed } },
      async ({ principal, body }, reply) => {
        const form = orderOf(body);
        const { order } = await packages.order(orderRequest(form, principal.name));
        const { kind, resourceId } = form;
        await audit.record(principal.name, "package.order", `package/${order.id}`, { kind, resourceId });
        return reply.redirect(link(`/packages/${order.id}`), 303);
      },
    );

    app.get(
      "/packages/:id",
      { config: { scope: "read" }, schema: { params: PackageParams } },
      async (request, reply) => {
        const reader = readerOf(request);
        const ordered = await packages.get(request.principal, request.params.id);
        const state = orderState(reader, ordered);
        return show(request, reply, {
          title: reader.say("package.title", { resource: ordered.package.recipe.resourceId }),
          path: "/packages",
          body: ordered.package.status === "building" ? live("package", EVERY_SECONDS, state) : state,
          scripts: ["copy.js"],
        });
      },
    );

    for (const verb of ["renew", "revoke"] as const)
      app.post(
        `/packages/:id/${verb}`,
        { config: { scope: "read", isForm: true }, schema: { params: PackageParams } },
        async ({ principal, params }, reply) => {
          await packages[verb](principal, params.id);
          await audit.record(principal.name, `package.${verb}`, `package/${params.id}`);
          return reply.redirect(link(`/packages/${params.id}`), 303);
        },
      );
  };

/** What was typed, as the API takes it. @throws AppError request_invalid. */
function orderOf(typed: z.output<typeof Typed>): z.output<typeof OrderForm> {
  const { kind, resourceId, apiUrl, resourceUrl, format, q, filters, fields, limit, email } = typed;
  const rows = { apiUrl, format, q, fields, limit: limit && Number(limit), filters: filters && filtersOf(filters) };
  const given = { kind, resourceId, email, ...(kind === "url" ? { resourceUrl } : rows) };
  const judged = OrderForm.safeParse(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== "")));
  if (judged.success) return judged.data;
  const problems = judged.error.issues.map(({ path, message }) => ({ path: path.join("/"), message }));
  throw new AppError("request_invalid", { problems });
}

/** @throws AppError request_invalid for a line without `=`. */
export function filtersOf(text: string): Readonly<Record<string, readonly string[]>> {
  const filters = new Map<string, string[]>();
  for (const line of text.split(/\r?\n/).filter((one) => one.trim() !== "")) {
    const at = line.indexOf("=");
    const field = line.slice(0, at).trim();
    if (at < 0 || field === "")
      throw new AppError("request_invalid", { expected: "field=value", found: line.slice(0, 100) });
    filters.set(field, [...(filters.get(field) ?? []), line.slice(at + 1).trim()]);
  }
  return Object.fromEntries(filters);
}

function statusBadge({ say }: Reader, status: PackageStatus): Html {
  return badge(LOOKS[status], say(`packageStatus.${status}`));
}

function orderTable(reader: Reader, orders: readonly OrderedPackage[]): Html {
  const { say, link } = reader;
  return table(
    say("packages.list"),
    [
      say("packages.resourceId"),
      say("packages.status"),
      say("packages.format"),
      say("packages.rows"),
      say("packages.size"),
      say("packages.owner"),
      say("packages.ordered"),
    ],
    orders.map(({ order, package: made }) => [
      html`<a href="${link(`/packages/${order.id}`)}">${made.recipe.resourceId}</a>`,
      statusBadge(reader, made.status),
      made.recipe.format,
      made.rowCount !== null && countText(made.rowCount),
      made.sizeBytes !== null && sizeText(made.sizeBytes),
      order.owner,
      timeOf(order.createdAt),
    ]),
    [3, 4],
  );
}

function orderForm({ say, link, formToken }: Reader): Html {
  return html`<h2>${say("packages.order")}</h2>
<form class="row" method="post" action="${link("/packages")}">${formField(formToken)}
<label>${say("packages.kind")}<select name="kind">${PACKAGE_KINDS.map((kind) => html`<option value="${kind}">${say(`packageKind.${kind}`)}</option>`)}</select></label>
<label class="wide">${say("packages.apiUrl")}<input name="apiUrl" type="url" maxlength="4096"></label>
<label>${say("packages.resourceId")}<input name="resourceId" required maxlength="255"></label>
<label>${say("packages.format")}<select name="format">${TABLE_FORMATS.map((format) => html`<option>${format}</option>`)}</select></label>
<label>${say("packages.q")}<input name="q"></label>
<label>${say("packages.fields")}<input name="fields"></label>
<label>${say("packages.limit")}<input name="limit" type="number" min="1"></label>
<label>${say("packages.email")}<input name="email" type="email" maxlength="254"></label>
<label class="wide">${say("packages.filters")}<textarea name="filters" rows="3" aria-describedby="filters-hint"></textarea>
<span class="hint" id="filters-hint">${say("packages.filtersHint")}</span></label>
<label class="wide">${say("packages.resourceUrl")}<input name="resourceUrl" type="url" maxlength="4096"></label>
<button>${say("packages.submit")}</button></form>`;
}

function orderState(reader: Reader, { order, package: made, link: shared }: OrderedPackage): Html {
  const { say, link, formToken } = reader;
  const { recipe, status, error, job, rowCount, sizeBytes, digest } = made;
  const action = (verb: "renew" | "revoke", look: string) =>
    html`<form method="post" action="${link(`/packages/${order.id}/${verb}`)}">${formField(formToken)}<button class="${look}">${say(`package.${verb}`)}</button></form>`;
  return html`${facts([
    [say("packages.status"), statusBadge(reader, status)],
    [say("packages.kind"), say(`packageKind.${recipe.kind}`)],
    [say("package.portal"), recipe.apiUrl ?? recipe.resourceUrl],
    [say("packages.filters"), recipe.filters && html`<code>${JSON.stringify(recipe.filters)}</code>`],
    [say("packages.rows"), rowCount !== null && countText(rowCount)],
    [say("packages.size"), sizeBytes !== null && sizeText(sizeBytes)],
    [say("package.digest"), digest !== null && html`<code>${digest}</code>`],
    [say("packages.owner"), order.owner],
    [say("packages.ordered"), timeOf(order.createdAt)],
    [say("package.job"), job !== null && html`<a href="${link(`/jobs/${job}`)}">${String(job)}</a>`],
    [say("package.downloads"), countText(order.downloads)],
    [say("package.until"), order.linkExpiresAt !== null && timeOf(order.linkExpiresAt)],
  ])}
${error && html`<h2>${say("package.wrong")}</h2><p class="notice">${error.message}</p>`}
${
  status === "ready" &&
  html`<div class="actions"><a class="button" href="${link(`/api/v1/packages/${order.id}/download`)}" download>${say("package.download")}</a>
${action("renew", "quiet")}${shared !== null && action("revoke", "danger")}</div>`
}
${shared !== null && html`<h2>${say("package.link")}</h2>${copyable(reader, shared)}`}`;
}
