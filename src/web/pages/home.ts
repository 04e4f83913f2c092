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
/** Counting takes longer the more there is: it is done once for all who look. */
const TOTALS_MS = 10_000;
/** More are as bad as this many. */
const COUNTED = 100;

/** What is running, what needs attention, and what came in. */
export const homeRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { catalogue, clock, jobs, show, readerOf } = context;
    const totalsOfLate = remembered(catalogue.totals, TOTALS_MS, clock.now);

    app.get("/home", { config: { scope: "read" } }, async (request, reply) => {
      const reader = readerOf(request);
      const { say } = reader;
      const { principal } = request;
      const seesAll = hasScope(principal, "operate");
      const own = seesAll ? {} : { owner: principal.name };
      const [running, recent, totals, warnings] = await Promise.all([
        jobs.list({ ...own, states: ["running", "queued"], limit: SHOWN }),
        catalogue.listTransactions({ ...own, limit: SHOWN }),
        seesAll ? totalsOfLate() : undefined,
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

/** What was found less than so long ago is told again; of those who ask at once, one has it looked up. */
function remembered<T>(look: () => Promise<T>, ms: number, now: () => number): () => Promise<T> {
  let last: { readonly at: number; readonly found: Promise<T> } | undefined;
  return () => {
    if (!last || now() - last.at >= ms || now() < last.at) {
      const found = look();
      last = { at: now(), found };
      found.catch(() => {
        last = undefined;
      });
    }
    return last.found;
  };
}

/** What somebody should see to: of one's own jobs, and for operators of everything. */
async function attention(context: PageContext, { say, link }: Reader, principal: Principal): Promise<readonly Html[]> {
  const { jobs, fixity, schedules, observed, clock } = context;
  const seesAll = hasScope(principal, "operate");
  const own = seesAll ? {} : { owner: principal.name };
  const warnings: Html[] = [];
  const failed = await jobs.list({ ...own, states: ["failed"], limit: COUNTED });
  const lately = failed.filter(({ finishedAt }) => (finishedAt ?? 0) > clock.now() - WEEK_MS).length;
  if (lately > 0)
    warnings.push(
      html`<a href="${link("/jobs?state=failed")}">${say("home.failedJobs", { count: counted(lately) })}</a>`,
    );
  if (!seesAll) return warnings;
  const [unsound, listed, freeBytes] = await Promise.all([
    fixity.list({ outcome: "failure", limit: COUNTED }),
    schedules.list({ limit: COUNTED }),
    observed.dataFreeBytes(),
  ]);
  if (unsound.length > 0) warnings.push(html`${say("home.fixity", { count: counted(unsound.length) })}`);
  for (const { name, silentSince, lastRun } of listed) {
    if (silentSince !== null) warnings.push(html`${say("home.silent", { name })}`);
    else if (lastRun?.state === "failed") warnings.push(html`${say("home.lastRunFailed", { name })}`);
  }
  if (freeBytes < LOW_BYTES) warnings.push(html`${say("home.disk", { size: sizeText(freeBytes) })}`);
  return warnings;
}

const counted = (found: number): string => (found === COUNTED ? `${COUNTED}+` : String(found));
