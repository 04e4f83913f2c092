import { AppError, type Details } from "../errors.ts";
import { isMailAddress } from "../notify/address.ts";
import type { BuiltIns } from "./built-in.ts";
import type { Action, ScheduleDefinition } from "./schedule.ts";
import { timetable } from "./timetable.ts";

/** Timers do not last longer (2³¹ ms), and no run should. */
const LONGEST_MS = 20 * 86_400_000;
const MOST_VARIABLES = 200;
const NAME = /^[^\p{Cc}\p{Cs}]{1,200}$/u;
const LOCK = /^[\w.:/-]{1,200}$/;
const TIME_OF_DAY = /^(?:[01]\d|2[0-3]):[0-5]\d$/;
/** What execve(2) takes for a name. */
const VARIABLE = /^[^=\0\n]{1,255}$/;

/**
 * Whether a schedule makes sense by itself.
 * @throws AppError schedule_invalid, naming field, value and what is expected; crontab_invalid, time_zone_unknown.
 */
export function checkDefinition(definition: ScheduleDefinition, builtIns: BuiltIns): void {
  const { name, expression, timeZone, environment, lock, timeoutMs, deadManMs, conditions, notify } = definition;
  const refuse = (field: string, facts: Details): never => {
    throw new AppError("schedule_invalid", { name, field, ...facts });
  };
  if (!NAME.test(name) || name !== name.trim())
    refuse("name", { expected: "1 to 200 characters, none of them control characters" });
  timetable(expression, timeZone);
  if (lock !== null && !LOCK.test(lock)) refuse("lock", { found: lock, expected: "letters, digits and . : / - _" });
  for (const [field, ms] of [
    ["timeoutMs", timeoutMs],
    ["waitMs", conditions.waitMs],
  ] as const)
    if (ms !== null && ms > LONGEST_MS) refuse(field, { found: ms, expected: `at most ${LONGEST_MS}` });
  if (deadManMs !== null && deadManMs < 1_000) refuse("deadManMs", { found: deadManMs, expected: "at least 1000" });
  const names = Object.keys(environment);
  if (names.length > MOST_VARIABLES)
    refuse("environment", { found: names.length, expected: `at most ${MOST_VARIABLES} variables` });
  for (const [variable, value] of Object.entries(environment))
    if (!VARIABLE.test(variable) || value.includes("\0"))
      refuse("environment", { found: variable, expected: "NAME=value" });
  const { window } = conditions;
  for (const time of window === null ? [] : [window.from, window.until])
    if (!TIME_OF_DAY.test(time)) refuse("conditions.window", { found: time, expected: "HH:MM" });
  if (notify.to !== null && !isMailAddress(notify.to))
    refuse("notify.to", { found: notify.to, expected: "an address of mail" });
  checkAction(definition.action, builtIns, refuse);
}

function checkAction(action: Action, builtIns: BuiltIns, refuse: (field: string, facts: Details) => never): void {
  switch (action.kind) {
    case "shell":
      if (action.command.trim() === "" || action.command.includes("\0"))
        refuse("action.command", { found: action.command, expected: "a command" });
      return;
    case "program":
      if (!action.file.startsWith("/") || [action.file, ...action.args].some((word) => word.includes("\0")))
        refuse("action.file", { found: action.file, expected: "an absolute path" });
      return;
    case "http":
      if (!/^https?:\/\//.test(action.url) || !URL.canParse(action.url))
        refuse("action.url", { found: action.url, expected: "http://… or https://…" });
      return;
    case "mail":
      if (!isMailAddress(action.to)) refuse("action.to", { found: action.to, expected: "an address of mail" });
      return;
    case "built-in": {
      const builtIn = builtIns[action.name];
      if (!builtIn) refuse("action.name", { found: action.name, expected: Object.keys(builtIns).join(", ") });
      builtIn.check(action.input);
    }
  }
}
