import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { html } from "../../html.ts";
import { badge, table } from "../../layout.ts";
import type { PageContext } from "../../page-context.ts";
import { showPart } from "./frame.ts";

/** What is in force. It is changed where the server is started. */
export const settingPageRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { readerOf, settings } = context;

    app.get("/operations/settings", { config: { scope: "admin" } }, async (request, reply) => {
      const { say } = readerOf(request);
      const rows = settings.map(({ name, value, from }) => [
        html`<code>${name}</code>`,
        value === null ? html`<span class="soft">${say("settings.unset")}</span>` : html`<code>${value}</code>`,
        badge("plain", say(`settings.${from}`)),
      ]);
      const heads = [say("settings.name"), say("settings.value"), say("settings.from")];
      const body = html`<p class="hint">${say("settings.hint")}</p>
${table(say("operations.settings"), heads, rows)}`;
      return showPart(context, request, reply, "/operations/settings", body);
    });
  };
