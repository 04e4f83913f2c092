import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { AuditEntry } from "../../../core/access/access-stores.ts";
import type { ChainVerdict } from "../../../core/access/audit.ts";
import { AuditFilterFields, NotedHead } from "../../../http/api/audit.ts";
import { countText, timeOf } from "../../formats.ts";
import { type Html, html, type Part } from "../../html.ts";
import { badge, facts, type Reader, table } from "../../layout.ts";
import type { PageContext } from "../../page-context.ts";
import { formOf } from "../form-body.ts";
import { showPart } from "./frame.ts";

const PAGE = 50;
const DETAIL_CHARACTERS = 400;

const LogQuery = formOf(z.object({ ...AuditFilterFields, before: z.coerce.number().int().positive().optional() }));
type Filter = Pick<z.output<typeof LogQuery>, "actor" | "action" | "target">;

/** Pages of what entries are about. */
const PAGES: Readonly<Record<string, string>> = { job: "jobs", transaction: "archive", file: "files", cart: "carts" };

/** Who did what, newest first, and whether the log is as it was written. */
export const auditPageRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { audit, link, readerOf } = context;

    app.get(
      "/operations/audit",
      { config: { scope: "operate" }, schema: { querystring: LogQuery } },
      async (request, reply) => {
        const reader = readerOf(request);
        const { say } = reader;
        const { before, actor, action, target } = request.query;
        const found = await audit.newest(before, PAGE + 1, {
          ...(actor !== undefined && { actor }),
          ...(target !== undefined && { target }),
          ...(action !== undefined && { actions: [action] }),
        });
        const shown = found.slice(0, PAGE);
        const filter = Object.entries({ actor, action, target }).filter(([, value]) => value !== undefined);
        const at = (page: Record<string, string>) =>
          link(
            `/operations/audit?${new URLSearchParams({ ...(Object.fromEntries(filter) as Record<string, string>), ...page })}`,
          );
        const body = html`${filterForm(reader, { actor, action, target })}
${shown.length === 0 ? html`<p class="soft">${say("audit.none")}</p>` : entryTable(reader, shown)}
<p class="actions">${before !== undefined && html`<a href="${at({})}">${say("audit.newest")}</a>`}
${found.length > PAGE && html`<a href="${at({ before: String(shown.at(-1)?.seq) })}">${say("audit.older")}</a>`}</p>
${verifyForm(reader)}`;
        return showPart(context, request, reply, "/operations/audit", body);
      },
    );

    app.get(
      "/operations/audit/verification",
      { config: { scope: "operate" }, schema: { querystring: formOf(NotedHead) } },
      async (request, reply) => {
        const { seq, hash } = request.query;
        const verdict = await audit.verifyChain(seq === undefined || hash === undefined ? undefined : { seq, hash });
        const reader = readerOf(request);
        const title = reader.say("audit.verdict");
        return showPart(context, request, reply, "/operations/audit", verdictBody(reader, verdict), { title });
      },
    );
  };

function filterForm({ say, link }: Reader, filter: Filter): Html {
  const field = (name: keyof Filter) =>
    html`<label>${say(`audit.${name}`)}<input name="${name}" value="${filter[name]}" maxlength="1000" autocapitalize="off"></label>`;
  return html`<form class="row" method="get" action="${link("/operations/audit")}">
${field("actor")}${field("action")}${field("target")}
<button>${say("audit.show")}</button> <a class="button quiet" href="${link("/operations/audit")}">${say("audit.all")}</a>
</form>`;
}

function entryTable(reader: Reader, entries: readonly AuditEntry[]): Html {
  const { say } = reader;
  const heads = [say("audit.when"), say("audit.actor"), say("audit.action"), say("audit.target"), say("audit.details")];
  return table(
    say("operations.audit"),
    heads,
    entries.map((entry) => entryRow(reader, entry)),
  );
}

function entryRow({ say, link }: Reader, { at, actor, action, target, details, outcome }: AuditEntry): readonly Part[] {
  const [kind = "", id = "", ...rest] = target.split("/");
  const page = rest.length === 0 && id !== "" ? PAGES[kind] : undefined;
  const text = Object.keys(details).length === 0 ? "" : JSON.stringify(details);
  return [
    timeOf(at),
    actor,
    html`${action}${outcome === "failure" && html` ${badge("bad", say("audit.failure"))}`}`,
    page === undefined ? target : html`<a href="${link(`/${page}/${id}`)}">${target}</a>`,
    html`<code>${text.length > DETAIL_CHARACTERS ? `${text.slice(0, DETAIL_CHARACTERS)}…` : text}</code>`,
  ];
}

function verifyForm({ say, link }: Reader): Html {
  return html`<h2>${say("audit.verify")}</h2>
<p class="hint" id="verify-hint">${say("audit.verifyHint")}</p>
<form class="row" method="get" action="${link("/operations/audit/verification")}">
<label>${say("audit.notedSeq")}<input name="seq" inputmode="numeric" pattern="[0-9]*"></label>
<label class="wide">${say("audit.notedHash")}<input name="hash" class="code" pattern="[0-9a-f]{64}" spellcheck="false" autocapitalize="off"></label>
<button aria-describedby="verify-hint">${say("audit.verify")}</button></form>`;
}

function verdictBody({ say, link }: Reader, { entries, brokenAt, head, hasNoted }: ChainVerdict): Html {
  const sentence =
    brokenAt === null
      ? html`<p class="notice good" role="status">${say("audit.sound", { entries: countText(entries) })}</p>`
      : html`<p class="notice" role="alert">${say("audit.broken", { seq: brokenAt })}</p>`;
  return html`${sentence}
${facts([
  [say("audit.inOrder"), countText(entries)],
  [
    say("audit.noted"),
    hasNoted !== null && notedBadge(hasNoted, say(hasNoted ? "audit.hasNoted" : "audit.lacksNoted")),
  ],
  [say("audit.headSeq"), head?.seq],
  [say("audit.headHash"), head && html`<code>${head.hash}</code>`],
])}
${head && html`<p class="hint">${say("audit.headHint")}</p>`}
<p><a href="${link("/operations/audit")}">${say("audit.back")}</a></p>`;
}

const notedBadge = (hasNoted: boolean, text: string): Html => badge(hasNoted ? "good" : "bad", text);
