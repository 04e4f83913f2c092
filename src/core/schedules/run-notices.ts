import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import { isoTime } from "../clock.ts";
import { MAIL_CHANNEL } from "../notify/notices.ts";
import type { NotifyWhen, Run, Schedule } from "./schedule.ts";
import type { RunOutcome } from "./schedule-store.ts";

/** What is told of runs, as messages of the outbox. */
export interface RunNotices {
  /** @param output what is shown of what it printed. */
  ended(schedule: Schedule, run: Run, outcome: RunOutcome, output: string): readonly OutboxMessage[];
  /** It has not succeeded for as long as its owner would bear. */
  silent(schedule: Schedule): readonly OutboxMessage[];
  /** What a schedule's action says. */
  message(
    schedule: Schedule,
    run: Run,
    mail: { readonly to: string; readonly subject: string; readonly text: string },
  ): readonly OutboxMessage[];
}

/** @param from the sender of all of them. */
export function runNotices(from: string): RunNotices {
  const mail = (key: string, to: string, subject: string, text: string): OutboxMessage => ({
    key: `${MAIL_CHANNEL}:${key}`,
    channel: MAIL_CHANNEL,
    target: to,
    payload: { from, subject, text },
  });

  return {
    ended({ name, notify: { to, when } }, run, outcome, output) {
      if (to === null || run.cause === "test" || !isTold(when, outcome)) return [];
      const { state, reason, exitCode, outputBytes } = outcome;
      const lines = [
        `Schedule: ${name}`,
        `Run:      ${run.number}, due ${isoTime(run.dueAt)}`,
        `Outcome:  ${state}${exitCode === null ? "" : `, exit code ${exitCode}`}`,
        ...(reason === null ? [] : [reason]),
        ...(outputBytes === 0 ? [] : ["", `Output (${outputBytes} bytes):`, "", output]),
      ];
      return [mail(`run:${run.schedule}/${run.number}`, to, `${name}: ${state}`, `${lines.join("\n")}\n`)];
    },

    silent({ id, name, silentAt, deadManMs, notify: { to } }) {
      if (to === null || silentAt === null || deadManMs === null) return [];
      const since = isoTime(silentAt - deadManMs);
      const text = `Schedule: ${name}\nNo run of it has succeeded since ${since}.\n`;
      return [mail(`silent:${id}:${silentAt}`, to, `${name}: silent`, text)];
    },

    message: (_, { schedule, number }, { to, subject, text }) => [
      mail(`action:${schedule}/${number}`, to, subject, text),
    ],
  };
}

function isTold(when: NotifyWhen, { state, outputBytes }: RunOutcome): boolean {
  switch (when) {
    case "always":
      return true;
    case "never":
      return false;
    case "output":
      return outputBytes > 0;
    case "failure":
      return state !== "succeeded" && state !== "skipped";
  }
}
