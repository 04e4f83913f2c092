import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { AppError } from "../../core/errors.ts";
import { timetable } from "../../core/schedules/timetable.ts";
import { ScheduleParams } from "../../http/api/schedule-schemas.ts";
import { formRow } from "../form-field.ts";
import { type Html, html } from "../html.ts";
import type { Reader } from "../layout.ts";
import type { PageContext } from "../page-context.ts";

/** Of a day; where there are more, it says so. */
const TIMES_SHOWN = 4;
const DAY_MS = 86_400_000;
/** Clocks differ from UTC by less. */
const APART_MS = 1.5 * DAY_MS;
const MONTH = /^\d{4}-(0[1-9]|1[0-2])$/;

const Query = z.object({
  month: z.string().regex(MONTH).optional(),
  timeZone: z.string().max(64).optional(),
});

export interface CalendarDay {
  /** Epoch milliseconds of its first moment; the next day's is its end. */
  readonly begin: number;
  readonly times: readonly number[];
  readonly hasMore: boolean;
}

/**
 * The days of a month by the clocks of a time zone, and when something is due on each, from a time on.
 * @param month `YYYY-MM`. @param due the time that comes after another.
 * @throws AppError time_zone_unknown.
 */
export function monthOf(
  month: string,
  timeZone: string,
  due: (after: number) => number | null,
  from: number,
): readonly CalendarDay[] {
  const [year = 0, nth = 0] = month.split("-").map(Number);
  const first = Date.UTC(year, nth - 1, 1);
  const length = new Date(Date.UTC(year, nth, 0)).getUTCDate();
  // Days begin when something is due that is due at every midnight: clocks are changed there, too.
  const begin = timetable("0 0 1 * *", timeZone).next(first - APART_MS) ?? first;
  const midnights = timetable("0 0 * * *", timeZone).nextRuns(begin - 1, length + 1);
  let next = due(Math.max(begin, from) - 1);
  return midnights.slice(0, length).map((midnight, at) => {
    const end = midnights[at + 1] ?? midnight + DAY_MS;
    const times: number[] = [];
    while (next !== null && next < end && times.length < TIMES_SHOWN) {
      times.push(next);
      next = due(next);
    }
    const hasMore = next !== null && next < end;
    if (hasMore) next = due(end - 1);
    return { begin: midnight, times, hasMore };
  });
}

/** When a schedule is due, month by month, by clocks that one chooses. */
export const calendarRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { schedules, clock, link, show, readerOf } = context;

    app.get(
      "/schedules/:id/calendar",
      { config: { scope: "read" }, schema: { params: ScheduleParams, querystring: Query } },
      async (request, reply) => {
        const reader = readerOf(request);
        const { say } = reader;
        const { params, query } = request;
        const schedule = await schedules.get(params.id);
        const { timeZone = schedule.timeZone } = query;
        const now = clock.now();
        const month = query.month ?? monthAt(now, "UTC");
        let days: readonly CalendarDay[] | undefined;
        let problem: string | undefined;
        try {
          days = monthOf(month, timeZone, timetable(schedule.expression, schedule.timeZone).next, now);
        } catch (error) {
          if (!(error instanceof AppError && error.code === "time_zone_unknown")) throw error;
          problem = error.message;
        }
        const path = link(`/schedules/${schedule.id}/calendar`);
        const at = (other: string) => `${path}?${String(new URLSearchParams({ month: other, timeZone }))}`;
        const zone = {
          name: "timeZone",
          label: say("schedule.timeZone"),
          control: { kind: "input", maxLength: 64 },
        } as const;
        const body = html`<form class="row" method="get" action="${path}"><input type="hidden" name="month" value="${month}">
${formRow(reader, zone, { timeZone }, problem)}<button class="quiet">${say("calendar.show")}</button></form>
${
  days &&
  html`<nav class="actions" aria-label="${say("calendar.months")}">${month > monthAt(now, "UTC") && html`<a href="${at(monthFrom(month, -1))}" rel="prev">${say("calendar.earlier")}</a>`}
<h2>${monthName(month)}</h2><a href="${at(monthFrom(month, 1))}" rel="next">${say("calendar.later")}</a></nav>
${monthTable(reader, days, timeZone, now)}`
}
<p class="actions"><a href="${link(`/schedules/${schedule.id}`)}">${schedule.name}</a></p>`;
        return show(request, reply.code(problem === undefined ? 200 : 400), {
          title: say("calendar.title", { name: schedule.name }),
          path: "/schedules",
          body,
        });
      },
    );
  };

const monthAt = (at: number, timeZone: string): string =>
  new Intl.DateTimeFormat("sv-SE", { timeZone, year: "numeric", month: "2-digit" }).format(at);

function monthFrom(month: string, months: number): string {
  const [year = 0, nth = 1] = month.split("-").map(Number);
  return new Date(Date.UTC(year, nth - 1 + months, 1)).toISOString().slice(0, 7);
}

const monthName = (month: string): string =>
  new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", year: "numeric", month: "long" }).format(
    Date.parse(`${month}-01`),
  );

/** A week is a row, and begins on Monday (ISO 8601). */
function monthTable({ say }: Reader, days: readonly CalendarDay[], timeZone: string, now: number): Html {
  const format = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat("en-GB", { timeZone, ...options });
  const [weekday, clockTime] = [format({ weekday: "short" }), format({ hour: "2-digit", minute: "2-digit" })];
  const names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
  // Noon is on the same day whatever is done to clocks.
  const before = names.indexOf(weekday.format((days[0]?.begin ?? 0) + DAY_MS / 2));
  const cells = [...Array<undefined>(Math.max(0, before)).fill(undefined), ...days];
  const weeks = Array.from({ length: Math.ceil(cells.length / 7) }, (_, week) =>
    Array.from({ length: 7 }, (_, day) => cells[week * 7 + day]),
  );
  const isToday = ({ begin }: CalendarDay, nth: number) =>
    begin <= now && now < (days[nth + 1]?.begin ?? begin + DAY_MS);
  const shown = (day: CalendarDay | undefined) => {
    if (!day) return html`<td></td>`;
    const nth = days.indexOf(day);
    return html`<td${isToday(day, nth) && html` aria-current="date"`}><strong>${nth + 1}</strong>${
      day.times.length > 0 &&
      html`<ul>${day.times.map((at) => html`<li>${clockTime.format(at)}</li>`)}${day.hasMore && html`<li>${say("calendar.more")}</li>`}</ul>`
    }</td>`;
  };
  return html`<div class="scroll" role="region" aria-label="${say("calendar.days")}" tabindex="0"><table class="month">
<thead><tr>${names.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${weeks.map((week) => html`<tr>${week.map(shown)}</tr>\n`)}</tbody>
</table></div>`;
}
