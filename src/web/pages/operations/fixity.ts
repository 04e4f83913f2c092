import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { FixityStatus } from "../../../core/fixity/fixity.ts";
import type { FixityCheck } from "../../../core/fixity/fixity-store.ts";
import { transactionId } from "../../../core/ids.ts";
import { FixityRunBody } from "../../../http/api/fixity.ts";
import { countText, sizeText, timeOf } from "../../formats.ts";
import { type Html, html, type Part } from "../../html.ts";
import { facts, formField, type Reader, table } from "../../layout.ts";
import type { PageContext } from "../../page-context.ts";
import { formOf } from "../form-body.ts";
import { showPart } from "./frame.ts";

const PAGE = 50;
const WHICH = ["failure", "never"] as const;

const ChecksQuery = z.object({
  which: z.enum(WHICH).default("failure"),
  after: z.coerce.number().int().positive().transform(transactionId).optional(),
});

/** How much of the archive was checked lately, what was wrong, and a check that begins now. */
export const fixityPageRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { audit, fixity, link, readerOf } = context;

    app.get(
      "/operations/fixity",
      { config: { scope: "operate" }, schema: { querystring: ChecksQuery } },
      async (request, reply) => {
        const reader = readerOf(request);
        const { which, after } = request.query;
        const [status, checks] = await Promise.all([
          fixity.status(),
          fixity.list({ outcome: which === "never" ? null : which, afterId: after, limit: PAGE + 1 }),
        ]);
        const body = html`${statusFacts(reader, status)}${runForm(reader)}${checkList(reader, which, checks)}`;
        return showPart(context, request, reply, "/operations/fixity", body);
      },
    );

    app.post(
      "/operations/fixity/runs",
      {
        config: { scope: "operate", isForm: true },
        schema: {
          body: formOf(FixityRunBody, ({ minutes }) => (minutes === undefined ? {} : { minutes: Number(minutes) })),
        },
      },
      async ({ principal, body }, reply) => {
        const job = await fixity.start(principal.name, body);
        await audit.record(principal.name, "fixity.start", `job/${job.id}`, { ...body });
        return reply.redirect(link(`/jobs/${job.id}`), 303);
      },
    );
  };

function statusFacts({ say }: Reader, status: FixityStatus): Html {
  const { days, share, transactions, bytes, soundTransactions, soundBytes, oldestCheckedAt, today } = status;
  // Rounded down: it is 100 % when all of it was checked, and not before.
  const percent = Math.floor(share * 1_000) / 10;
  return facts([
    [
      say("fixity.coverage", { days }),
      html`<progress max="100" value="${percent}" aria-label="${say("fixity.coverage", { days })}"></progress> ${say("fixity.share", { share: percent })}`,
    ],
    [
      say("fixity.count"),
      say("fixity.transactions", { part: countText(soundTransactions), whole: countText(transactions) }),
    ],
    [say("fixity.size"), say("fixity.bytes", { part: sizeText(soundBytes), whole: sizeText(bytes) })],
    [say("fixity.failed"), countText(status.failedTransactions)],
    [say("fixity.never"), countText(status.neverChecked)],
    [say("fixity.oldest"), oldestCheckedAt !== null && timeOf(oldestCheckedAt)],
    [say("fixity.today"), sizeText(today.bytes)],
  ]);
}

function runForm({ say, link, formToken }: Reader): Html {
  return html`<h2>${say("fixity.run")}</h2>
<form class="row" method="post" action="${link("/operations/fixity/runs")}">${formField(formToken)}
<label>${say("fixity.minutes")}<input type="number" name="minutes" min="1" max="525600" aria-describedby="minutes-hint"></label>
<button>${say("fixity.run")}</button></form>
<p class="hint" id="minutes-hint">${say("fixity.minutesHint")}</p>`;
}

function checkList(reader: Reader, which: (typeof WHICH)[number], checks: readonly FixityCheck[]): Html {
  const { say, link } = reader;
  const shown = checks.slice(0, PAGE);
  const title = { failure: say("fixity.checks"), never: say("fixity.neverChecks") };
  const heads = [say("fixity.transaction"), say("fixity.checkedAt"), say("fixity.problems")];
  const more = new URLSearchParams({ which, after: String(shown.at(-1)?.transactionId ?? "") });
  return html`<h2>${title[which]}</h2>
<form class="row" method="get" action="${link("/operations/fixity")}"><label>${say("fixity.which")}<select name="which">${WHICH.map(
    (one) => html`<option value="${one}"${one === which && html` selected`}>${title[one]}</option>`,
  )}</select></label><button>${say("fixity.show")}</button></form>
${
  shown.length === 0
    ? html`<p class="soft">${say("fixity.noneFailed")}</p>`
    : table(
        title[which],
        heads,
        shown.map((check) => checkRow(reader, check)),
      )
}
${checks.length > PAGE && html`<p class="actions"><a href="${link(`/operations/fixity?${more}`)}">${say("operations.more")}</a></p>`}`;
}

function checkRow({ say, link }: Reader, check: FixityCheck): readonly Part[] {
  const { transactionId: id, checkedAt, problems, problemCount } = check;
  const rest = problemCount - problems.length;
  return [
    html`<a href="${link(`/archive/${id}`)}">${id}</a>`,
    checkedAt !== null && timeOf(checkedAt),
    problems.length > 0 &&
      html`<ul>${problems.map(({ path, message }) => html`<li><span class="path">${path}</span> ${message}</li>`)}</ul>${rest > 0 && html`<p class="soft">${say("fixity.moreProblems", { count: countText(rest) })}</p>`}`,
  ];
}
