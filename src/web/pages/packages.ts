import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { hasScope } from "../../core/access/access.ts";
import { AppError } from "../../core/errors.ts";
import { orderId } from "../../core/ids.ts";
import { orderRequest } from "../../core/packages/order-form.ts";
import type { PackageStatus } from "../../core/packages/package.ts";
import type { OrderedPackage } from "../../core/packages/packages.ts";
import { PackageParams } from "../../http/api/package-schemas.ts";
import { statusOf } from "../../http/problem.ts";
import { countText, sizeText, timeOf } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { badge, facts, formField, live, type Reader, table } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { copyable } from "../terminal.ts";
import { FormBody } from "./form-body.ts";
import { judgedOrder, NEW_ORDER, orderForm, orderProblems, previewTable } from "./package-form.ts";

const ORDERS_SHOWN = 50;
const EVERY_SECONDS = 2;
const LOOKS: Readonly<Record<PackageStatus, Parameters<typeof badge>[0]>> = {
  building: "busy",
  ready: "good",
  failed: "bad",
  expired: "plain",
};

const ListQuery = z.object({ before: z.string().max(64).transform(orderId).optional() });

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
${orderForm(reader, NEW_ORDER)}
<h2>${say("packages.list")}</h2>
${live("list", EVERY_SECONDS, list)}
<p class="actions">${query.before !== undefined && html`<a href="${link("/packages")}">${say("packages.newest")}</a>`}
${found.length > ORDERS_SHOWN && html`<a href="${link(`/packages?before=${shown.at(-1)?.order.id}`)}">${say("packages.older")}</a>`}</p>`;
      return show(request, reply, { title: say("packages.title"), path: "/packages", body });
    });

    app.post(
      "/packages",
      { config: { scope: "read", isForm: true }, schema: { body: FormBody } },
      async (request, reply) => {
        const { principal, body: typed } = request;
        const reader = readerOf(request);
        const again = (status: number, body: Html) =>
          show(request, reply.code(status), { title: reader.say("packages.title"), path: "/packages", body });
        const judged = judgedOrder(reader, typed);
        if ("problems" in judged) return again(400, orderForm(reader, typed, judged.problems));
        const { form } = judged;
        const wanted = orderRequest(form, principal.name);
        try {
          if (typed.action === "preview") {
            const preview = await packages.preview(wanted);
            return again(200, html`${orderForm(reader, typed)}${previewTable(reader, preview)}`);
          }
          const { order } = await packages.order(wanted);
          const { kind, resourceId } = form;
          await audit.record(principal.name, "package.order", `package/${order.id}`, { kind, resourceId });
          return reply.redirect(link(`/packages/${order.id}`), 303);
        } catch (error) {
          if (typed.action === "preview" && isPortals(error))
            return again(statusOf(error), orderForm(reader, typed, {}, error.message));
          return again(400, orderForm(reader, typed, orderProblems(reader, error)));
        }
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

/** Is it what the portal did, and not what was typed? */
function isPortals(error: unknown): error is AppError {
  if (!(error instanceof AppError) || error.kind === "internal") return false;
  return error.code !== "request_invalid" && error.code !== "fetch_refused";
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
