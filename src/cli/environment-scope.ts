import { type Command, Option } from "commander";
import type { EnvironmentScope } from "../sdk/index.ts";
import type { JsonOption } from "./command.ts";

export interface ScopeOptions extends JsonOption {
  readonly schedule?: string;
  readonly register?: string;
}

/** Whom a value or secret is for; everything, when neither is given. */
export function withScope(target: Command): Command {
  return target
    .addOption(new Option("--schedule <name>", "for this schedule alone").conflicts("register"))
    .option("--register <name>", "for this register alone");
}

export function scopeOf({ schedule, register }: ScopeOptions): EnvironmentScope | undefined {
  if (schedule !== undefined) return `schedule:${schedule}`;
  return register === undefined ? undefined : `register:${register}`;
}
