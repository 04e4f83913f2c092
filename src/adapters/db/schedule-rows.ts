import type { Generated, Selectable } from "kysely";
import type { ScheduleId } from "../../core/ids.ts";
import type { Run, Schedule, ScheduleDefinition } from "../../core/schedules/schedule.ts";
import { fromJson, type JsonText, toJson } from "./tables.ts";

/** What is declared is JSON: nothing queries into it, but for the name. */
export interface ScheduleRow extends Omit<Schedule, Exclude<keyof ScheduleDefinition, "name"> | "paused"> {
  readonly definition: JsonText<Omit<ScheduleDefinition, "name">>;
  /** 0 or 1, as the next. */
  readonly paused: number;
  readonly atBoot: number;
}

export interface ScheduleRunRow extends Omit<Run, "number"> {
  readonly number: Generated<number>;
}

export interface ScheduleBootRow {
  readonly schedule: ScheduleId;
  readonly boot: string;
}

export interface ScheduleLockRow {
  readonly key: string;
  readonly run: number;
}

export function scheduleRow(schedule: Schedule): ScheduleRow {
  const { id, owner, name, paused, nextDueAt, plannedAt, silentAt, silentSince, createdAt, changedAt, ...rest } =
    schedule;
  return {
    id,
    owner,
    name,
    definition: toJson(rest),
    paused: Number(paused),
    atBoot: Number(isAtBoot(rest)),
    nextDueAt,
    plannedAt,
    silentAt,
    silentSince,
    createdAt,
    changedAt,
  };
}

export function scheduleOf({ definition, paused, atBoot: _, ...row }: Selectable<ScheduleRow>): Schedule {
  return { ...row, ...fromJson(definition), paused: paused === 1 };
}

/** The one expression that no clock makes due. */
export const isAtBoot = ({ expression }: Pick<ScheduleDefinition, "expression">) => expression === "@reboot";

/** The keys without which no run of the schedule begins; in an order that all take them in. */
export function lockKeys({ id, lock }: Schedule): readonly string[] {
  return [...(lock === null ? [] : [`lock:${lock}`]), `schedule:${id}`];
}
