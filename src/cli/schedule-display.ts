import type { CrontabFinding, Run, Schedule, ScheduleAction } from "../sdk/index.ts";
import { bytesText, durationText } from "./amounts.ts";

export function scheduleLines(schedule: Schedule): string[] {
  const { conditions, environment, required, notify } = schedule;
  const fields: (readonly [string, string | null])[] = [
    ["id", schedule.id],
    ["when", `${schedule.expression} (${schedule.description})`],
    ["next", schedule.paused ? "paused" : (schedule.nextDueAt ?? "not by the clock")],
    ["does", actionText(schedule.action)],
    ["owner", schedule.owner],
    ["overlap", schedule.overlap],
    ["lock", schedule.lock],
    ["misfire", schedule.misfire === "none" ? null : schedule.misfire],
    ["timeout", schedule.timeoutMs === null ? null : durationText(schedule.timeoutMs)],
    ["dead man", schedule.deadManMs === null ? null : durationText(schedule.deadManMs)],
    ["silent", schedule.silentSince === null ? null : `since ${schedule.silentSince}`],
    ["needs", required.length === 0 ? null : required.join(", ")],
    ["variables", Object.keys(environment).join(", ") || null],
    ["window", conditions.window ? `${conditions.window.from}-${conditions.window.until}` : null],
    ["mail", notify.to == null ? null : `${notify.to} (${notify.when})`],
    ["last run", schedule.lastRun ? runText(schedule.lastRun) : null],
  ];
  const shown = fields.flatMap(([name, value]) => (value === null ? [] : [`  ${name.padEnd(10)} ${value}`]));
  return [`Schedule ${schedule.name}`, ...shown];
}

export function actionText(action: ScheduleAction): string {
  switch (action.kind) {
    case "shell":
      return action.command;
    case "program":
      return [action.file, ...(action.args ?? [])].join(" ");
    case "built-in":
      return `built-in ${action.name}`;
    case "http":
      return `${action.method ?? "GET"} ${action.url}`;
    case "mail":
      return `mail to ${action.to}`;
  }
}

/** `12 failed, exit code 3, 1.2 s: sentence`. */
export function runText({ number, state, exitCode, durationMs, outputBytes, reason }: Run): string {
  const facts = [
    `run ${number} ${state}`,
    ...(exitCode === null ? [] : [`exit code ${exitCode}`]),
    ...(durationMs === null ? [] : [durationText(durationMs)]),
    ...(outputBytes === 0 ? [] : [`${bytesText(outputBytes)} printed`]),
  ];
  return `${facts.join(", ")}${reason === null ? "" : `: ${reason}`}`;
}

export function findingLine({ severity, line, column, message, hint }: CrontabFinding): string {
  return `${line}:${column} ${severity}: ${message}${hint === undefined ? "" : ` ${hint}`}`;
}
