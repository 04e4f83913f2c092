import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { hasScope, type Principal } from "../../core/access/access.ts";
import { countText, sizeText } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { live, type Reader } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { transactionTable } from "./archive.ts";
import { jobRow, jobTable } from "./job-table.ts";

const SHOWN = 10;
const WEEK_MS = 7 * 86_400_000;
/** As `doctor` has it: make room soon. */
const LOW_BYTES = 10 * 1024 ** 3;
const EVERY_SECONDS = 5;

/** What is running, what needs attention, and what came in. */
export const homeRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { catalogue, jobs, show, readerOf } = context;

    app.get("/home", { config: { scope: "read" } }, async (request, reply) => {
      const reader = readerOf(request);
      const { say } = reader;
      const { principal } = request;
      const seesAll = hasScope(principal, "operate");
      const own = seesAll ? {} : { owner: principal.name };
      const [running, recent, totals, warnings] = await Promise.all([
        jobs.list({ ...own, states: ["running", "queued"], limit: SHOWN }),
        catalogue.listTransactions({ ...own, limit: SHOWN }),
        seesAll ? catalogue.totals() : undefined,
        attention(context, reader, principal),
      ]);
      const body = html`<div class="cards">
<section class="card"><h2>${say("home.attention")}</h2>
${warnings.length === 0 ? html`<p>${say("home.allWell")}</p>` : warnings.map((one) => html`<p class="notice">${one}</p>`)}
</section>
${
  totals &&
  html`<section class="card"><h2>${say("home.holdings")}</h2><dl class="figures">
<div><dt>${say("home.transactions")}</dt><dd>${countText(totals.transactions)}</dd></div>
<div><dt>${say("home.files")}</dt><dd>${countText(totals.files)}</dd></div>
<div><dt>${say("home.bytes")}</dt><dd>${sizeText(totals.bytes)}</dd></div></dl></section>`
}
</div>
<h2>${say("home.running")}</h2>
${
  running.length === 0
    ? html`<p class="soft">${say("home.idle")}</p>`
    : jobTable(
        reader,
        running.map((job) => jobRow(reader, job)),
      )
}
<h2>${say("home.recent")}</h2>
${
  recent.length === 0
    ? html`<p class="soft">${say("home.none")}</p>`
    : transactionTable(reader, say("home.recent"), recent)
}`;
      return show(request, reply, { title: say("home.title"), path: "/home", body: live("now", EVERY_SECONDS, body) });
    });
  };

/** What somebody should see to: of one's own jobs, and for operators of everything. */
async function attention(context: PageContext, { say, link }: Reader, principal: Principal): Promise<readonly Html[]> {
  const { jobs, fixity, schedules, observed, clock } = context;
  const seesAll = hasScope(principal, "operate");
  const own = seesAll ? {} : { owner: principal.name };
  const warnings: Html[] = [];
  const failed = await jobs.list({ ...own, states: ["failed"], limit: 100 });
  const lately = failed.filter(({ finishedAt }) => (finishedAt ?? 0) > clock.now() - WEEK_MS).length;
  if (lately > 0)
    warnings.push(
      html`<a href="${link("/jobs?state=failed")}">${say("home.failedJobs", { count: lately === 100 ? "100+" : lately })}</a>`,
    );
  if (!seesAll) return warnings;
  const [{ failedTransactions }, listed, freeBytes] = await Promise.all([
    fixity.status(),
    schedules.list({ limit: 100 }),
    observed.dataFreeBytes(),
  ]);
  if (failedTransactions > 0) warnings.push(html`${say("home.fixity", { count: failedTransactions })}`);
  for (const { name, silentSince, lastRun } of listed) {
    if (silentSince !== null) warnings.push(html`${say("home.silent", { name })}`);
    else if (lastRun?.state === "failed") warnings.push(html`${say("home.lastRunFailed", { name })}`);
  }
  if (freeBytes < LOW_BYTES) warnings.push(html`${say("home.disk", { size: sizeText(freeBytes) })}`);
  return warnings;
}
