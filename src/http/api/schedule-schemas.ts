import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import type { Details } from "../../core/errors.ts";
import { scheduleId } from "../../core/ids.ts";
import { EXCHANGE_FORMS } from "../../core/schedules/crontab-exchange.ts";
import {
  MISFIRES,
  NOTIFY_WHEN,
  OVERLAPS,
  RUN_CAUSES,
  RUN_STATES,
  type Run,
  type Schedule,
  type ScheduleDefinition,
} from "../../core/schedules/schedule.ts";
import type { ListedSchedule } from "../../core/schedules/schedules.ts";
import { timetable } from "../../core/schedules/timetable.ts";
import { timeOrNull } from "./schemas.ts";

/** What the wire says of schedules, with the functions that make it from ours. */

/** Registered as it is: a copy of it would refer to one that has no name. */
const Json = z.json().register(z.globalRegistry, { id: "Json", description: "Any JSON." });
const Time = z.iso.datetime().describe("ISO 8601 in UTC.");
const Text = z.string().max(65_536);
const Ms = z.int().positive();
const Id = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "is not the id of a schedule");

export const ScheduleParams = z.strictObject({ id: Id.transform(scheduleId).describe("The schedule's id.") });
export const RunParams = ScheduleParams.extend({
  run: z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER).describe("The run's number."),
});

const User = z.string().min(1).max(64).nullable().describe("Who runs it; null: whoever the server runs as.");

export const ActionSchema = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("shell"),
      command: Text,
      stdin: Text.nullable().default(null).describe("What it reads."),
      user: User.default(null),
    }),
    z.strictObject({
      kind: z.literal("program"),
      file: Text.describe("An absolute path."),
      args: z.array(Text).max(1_000).default([]),
      user: User.default(null),
    }),
    z.strictObject({
      kind: z.literal("built-in"),
      name: z.string().max(64),
      input: z.record(z.string(), Json).default({}),
    }),
    z.strictObject({
      kind: z.literal("http"),
      method: z.enum(["GET", "HEAD", "POST"]).default("GET"),
      url: z.string().max(4_096),
      headers: z.record(z.string().max(256), Text).default({}),
      body: Text.nullable().default(null),
    }),
    z.strictObject({
      kind: z.literal("mail"),
      to: z.string().max(320),
      subject: z.string().max(998),
      text: Text.default(""),
    }),
  ])
  .describe("What is done.");

const ConditionsSchema = z
  .strictObject({
    window: z
      .strictObject({ from: z.string(), until: z.string() })
      .nullable()
      .default(null)
      .describe("Times of day HH:MM in the schedule's time zone; it may go over midnight."),
    loadBelow: z.number().positive().nullable().default(null).describe("The machine's load of a minute, per core."),
    free: z.strictObject({ path: Text, bytes: z.int().nonnegative() }).nullable().default(null),
    online: z.array(Text).max(100).default([]).describe("Paths that are there."),
    waitMs: z.int().nonnegative().default(0).describe("How long is waited for them; 0: the run is skipped at once."),
  })
  .describe("What has to be so for a run to begin.");

const NotifySchema = z
  .strictObject({
    to: z.string().max(320).nullable().default(null),
    when: z.enum(NOTIFY_WHEN).default("failure"),
  })
  .describe("Who is told of runs by mail. It is told of silence, too.");

/** Without defaults: a change names what it changes. */
const fields = {
  name: z.string().min(1).max(200).describe("Unique."),
  expression: z.string().min(1).max(1_000).describe("Five fields of cron, or a name such as @daily or @reboot."),
  timeZone: z.string().min(1).max(64).describe("A name of the IANA's list."),
  action: ActionSchema,
  environment: z.record(z.string().min(1).max(255), Text).describe("Of commands, beside what cron gives them."),
  required: z.array(z.string().max(255)).max(100).describe("Named values and secrets without which a run is refused."),
  overlap: z.enum(OVERLAPS).describe("What becomes of a run that finds another running."),
  lock: z.string().min(1).max(200).nullable().describe("Of the schedules that name the same one, one is running."),
  misfire: z.enum(MISFIRES).describe("Which of the due times that were missed are made up for."),
  timeoutMs: Ms.nullable().describe("A run is ended after this."),
  deadManMs: Ms.nullable().describe("Told of when no run has succeeded for this long."),
  conditions: ConditionsSchema,
  notify: NotifySchema,
  rerun: z.boolean().describe("Whether a command is run again when the process that worked on it has died."),
};

export const ScheduleBody = z.strictObject({
  ...fields,
  timeZone: fields.timeZone.default("UTC"),
  environment: fields.environment.default({}),
  required: fields.required.default([]),
  overlap: fields.overlap.default("skip"),
  lock: fields.lock.default(null),
  misfire: fields.misfire.default("none"),
  timeoutMs: fields.timeoutMs.default(null),
  deadManMs: fields.deadManMs.default(null),
  conditions: fields.conditions.prefault({}),
  notify: fields.notify.prefault({}),
  rerun: fields.rerun.default(false),
});

export const ScheduleChange = z.strictObject(
  Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.exactOptional()])) as {
    [K in keyof typeof fields]: z.ZodExactOptional<(typeof fields)[K]>;
  },
);

export const RunSchema = z
  .object({
    number: z.int().positive().describe("Grows over all schedules."),
    schedule: z.string(),
    job: z.int().nullable().describe("null: nothing was to be run."),
    cause: z.enum(RUN_CAUSES),
    askedBy: z.string().nullable(),
    dueAt: Time,
    state: z.enum(RUN_STATES),
    reason: z.string().nullable().describe("Why it is in this state, in a sentence."),
    exitCode: z.int().nullable(),
    signal: z.string().nullable(),
    outputBytes: z.int().describe("All that it printed, kept or not."),
    createdAt: Time,
    startedAt: Time.nullable(),
    finishedAt: Time.nullable(),
    durationMs: z.int().nullable(),
  })
  .meta({ id: "Run", description: "One line of a schedule's history." });

export function runOnWire({ overlap: _, ...run }: Run): z.output<typeof RunSchema> {
  const { startedAt, finishedAt } = run;
  return {
    ...run,
    dueAt: isoTime(run.dueAt),
    createdAt: isoTime(run.createdAt),
    startedAt: timeOrNull(startedAt),
    finishedAt: timeOrNull(finishedAt),
    durationMs: startedAt === null || finishedAt === null ? null : finishedAt - startedAt,
  };
}

export const ScheduleSchema = z
  .object({
    id: z.string(),
    owner: z.string(),
    ...fields,
    description: z.string().describe("When, in English."),
    paused: z.boolean(),
    nextDueAt: Time.nullable().describe("null: paused, never, or with the machine's start."),
    silentSince: Time.nullable().describe("Since when it is told that no run succeeds."),
    createdAt: Time,
    changedAt: Time,
  })
  .meta({ id: "Schedule", description: "When something is due, and what is done then." });

export const ListedScheduleSchema = ScheduleSchema.extend({ lastRun: RunSchema.nullable() }).meta({
  id: "ListedSchedule",
  description: "A schedule with its newest run.",
});

/** As Zod's types want it: its arrays can be changed. */
type Fields = z.output<typeof ScheduleBody>;
export const definitionOnWire = (definition: ScheduleDefinition): Fields => {
  const { name, expression, timeZone, action, environment, required, overlap, lock, misfire } = definition;
  const { timeoutMs, deadManMs, conditions, notify, rerun } = definition;
  return {
    name,
    expression,
    timeZone,
    action: JSON.parse(JSON.stringify(action)),
    environment: { ...environment },
    required: [...required],
    overlap,
    lock,
    misfire,
    timeoutMs,
    deadManMs,
    conditions: { ...conditions, online: [...conditions.online] },
    notify: { ...notify },
    rerun,
  };
};

export function scheduleOnWire(schedule: Schedule): z.output<typeof ScheduleSchema> {
  return {
    ...definitionOnWire(schedule),
    id: schedule.id,
    owner: schedule.owner,
    description: timetable(schedule.expression, schedule.timeZone).describe(),
    paused: schedule.paused,
    nextDueAt: schedule.paused ? null : timeOrNull(schedule.nextDueAt),
    silentSince: timeOrNull(schedule.silentSince),
    createdAt: isoTime(schedule.createdAt),
    changedAt: isoTime(schedule.changedAt),
  };
}

export function listedOnWire({ lastRun, ...schedule }: ListedSchedule): z.output<typeof ListedScheduleSchema> {
  return { ...scheduleOnWire(schedule), lastRun: lastRun && runOnWire(lastRun) };
}

/** What the audit keeps of a schedule: nothing of what environments and bodies hold. */
export function scheduleFacts({
  name,
  expression,
  action,
}: Pick<ScheduleDefinition, "name" | "expression" | "action">): Details {
  return { name, expression, action: action.kind };
}

const FindingSchema = z
  .object({
    severity: z.enum(["error", "warning"]),
    code: z.string(),
    line: z.int(),
    column: z.int(),
    field: z.string(),
    value: z.string(),
    expected: z.string(),
    message: z.string(),
    hint: z.string().optional(),
  })
  .meta({ id: "CrontabFinding", description: "What is wrong, or odd, about a crontab." });

export const FormSchema = z
  .enum(EXCHANGE_FORMS)
  .describe("user and system are crontabs, the second with a column of users; windows: lines `schtasks /create`.");

const CRONTAB_CHARACTERS = 1024 ** 2;
export const CheckBody = z.strictObject({ text: z.string().max(CRONTAB_CHARACTERS), form: FormSchema.default("user") });
export const CheckedSchema = z.object({ problems: z.array(FindingSchema), warnings: z.array(FindingSchema) });

export const ImportBody = CheckBody.extend({
  timeZone: fields.timeZone.default("UTC").describe("Of entries without a CRON_TZ."),
  prefix: z.string().max(100).default("line ").describe("What names begin with, before the line's number."),
  replace: z.boolean().default(false).describe("Schedules of the same names are changed."),
  dryRun: z.boolean().default(false).describe("Nothing is kept."),
});
export const ImportedSchema = z.object({
  schedules: z.array(z.object({ id: z.string().nullable(), ...fields })),
  warnings: z.array(FindingSchema),
});

export const NextParams = z.strictObject({
  expression: fields.expression,
  timeZone: fields.timeZone.default("UTC"),
  count: z.coerce.number().int().min(1).max(100).default(5),
});
export const NextSchema = z.object({
  description: z.string().describe("In English."),
  times: z.array(Time).describe("When it is due next."),
  warnings: z.array(FindingSchema),
});
