import { AppError } from "../../core/errors.ts";
import { type Timetable, timetable } from "../../core/schedules/timetable.ts";
import { timeOf } from "../formats.ts";
import { type Html, html } from "../html.ts";
import type { Reader } from "../layout.ts";
import { scheduleProblems } from "./schedule-form.ts";

const TIMES = 10;

/** When something is due, in words and times, or why nobody can tell. Nothing before something is typed. */
export function whenPart({ say }: Reader, now: number, expression: string, timeZone: string): Html {
  if (expression.trim() === "") return html``;
  let table: Timetable;
  try {
    table = timetable(expression, timeZone);
  } catch (error) {
    const problems = error instanceof AppError ? scheduleProblems(error) : undefined;
    if (!problems) throw error;
    return html`<p class="notice">${Object.values(problems)}</p>`;
  }
  const times = table.nextRuns(now, TIMES);
  return html`<p><strong>${table.describe()}</strong></p>
${table.warnings.map(({ message, hint }) => html`<p class="notice">${message.replace(/^Line 1: /, "")} ${hint}</p>`)}
${times.length === 0 ? html`<p class="soft">${say("when.never")}</p>` : calendar(times, timeZone)}`;
}

/** Lists say it of every schedule, every few seconds. */
const described = new Map<string, string>();
const DESCRIBED = 1_000;

/** When a schedule is due, in words. */
export function dueInWords({
  expression,
  timeZone,
}: {
  readonly expression: string;
  readonly timeZone: string;
}): string {
  const key = `${expression} ${timeZone}`;
  const words = described.get(key) ?? timetable(expression, timeZone).describe();
  if (described.size >= DESCRIBED) described.clear();
  described.set(key, words);
  return words;
}

/** Times by day, by the clocks of the time zone; beside them as all times are. */
export function calendar(times: readonly number[], timeZone: string): Html {
  const day = new Intl.DateTimeFormat("en-GB", {
    timeZone,
    weekday: "short",
    day: "numeric",
    month: "short",
    year: "numeric",
  });
  const clock = new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" });
  const days = Map.groupBy(times, (at) => day.format(at));
  return html`<dl class="calendar">${[...days].map(
    ([name, ofDay]) =>
      html`<div><dt>${name}</dt>${ofDay.map((at) => html`<dd><strong>${clock.format(at)}</strong> <span class="soft">${timeOf(at)}</span></dd>`)}</div>`,
  )}</dl>`;
}
