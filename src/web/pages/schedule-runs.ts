import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { hasScope } from "../../core/access/access.ts";
import { AppError } from "../../core/errors.ts";
import { OPEN_RUNS, type Run } from "../../core/schedules/schedule.ts";
import type { Schedules } from "../../core/schedules/schedules.ts";
import { RunParams } from "../../http/api/schedule-schemas.ts";
import { sizeText, timeOf } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { facts, formField, live, type Reader } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { runBadge, runDuration, runPath } from "./run-table.ts";

const TAIL_BYTES = 64 * 1024;
const EVERY_SECONDS = 2;

/** One run of a schedule, with what it printed. */
export const runRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { schedules, audit, clock, link, show, readerOf } = context;

    app.get(
      "/schedules/:id/runs/:run",
      { config: { scope: "read" }, schema: { params: RunParams } },
      async (request, reply) => {
        const reader = readerOf(request);
        const { say } = reader;
        const { principal, params } = request;
        const [{ name }, run] = await Promise.all([schedules.get(params.id), schedules.run(params.id, params.run)]);
        const isOpen = OPEN_RUNS.includes(run.state);
        const maySteer = hasScope(principal, "operate");
        const body = html`${runFacts(reader, run, clock.now())}
${isOpen && maySteer && html`<form class="actions" method="post" action="${link(`${runPath(run)}/cancel`)}">${formField(reader.formToken)}<button class="danger">${say("run.cancel")}</button></form>`}
<h2>${say("run.output")}</h2>
${maySteer ? await shownOutput(reader, schedules, run) : html`<p class="soft">${say("run.outputHidden")}</p>`}
<p class="actions"><a href="${link(`/schedules/${run.schedule}`)}">${name}</a></p>`;
        return show(request, reply, {
          title: say("run.title", { name, number: run.number }),
          path: "/schedules",
          body: isOpen ? live("run", EVERY_SECONDS, body) : body,
        });
      },
    );

    app.post(
      "/schedules/:id/runs/:run/cancel",
      { config: { scope: "operate", isForm: true }, schema: { params: RunParams } },
      async ({ principal, params }, reply) => {
        const run = await schedules.cancelRun(principal, params.id, params.run);
        await audit.record(principal.name, "schedule.cancel", `schedule/${params.id}`, { run: params.run });
        return reply.redirect(link(runPath(run)), 303);
      },
    );
  };

function runFacts(reader: Reader, run: Run, now: number): Html {
  const { say, link } = reader;
  const { cause, askedBy, dueAt, startedAt, finishedAt, reason, exitCode, signal, outputBytes, job } = run;
  return facts([
    [say("run.state"), runBadge(reader, run)],
    [say("run.reason"), reason],
    [say("run.exitCode"), exitCode],
    [say("run.signal"), signal],
    [say("run.cause"), say(`runCause.${cause}`)],
    [say("run.askedBy"), askedBy],
    [say("run.due"), timeOf(dueAt)],
    [say("run.started"), startedAt !== null && timeOf(startedAt)],
    [say("run.finished"), finishedAt !== null && timeOf(finishedAt)],
    [say("run.duration"), runDuration(run, now)],
    [say("run.outputBytes"), outputBytes > 0 && sizeText(outputBytes)],
    [say("run.job"), job !== null && html`<a href="${link(`/jobs/${job}`)}">${job}</a>`],
  ]);
}

async function shownOutput({ say, link }: Reader, schedules: Pick<Schedules, "output">, run: Run): Promise<Html> {
  let output: AsyncIterable<Uint8Array>;
  try {
    output = await schedules.output(run.schedule, run.number);
  } catch (error) {
    if (!(error instanceof AppError && error.code === "run_output_gone")) throw error;
    return html`<p class="soft">${say("run.outputGone")}</p>`;
  }
  const { text, isCut } = await tailOf(output, TAIL_BYTES);
  if (text === "") return html`<p class="soft">${say("run.noOutput")}</p>`;
  return html`${isCut && html`<p class="soft">${say("run.outputTail", { size: sizeText(TAIL_BYTES) })}</p>`}
<pre tabindex="0">${text}</pre>
<p class="actions"><a href="${link(`/api/v1${runPath(run)}/output`)}" download="run-${run.number}.txt">${say("run.download")}</a></p>`;
}

/** The last bytes as text, from the beginning of a line where something is cut off. Memory: those bytes and a chunk. */
async function tailOf(output: AsyncIterable<Uint8Array>, bytes: number) {
  let kept = Buffer.alloc(0);
  let isCut = false;
  for await (const chunk of output) {
    kept = Buffer.concat([kept, chunk]);
    if (kept.length <= bytes) continue;
    kept = kept.subarray(kept.length - bytes);
    isCut = true;
  }
  const begin = isCut ? kept.indexOf("\n") + 1 : 0;
  return { text: kept.toString("utf8", begin), isCut };
}
