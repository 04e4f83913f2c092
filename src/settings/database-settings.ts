import { z } from "zod";
import { text, whole } from "./setting-forms.ts";

/** Settings of what is kept in the database and how it comes to its schema; a part of `SETTINGS` in `config.ts`. */
export const DATABASE_SETTINGS = {
  LONGSHORE_MIGRATE: z
    .enum(["auto", "never"])
    .prefault("auto")
    .describe(
      "Whether servers and workers bring an older database up to date when they start: auto or never. With never, they refuse it until `longshore migrate` has.",
    ),
  LONGSHORE_HISTORY_DAYS: text
    .transform((input, context) => whole(input, context, { most: 36_500 }))
    .optional()
    .describe(
      "Days for which the history of a finished job is kept, line by line. The job itself stays, and so do transactions and the audit log. For ever when not set.",
    ),
} as const;

export function databaseConfig(e: z.output<z.ZodObject<typeof DATABASE_SETTINGS>>) {
  return { migrates: e.LONGSHORE_MIGRATE === "auto", historyDays: e.LONGSHORE_HISTORY_DAYS } as const;
}
