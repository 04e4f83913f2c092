import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { hasScope, type Principal } from "../../core/access/access.ts";
import type { Transaction } from "../../core/catalogue/catalogue-store.ts";
import { isoTime } from "../../core/clock.ts";
import { AppError } from "../../core/errors.ts";
import { type JobId, transactionId } from "../../core/ids.ts";
import type { Job } from "../../core/jobs/job.ts";
import { visibleJob } from "../../http/api/jobs.ts";
import { JobParams } from "../../http/api/schemas.ts";
import { countText, sizeText } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { facts, live, type Reader } from "../layout.ts";
import type { Say } from "../messages.ts";
import type { PageContext } from "../page-context.ts";
import { isOver, progressOf, stateBadge } from "./job-table.ts";

const EVERY_SECONDS = 1;
const KINDS = ["ingest", "move"];

/** What becomes of a deposit, and the receipt of one that is in the archive, to print or to save. */
export const receiptRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { catalogue, show, readerOf } = context;

    async function visibleDeposit(principal: Principal, id: JobId): Promise<Job> {
      const job = await visibleJob(context, principal, id);
      if (!KINDS.includes(job.kind)) throw new AppError("job_unknown", { id });
      return job;
    }

    /** `undefined` as long as nothing is in the archive. */
    async function archived({ state, result }: Job): Promise<Transaction | undefined> {
      if (state !== "succeeded" || typeof result.transactionId !== "number") return undefined;
      return catalogue.transaction(transactionId(result.transactionId));
    }

    app.get(
      "/deposits/:id",
      { config: { scope: "deposit" }, schema: { params: JobParams } },
      async (request, reply) => {
        const { principal, params } = request;
        const reader = readerOf(request);
        const job = await visibleDeposit(principal, params.id);
        const body = shown(reader, principal, job, await archived(job));
        return show(request, reply, {
          title: reader.say("receipt.title", { id: job.id }),
          path: "/deposit",
          scripts: ["print.js"],
          body: isOver(job) ? body : live("deposit", EVERY_SECONDS, body),
        });
      },
    );

    app.get(
      "/deposits/:id/receipt.txt",
      { config: { scope: "deposit" }, schema: { params: JobParams } },
      async (request, reply) => {
        const job = await visibleDeposit(request.principal, request.params.id);
        const transaction = await archived(job);
        if (!transaction) throw new AppError("job_state_conflict", { id: job.id, state: job.state });
        const { say } = readerOf(request);
        const rows = receiptRows(say, job, transaction);
        const width = Math.max(...rows.map(([name]) => name.length));
        return reply
          .type("text/plain; charset=utf-8")
          .header("content-disposition", `attachment; filename="receipt-${job.id}.txt"`)
          .send(rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join(""));
      },
    );
  };

function shown(reader: Reader, principal: Principal, job: Job, transaction: Transaction | undefined): Html {
  const { say, link } = reader;
  const { id, state, error, tasks } = job;
  const current = tasks.at(-1);
  const mayRead = hasScope(principal, "read");
  const outcome = { succeeded: "receipt.done", failed: "receipt.failed", cancelled: "receipt.cancelled" } as const;
  const sentence = state === "queued" || state === "running" ? "receipt.underWay" : outcome[state];
  return html`<p>${stateBadge(reader, state)} ${say(sentence)}</p>
${!isOver(job) && current && html`<p>${progressOf(current)}</p>`}
${error && html`<p class="notice">${error.message} <a href="${link(`/docs/errors#${error.code}`)}"><code>${error.code}</code></a></p>`}
${
  transaction &&
  html`<section class="card"><h2>${say("receipt.heading")}</h2>${facts(
    receiptRows(say, job, transaction).map(([name, value, isCode]) => [
      name,
      isCode ? html`<code>${value}</code>` : value,
    ]),
  )}<p class="hint">${say("receipt.explained")}</p></section>`
}
<p class="actions">${
    transaction &&
    html`<button type="button" data-print hidden>${say("receipt.print")}</button>
<a class="button" href="${link(`/deposits/${id}/receipt.txt`)}" download>${say("receipt.save")}</a>`
  }
${mayRead && html`<a href="${link(`/jobs/${id}`)}">${say("job.title", { id })}</a>`}
${mayRead && transaction && html`<a href="${link(`/archive/${transaction.id}`)}">${say("transaction.title", { id: transaction.id })}</a>`}
<a href="${link("/deposit")}">${say("receipt.next")}</a></p>`;
}

type Row = readonly [name: string, value: string, isCode?: boolean];

/** The same on the page and in the file. */
function receiptRows(say: Say, { id, owner }: Job, transaction: Transaction): readonly Row[] {
  const { submitter, project, instrument, fileCount, sizeBytes, objectPath, inventoryDigest, createdAt } = transaction;
  const rows: readonly (readonly [name: string, value: string | null, isCode?: boolean])[] = [
    [say("archive.transaction"), String(transaction.id)],
    [say("receipt.depositor"), owner],
    [say("archive.submitter"), submitter],
    [say("archive.project"), project],
    [say("archive.instrument"), instrument],
    [say("archive.files"), countText(fileCount)],
    [say("receipt.bytes"), `${countText(sizeBytes)} (${sizeText(sizeBytes)})`],
    [say("transaction.inventory"), inventoryDigest, true],
    [say("receipt.object"), objectPath, true],
    [say("receipt.time"), isoTime(createdAt)],
    [say("receipt.job"), String(id)],
  ];
  return rows.filter((row): row is Row => row[1] !== null);
}
