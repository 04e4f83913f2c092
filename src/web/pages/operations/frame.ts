import type { FastifyReply, FastifyRequest } from "fastify";
import { hasScope } from "../../../core/access/access.ts";
import { type Html, html, type Part } from "../../html.ts";
import type { NavigationItem, Page, Reader } from "../../layout.ts";
import type { PageContext } from "../../page-context.ts";

/** The pages for operators, in the order of their navigation. */
const PARTS = [
  { path: "/operations", label: "operations.state", scope: "operate" },
  { path: "/operations/switches", label: "operations.switches", scope: "operate" },
  { path: "/operations/nodes", label: "operations.nodes", scope: "operate" },
  { path: "/operations/fixity", label: "operations.fixity", scope: "operate" },
  { path: "/operations/audit", label: "operations.audit", scope: "operate" },
  { path: "/operations/tokens", label: "operations.tokens", scope: "admin" },
  { path: "/operations/settings", label: "operations.settings", scope: "admin" },
] as const satisfies readonly NavigationItem[];

/** Sends one of them, below what leads to the others that the reader may see. */
export async function showPart(
  { show, readerOf }: PageContext,
  request: FastifyRequest,
  reply: FastifyReply,
  path: (typeof PARTS)[number]["path"],
  body: Part,
  page: Partial<Page> = {},
): Promise<FastifyReply> {
  const reader = readerOf(request);
  const label = PARTS.find((part) => part.path === path)?.label ?? "nav.operations";
  return show(request, reply, {
    title: reader.say(label),
    ...page,
    path: "/operations",
    body: html`${navigation(reader, path)}\n${body}`,
  });
}

function navigation({ principal, say, link }: Reader, current: string): Html {
  const items = PARTS.filter(({ scope }) => principal && hasScope(principal, scope));
  return html`<nav aria-label="${say("operations.parts")}"><ul class="parts">${items.map(
    ({ path, label }) =>
      html`<li><a href="${link(path)}"${path === current && html` aria-current="page"`}>${say(label)}</a></li>`,
  )}</ul></nav>`;
}
