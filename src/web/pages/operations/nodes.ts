import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { LANES } from "../../../core/jobs/job.ts";
import type { Node } from "../../../core/nodes/nodes.ts";
import { timeOf } from "../../formats.ts";
import { html, type Part } from "../../html.ts";
import { badge, live, type Reader, table } from "../../layout.ts";
import type { PageContext } from "../../page-context.ts";
import { showPart } from "./frame.ts";

const EVERY_SECONDS = 5;

/** The processes that serve and work, and who does what for all of them. */
export const nodePageRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { nodes, readerOf } = context;

    app.get("/operations/nodes", { config: { scope: "operate" } }, async (request, reply) => {
      const reader = readerOf(request);
      const { say } = reader;
      const [found, held, unserved] = await Promise.all([nodes.list(), nodes.duties(), nodes.unserved()]);
      const dutiesOf = (name: string) => held.filter(({ holder }) => holder === name).map(({ duty }) => duty);
      const heads = [
        say("nodes.name"),
        say("nodes.role"),
        say("nodes.state"),
        say("nodes.duties"),
        say("nodes.lanes"),
        say("nodes.since"),
        say("nodes.seen"),
      ];
      const rows = found.map((node) => nodeRow(reader, node, dutiesOf(node.name)));
      const body = html`<p class="hint">${say("nodes.hint")}</p>
${unserved.map(({ jobs, kind, lane }) => html`<p>${badge("bad", say("nodes.unserved", { jobs, kind, lane }))}</p>`)}
${rows.length === 0 ? html`<p class="soft">${say("nodes.none")}</p>` : table(say("operations.nodes"), heads, rows)}`;
      return showPart(context, request, reply, "/operations/nodes", live("nodes", EVERY_SECONDS, body));
    });
  };

function nodeRow({ say }: Reader, node: Node, duties: readonly string[]): readonly Part[] {
  const { name, role, isAlive, lanes, tasks, version, address, since, seenAt } = node;
  return [
    html`<code>${name}</code>${address !== null && html`<div class="soft">${address}</div>`}`,
    html`${badge("plain", say(`nodes.${role}`))}<div class="soft">${version}</div>`,
    isAlive ? badge("good", say("nodes.alive")) : badge("bad", say("nodes.silent")),
    duties.join(", "),
    html`${LANES.map((lane) => `${lane} ${lanes[lane]}`).join(", ")}${tasks && html`<div class="soft">${tasks.join(", ")}</div>`}`,
    timeOf(since),
    timeOf(seenAt),
  ];
}
