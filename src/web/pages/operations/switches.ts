import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { SUBSYSTEMS, type Subject, subjectOf } from "../../../core/switches/switch.ts";
import type { SwitchState } from "../../../core/switches/switches.ts";
import { PauseBody, ResumeBody } from "../../../http/api/switches.ts";
import { timeOf } from "../../formats.ts";
import { type Html, html, type Part } from "../../html.ts";
import { badge, formField, type Reader, table } from "../../layout.ts";
import type { PageContext } from "../../page-context.ts";
import { formOf } from "../form-body.ts";
import { showPart } from "./frame.ts";

/** What may run, and pauses that are made and taken back. */
export const switchPageRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { audit, link, readerOf, switches } = context;
    const back = link("/operations/switches");

    app.get("/operations/switches", { config: { scope: "operate" } }, async (request, reply) => {
      const reader = readerOf(request);
      const { say } = reader;
      const heads = [say("switches.subject"), say("switches.state"), say("switches.why"), say("switches.resume")];
      const rows = (await switches.list()).map((state) => switchRow(reader, state));
      const body = html`<p class="hint">${say("switches.hint")}</p>
${table(say("operations.switches"), heads, rows)}
<h2>${say("switches.pausePart")}</h2>
${pauseForm(
  reader,
  html`<label>${say("switches.subject")}<select name="switch">${["all" as const, ...SUBSYSTEMS].map(
    (subject) => html`<option value="${subject}">${nameOf(reader, subject)}</option>`,
  )}</select></label>`,
)}
<h2>${say("switches.pausePath")}</h2>
${pauseForm(
  reader,
  html`<label class="wide">${say("switches.path")}<input name="switch" required pattern="/.*" maxlength="4096" class="code" spellcheck="false" autocapitalize="off"></label>`,
)}`;
      return showPart(context, request, reply, "/operations/switches", body);
    });

    app.post(
      "/operations/switches/pause",
      { config: { scope: "operate", isForm: true }, schema: { body: formOf(PauseBody) } },
      async ({ principal, body }, reply) => {
        const subject = subjectOf(body.switch);
        await switches.pause(subject, principal.name, body.reason);
        await audit.record(principal.name, "switch.pause", `switch/${subject}`, { reason: body.reason ?? null });
        return reply.redirect(back, 303);
      },
    );

    app.post(
      "/operations/switches/resume",
      { config: { scope: "operate", isForm: true }, schema: { body: formOf(ResumeBody) } },
      async ({ principal, body }, reply) => {
        const subject = subjectOf(body.switch);
        if (await switches.resume(subject)) await audit.record(principal.name, "switch.resume", `switch/${subject}`);
        return reply.redirect(back, 303);
      },
    );
  };

function switchRow(reader: Reader, { subject, halt }: SwitchState): readonly Part[] {
  const { say, link, formToken } = reader;
  const name = nameOf(reader, subject);
  if (!halt) return [name, badge("good", say("switches.running")), null, null];
  const isOwn = halt.subject === subject && halt.by !== null;
  const why = html`${halt.subject !== subject && html`${say("switches.within", { subject: nameOf(reader, halt.subject) })}. `}${halt.reason}
<div class="soft">${halt.by === null ? say("switches.byFile") : halt.by}${halt.since !== null && html` · ${timeOf(halt.since)}`}</div>`;
  const resume = html`<form method="post" action="${link("/operations/switches/resume")}">${formField(formToken)}
<input type="hidden" name="switch" value="${subject}"><button aria-label="${say("switches.resumeOf", { subject: name })}">${say("switches.resume")}</button></form>`;
  return [name, badge("bad", say("switches.paused")), why, isOwn && resume];
}

function pauseForm({ say, link, formToken }: Reader, subject: Html): Html {
  return html`<form class="row" method="post" action="${link("/operations/switches/pause")}">${formField(formToken)}
${subject}
<label class="wide">${say("switches.reason")}<input name="reason" maxlength="1000"></label>
<button class="danger">${say("switches.pause")}</button>
</form>`;
}

const nameOf = ({ say }: Reader, subject: Subject): string => (subject === "all" ? say("switches.all") : subject);
