import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { LANES } from "../../../core/jobs/job.ts";
import { countText, sizeText, timeOf } from "../../formats.ts";
import { type Html, html, type Part } from "../../html.ts";
import { live } from "../../layout.ts";
import type { PageContext } from "../../page-context.ts";
import { showPart } from "./frame.ts";

const EVERY_SECONDS = 5;

/** How much room there is, and what waits. */
export const stateRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { observed, storage, readerOf } = context;

    app.get("/operations", { config: { scope: "operate" } }, async (request, reply) => {
      const { say } = readerOf(request);
      const [dataFree, storageFree, depth, { messages, failing, oldestAt }, changes] = await Promise.all([
        observed.dataFreeBytes(),
        storage.freeBytes(),
        observed.queue.depth(),
        observed.outbox.backlog(),
        observed.searchChanges.depth(),
      ]);
      const body = html`<div class="cards">
${card(say("stateOf.room"), [
  [say("stateOf.data"), sizeText(dataFree)],
  [say("stateOf.storage"), storageFree === undefined ? say("stateOf.unlimited") : sizeText(storageFree)],
])}
${card(
  say("stateOf.queue"),
  LANES.map((lane) => [say(`stateOf.${lane}`), countText(depth[lane])]),
)}
${card(say("stateOf.messages"), [
  [say("stateOf.waiting"), countText(messages)],
  [say("stateOf.failing"), countText(failing)],
  ...(oldestAt === null ? [] : [[say("stateOf.oldest"), timeOf(oldestAt)] as const]),
])}
${card(say("stateOf.search"), [[say("stateOf.changes"), countText(changes)]])}
</div>`;
      return showPart(context, request, reply, "/operations", live("state", EVERY_SECONDS, body));
    });
  };

function card(title: string, figures: readonly (readonly [name: string, value: Part])[]): Html {
  return html`<section class="card"><h2>${title}</h2><dl class="figures">${figures.map(
    ([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`,
  )}</dl></section>`;
}
