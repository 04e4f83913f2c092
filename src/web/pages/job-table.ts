import { FINISHED_STATES, type Job, type JobState, type TaskProgress } from "../../core/jobs/job.ts";
import { countText, durationText, sizeText, timeOf } from "../formats.ts";
import { type Html, html, type Part } from "../html.ts";
import { badge, type Reader, table } from "../layout.ts";

const LOOKS: Readonly<Record<JobState, Parameters<typeof badge>[0]>> = {
  queued: "plain",
  running: "busy",
  succeeded: "good",
  failed: "bad",
  cancelled: "plain",
};

export function stateBadge({ say }: Reader, state: JobState): Html {
  return badge(LOOKS[state], say(`state.${state}`));
}

export function jobTable({ say }: Reader, rows: readonly (readonly Part[])[]): Html {
  const heads = [
    say("jobs.id"),
    say("jobs.kind"),
    say("jobs.state"),
    say("jobs.progress"),
    say("jobs.owner"),
    say("jobs.created"),
    say("jobs.duration"),
  ];
  return table(say("jobs.title"), heads, rows, [6]);
}

export function jobRow(reader: Reader, job: Job): readonly Part[] {
  const { id, kind, state, owner, createdAt, startedAt, finishedAt, error } = job;
  const current = job.tasks.at(-1);
  return [
    html`<a href="${reader.link(`/jobs/${id}`)}">${String(id)}</a>`,
    html`<span class="word">${kind}</span>`,
    stateBadge(reader, state),
    error ? error.message : state === "running" && current ? progressOf(current) : null,
    owner,
    timeOf(createdAt),
    startedAt !== null && finishedAt !== null && durationText(finishedAt - startedAt),
  ];
}

/** A bar, and the same in words. */
export function progressOf(task: TaskProgress): Html {
  const percent = task.percent.toFixed(0);
  return html`<progress max="100" value="${percent}" aria-label="${task.name}"></progress> ${task.name} ${percent} % ${amountsOf(task)}`;
}

/** `12 of 40 files, 3.1 GiB of 10.0 GiB` */
export function amountsOf({ doneFiles, totalFiles, doneBytes, totalBytes, doneRows, totalRows }: TaskProgress): string {
  const amount = (done: number | undefined, total: number | undefined, text: (n: number) => string, unit: string) =>
    done === undefined ? [] : [`${text(done)}${total === undefined ? "" : ` of ${text(total)}`}${unit}`];
  return [
    ...amount(doneFiles, totalFiles, countText, " files"),
    ...amount(doneBytes, totalBytes, sizeText, ""),
    ...amount(doneRows, totalRows, countText, " rows"),
  ].join(", ");
}

export const isOver = ({ state }: Job): boolean => FINISHED_STATES.includes(state);
