import type { Run, RunState } from "../../core/schedules/schedule.ts";
import { cardTable } from "../card-table.ts";
import { durationText, timeOf } from "../formats.ts";
import type { Html } from "../html.ts";
import { html } from "../html.ts";
import { badge, type Reader } from "../layout.ts";

const LOOKS: Readonly<Partial<Record<RunState, "good" | "bad" | "busy">>> = {
  waiting: "busy",
  running: "busy",
  succeeded: "good",
  failed: "bad",
  timed_out: "bad",
  lost: "bad",
};

export const runBadge = ({ say }: Reader, { state }: Run): Html =>
  badge(LOOKS[state] ?? "plain", say(`runState.${state}`));

export const runPath = ({ schedule, number }: Pick<Run, "schedule" | "number">): string =>
  `/schedules/${schedule}/runs/${number}`;

/** How long a run has taken, or takes so far. */
export function runDuration({ startedAt, finishedAt }: Run, now: number): string | null {
  return startedAt === null ? null : durationText((finishedAt ?? now) - startedAt);
}

/** A schedule's history. */
export function runTable(reader: Reader, runs: readonly Run[], now: number): Html {
  const { say, link } = reader;
  return cardTable(
    say("schedule.history"),
    [say("run.number"), say("run.state"), say("run.due"), say("run.duration"), say("run.cause"), say("run.reason")],
    runs.map((run) => [
      html`<a href="${link(runPath(run))}">${run.number}</a>`,
      runBadge(reader, run),
      timeOf(run.dueAt),
      runDuration(run, now),
      say(`runCause.${run.cause}`),
      run.reason,
    ]),
  );
}
