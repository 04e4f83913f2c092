import type { z } from "zod";
import type { AppError } from "../../core/errors.ts";
import type { Finding } from "../../core/schedules/crontab/finding.ts";
import {
  type ACTION_KINDS,
  type Action,
  MISFIRES,
  NOTIFY_WHEN,
  OVERLAPS,
  type ScheduleDefinition,
} from "../../core/schedules/schedule.ts";
import { ScheduleBody } from "../../http/api/schedule-schemas.ts";
import { type Control, type FormField, linesOf, type Typed } from "../form-field.ts";
import { jsonIn, listFrom, listText, NoPair, pairsFrom, pairsText } from "../form-lines.ts";
import type { Reader } from "../layout.ts";

/**
 * A schedule as a form. Controls are called as the API calls what they say, `action.command`: so what the API finds wrong has
 * its place. Times are in seconds, as people count them.
 */

export type ActionKind = (typeof ACTION_KINDS)[number];

const HEADERS = ": ";
const VARIABLES = "=";

const CODE: Control = { kind: "input", isCode: true };
const codeLines = (rows: number): Control => ({ kind: "text", rows, isCode: true });
const SECONDS: Control = { kind: "input", type: "number", min: 0, step: "any" };

/** What is always asked. */
export function timeFields({ say }: Reader): readonly FormField[] {
  return [
    { name: "name", label: say("schedules.name"), isRequired: true, control: { kind: "input", maxLength: 200 } },
    {
      name: "expression",
      label: say("schedule.expression"),
      isRequired: true,
      hint: say("scheduleForm.timeHint"),
      control: CODE,
    },
    {
      name: "timeZone",
      label: say("schedule.timeZone"),
      isRequired: true,
      hint: say("scheduleForm.timeZoneHint"),
      control: CODE,
    },
  ];
}

/** What is asked of each kind of action. */
export function actionFields(
  { say }: Reader,
  kind: ActionKind,
  builtIns: Readonly<Record<string, string>>,
): readonly FormField[] {
  const user: FormField = {
    name: "action.user",
    label: say("scheduleForm.user"),
    hint: say("scheduleForm.userHint"),
    control: CODE,
  };
  switch (kind) {
    case "shell":
      return [
        { name: "action.command", label: say("scheduleForm.command"), isRequired: true, control: codeLines(3) },
        { name: "action.stdin", label: say("scheduleForm.stdin"), control: codeLines(2) },
        user,
      ];
    case "program":
      return [
        {
          name: "action.file",
          label: say("scheduleForm.file"),
          hint: say("scheduleForm.fileHint"),
          isRequired: true,
          control: CODE,
        },
        {
          name: "action.args",
          label: say("scheduleForm.args"),
          hint: say("scheduleForm.lines"),
          control: codeLines(3),
        },
        user,
      ];
    case "built-in":
      return [
        {
          name: "action.name",
          label: say("scheduleForm.work"),
          isRequired: true,
          control: {
            kind: "choice",
            choices: Object.entries(builtIns).map(([name, summary]) => [name, `${name}: ${summary}`]),
          },
        },
        {
          name: "action.input",
          label: say("scheduleForm.input"),
          hint: say("scheduleForm.json"),
          control: codeLines(4),
        },
      ];
    case "http":
      return [
        {
          name: "action.method",
          label: say("scheduleForm.method"),
          control: { kind: "choice", choices: ["GET", "HEAD", "POST"].map((one) => [one, one]) },
        },
        { name: "action.url", label: say("scheduleForm.url"), isRequired: true, control: CODE },
        {
          name: "action.headers",
          label: say("scheduleForm.headers"),
          hint: say("scheduleForm.headersHint"),
          control: codeLines(3),
        },
        { name: "action.body", label: say("scheduleForm.body"), control: codeLines(3) },
      ];
    case "mail":
      return [
        {
          name: "action.to",
          label: say("scheduleForm.to"),
          isRequired: true,
          control: { kind: "input", type: "email" },
        },
        { name: "action.subject", label: say("scheduleForm.subject"), isRequired: true, control: { kind: "input" } },
        { name: "action.text", label: say("scheduleForm.text"), control: { kind: "text", rows: 5 } },
      ];
  }
}

/** What most schedules leave as it is. */
export function furtherFields({ say }: Reader): readonly FormField[] {
  return [
    {
      name: "environment",
      label: say("scheduleForm.environment"),
      hint: say("scheduleForm.environmentHint"),
      control: codeLines(3),
    },
    {
      name: "required",
      label: say("scheduleForm.required"),
      hint: say("scheduleForm.requiredHint"),
      control: codeLines(2),
    },
    {
      name: "overlap",
      label: say("scheduleForm.overlap"),
      control: { kind: "choice", choices: OVERLAPS.map((one) => [one, say(`overlap.${one}`)]) },
    },
    { name: "lock", label: say("scheduleForm.lock"), hint: say("scheduleForm.lockHint"), control: CODE },
    {
      name: "misfire",
      label: say("scheduleForm.misfire"),
      control: { kind: "choice", choices: MISFIRES.map((one) => [one, say(`misfire.${one}`)]) },
    },
    { name: "timeoutMs", label: say("scheduleForm.timeout"), control: SECONDS },
    { name: "deadManMs", label: say("scheduleForm.deadMan"), control: SECONDS },
    {
      name: "conditions.window.from",
      label: say("scheduleForm.from"),
      hint: say("scheduleForm.windowHint"),
      control: { kind: "input", type: "time" },
    },
    {
      name: "conditions.window.until",
      label: say("scheduleForm.until"),
      control: { kind: "input", type: "time" },
    },
    { name: "conditions.loadBelow", label: say("scheduleForm.load"), control: SECONDS },
    { name: "conditions.free.path", label: say("scheduleForm.freePath"), control: CODE },
    {
      name: "conditions.free.bytes",
      label: say("scheduleForm.freeBytes"),
      control: { kind: "input", type: "number", min: 0, step: "1" },
    },
    {
      name: "conditions.online",
      label: say("scheduleForm.online"),
      hint: say("scheduleForm.lines"),
      control: codeLines(2),
    },
    { name: "conditions.waitMs", label: say("scheduleForm.wait"), control: SECONDS },
    { name: "notify.to", label: say("scheduleForm.notifyTo"), control: { kind: "input", type: "email" } },
    {
      name: "notify.when",
      label: say("scheduleForm.notifyWhen"),
      control: { kind: "choice", choices: NOTIFY_WHEN.map((one) => [one, say(`notify.${one}`)]) },
    },
    { name: "rerun", label: say("scheduleForm.rerun"), control: { kind: "switch" } },
  ];
}

/** A schedule as it is typed. */
export function typedSchedule(schedule: ScheduleDefinition): Typed {
  const { name, expression, timeZone, environment, required, overlap, lock, misfire } = schedule;
  const { timeoutMs, deadManMs, conditions, notify, rerun } = schedule;
  const { window, loadBelow, free, online, waitMs } = conditions;
  return {
    name,
    expression,
    timeZone,
    ...typedAction(schedule.action),
    environment: pairsText(environment, VARIABLES),
    required: listText(required),
    overlap,
    lock: lock ?? "",
    misfire,
    timeoutMs: seconds(timeoutMs),
    deadManMs: seconds(deadManMs),
    "conditions.window.from": window?.from ?? "",
    "conditions.window.until": window?.until ?? "",
    "conditions.loadBelow": loadBelow === null ? "" : String(loadBelow),
    "conditions.free.path": free?.path ?? "",
    "conditions.free.bytes": free === null ? "" : String(free.bytes),
    "conditions.online": listText(online),
    "conditions.waitMs": waitMs === 0 ? "" : seconds(waitMs),
    "notify.to": notify.to ?? "",
    "notify.when": notify.when,
    rerun: rerun ? "on" : "",
  };
}

function typedAction(action: Action): Typed {
  switch (action.kind) {
    case "shell": {
      const { command, stdin, user } = action;
      return { "action.command": command, "action.stdin": stdin ?? "", "action.user": user ?? "" };
    }
    case "program": {
      const { file, args, user } = action;
      return { "action.file": file, "action.args": listText(args), "action.user": user ?? "" };
    }
    case "built-in":
      return { "action.name": action.name, "action.input": JSON.stringify(action.input, null, 2) };
    case "http": {
      const { method, url, headers, body } = action;
      return {
        "action.method": method,
        "action.url": url,
        "action.headers": pairsText(headers, HEADERS),
        "action.body": body ?? "",
      };
    }
    case "mail":
      return { "action.to": action.to, "action.subject": action.subject, "action.text": action.text };
  }
}

const seconds = (ms: number | null): string => (ms === null ? "" : String(ms / 1_000));

/** A definition as the API takes it, or what is wrong by the names of controls. */
export type Read =
  | { readonly definition: z.output<typeof ScheduleBody>; readonly problems: undefined }
  | { readonly definition: undefined; readonly problems: Typed };

export function readSchedule({ say }: Reader, kind: ActionKind, typed: Typed): Read {
  const problems: Record<string, string> = {};
  const text = (name: string) => linesOf(typed[name]);
  const orNull = (name: string) => text(name) || null;
  const numberOf = (name: string, times = 1) => (text(name) === "" ? null : Math.round(Number(text(name)) * times));
  const pairs = (name: string, separator: string) => {
    try {
      return pairsFrom(text(name), separator);
    } catch (error) {
      if (!(error instanceof NoPair)) throw error;
      problems[name] = say("scheduleForm.notPair", { line: error.line });
      return {};
    }
  };
  /** Both of two that belong together, or none. */
  const together = <One>(one: string, other: string, made: One): One | null => {
    const isGiven = [text(one), text(other)].filter((part) => part !== "").length;
    if (isGiven === 1) problems[one] = say("scheduleForm.both");
    return isGiven === 2 ? made : null;
  };

  function action(): unknown {
    switch (kind) {
      case "shell":
        return { kind, command: text("action.command"), stdin: orNull("action.stdin"), user: orNull("action.user") };
      case "program":
        return {
          kind,
          file: text("action.file"),
          args: listFrom(text("action.args")),
          user: orNull("action.user"),
        };
      case "built-in": {
        const input = jsonIn(text("action.input") || "{}", "{");
        if (input === undefined) problems["action.input"] = say("scheduleForm.notJson");
        return { kind, name: text("action.name"), input };
      }
      case "http":
        return {
          kind,
          method: text("action.method"),
          url: text("action.url"),
          headers: pairs("action.headers", HEADERS),
          body: orNull("action.body"),
        };
      case "mail":
        return { kind, to: text("action.to"), subject: text("action.subject"), text: text("action.text") };
    }
  }

  const parsed = ScheduleBody.safeParse({
    name: text("name"),
    expression: text("expression").trim(),
    timeZone: text("timeZone").trim(),
    action: action(),
    environment: pairs("environment", VARIABLES),
    required: listFrom(text("required")),
    overlap: text("overlap"),
    lock: orNull("lock"),
    misfire: text("misfire"),
    timeoutMs: numberOf("timeoutMs", 1_000),
    deadManMs: numberOf("deadManMs", 1_000),
    conditions: {
      window: together("conditions.window.from", "conditions.window.until", {
        from: text("conditions.window.from"),
        until: text("conditions.window.until"),
      }),
      loadBelow: text("conditions.loadBelow") === "" ? null : Number(text("conditions.loadBelow")),
      free: together("conditions.free.path", "conditions.free.bytes", {
        path: text("conditions.free.path"),
        bytes: Number(text("conditions.free.bytes")),
      }),
      online: listFrom(text("conditions.online")),
      waitMs: numberOf("conditions.waitMs", 1_000) ?? 0,
    },
    notify: { to: orNull("notify.to"), when: text("notify.when") },
    rerun: text("rerun") === "on",
  });
  for (const { path, message } of parsed.error?.issues ?? []) problems[path.join(".")] ??= message;
  if (Object.keys(problems).length > 0 || !parsed.success) return { definition: undefined, problems };
  return { definition: parsed.data, problems: undefined };
}

/** Where what the service refuses has its place. */
const PLACES: Readonly<Record<string, string>> = {
  crontab_invalid: "expression",
  time_zone_unknown: "timeZone",
  schedule_exists: "name",
  user_refused: "action.user",
};

/** What is wrong with a schedule, by the names of controls; `undefined` when it is something else. */
export function scheduleProblems(error: AppError): Typed | undefined {
  if (error.code === "scope_missing" || !["invalid", "conflict", "forbidden"].includes(error.kind)) return undefined;
  const { field, findings } = error.details;
  if (Array.isArray(findings)) return { expression: findings.map((one) => findingText(one as never)).join(" ") };
  return { [PLACES[error.code] ?? (typeof field === "string" ? field : "")]: error.message };
}

/** Of a lone expression, which has one line. */
export const findingText = ({ message, hint }: Pick<Finding, "message" | "hint">): string =>
  [message.replace(/^Line 1: /, ""), hint].filter(Boolean).join(" ");

/** The problems of a control, or of what it is a part of. */
export function problemOf(problems: Typed, name: string): string | undefined {
  const at = Object.keys(problems).find((place) => isAt(place, name));
  return at === undefined ? undefined : problems[at];
}

/** What is wrong with nothing that is asked. */
export function problemsElsewhere(problems: Typed, fields: readonly FormField[]): string {
  const others = Object.entries(problems).filter(([place]) => !fields.some(({ name }) => isAt(place, name)));
  return others.map(([place, problem]) => (place === "" ? problem : `${place}: ${problem}`)).join(" ");
}

/** The service names parts of what a control says, wholes of what several say, and conditions by their own name. */
const isAt = (place: string, name: string): boolean =>
  place !== "" &&
  (place === name || place.startsWith(`${name}.`) || name.startsWith(`${place}.`) || name.endsWith(`.${place}`));
