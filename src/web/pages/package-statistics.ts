import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { isoTime } from "../../core/clock.ts";
import { DAY_MS, EVERYTHING } from "../../core/packages/statistics.ts";
import { barChart } from "../charts.ts";
import { countText, sizeText } from "../formats.ts";
import { html } from "../html.ts";
import { table } from "../layout.ts";
import type { PageContext } from "../page-context.ts";

const DAYS_SHOWN = 30;
const RESOURCES_SHOWN = 20;
const COUNTED = ["requests", "emails", "rows", "errors"] as const;
const NOTHING = { requests: 0, emails: 0, rows: 0, errors: 0, bytes: 0 };

/** What was packed, day by day and by resource. As in the API, operators alone may know. */
export const packageStatisticsRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { packageStatistics, clock, show, readerOf } = context;

    app.get("/packages/statistics", { config: { scope: "operate" } }, async (request, reply) => {
      const { say } = readerOf(request);
      const until = (Math.floor(clock.now() / DAY_MS) + 1) * DAY_MS;
      const from = until - DAYS_SHOWN * DAY_MS;
      const [counted, totals] = await Promise.all([
        packageStatistics.days({ resourceId: EVERYTHING, from, until }),
        packageStatistics.totals(),
      ]);
      const byDay = new Map(counted.map((one) => [one.day, one]));
      // Days on which nothing was asked for have their place, too.
      const days = Array.from({ length: DAYS_SHOWN }, (_, at) => {
        const day = from + at * DAY_MS;
        return { label: isoTime(day).slice(0, 10), counts: byDay.get(day) ?? NOTHING };
      });
      const resources = Object.entries(totals)
        .filter(([resource]) => resource !== EVERYTHING)
        .sort(([, a], [, b]) => b.requests - a.requests)
        .slice(0, RESOURCES_SHOWN);
      const heads = [...COUNTED.map((name) => say(`statistics.${name}`)), say("packages.size")];
      const cells = (counts: typeof NOTHING) => [
        ...COUNTED.map((name) => countText(counts[name])),
        sizeText(counts.bytes),
      ];
      const body = html`<h2>${say("statistics.days", { count: DAYS_SHOWN })}</h2>
<div class="cards">${COUNTED.map((name) =>
        barChart(
          say(`statistics.${name}`),
          days.map(({ label, counts }) => ({ label, value: counts[name] })),
        ),
      )}</div>
<details><summary>${say("statistics.numbers")}</summary>${table(
        say("statistics.numbers"),
        [say("statistics.day"), ...heads],
        days.map(({ label, counts }) => [label, ...cells(counts)]),
        [1, 2, 3, 4, 5],
      )}</details>
<h2>${say("statistics.resources")}</h2>
${
  resources.length === 0
    ? html`<p class="soft">${say("statistics.none")}</p>`
    : table(
        say("statistics.resources"),
        [say("packages.resourceId"), ...heads],
        resources.map(([resource, counts]) => [resource, ...cells(counts)]),
        [1, 2, 3, 4, 5],
      )
}`;
      return show(request, reply, { title: say("statistics.title"), path: "/packages", body });
    });
  };
