import type { z } from "zod";
import { isMailAddress } from "../core/notify/address.ts";
import { bytes, list, refuse, text, whole } from "./setting-forms.ts";

/** Settings of the checks that archived bytes are what they were; a part of `SETTINGS` in `config.ts`. */
export const FIXITY_SETTINGS = {
  LONGSHORE_FIXITY_DAYS: text
    .transform((input, context) => whole(input, context, { most: 36_500 }))
    .prefault("90")
    .describe("Days within which every transaction is to be read and compared: what fixity runs work towards."),
  LONGSHORE_FIXITY_DAILY_SIZE: text
    .transform(bytes)
    .optional()
    .describe(
      "Most that all fixity runs of a day (UTC) read: a number with KiB, MiB, GiB or TiB. No limit when not set.",
    ),
  LONGSHORE_FIXITY_DAILY_MINUTES: text
    .transform((input, context) => whole(input, context, { most: 1440 }))
    .optional()
    .describe("Longest that all fixity runs of a day (UTC) work, in minutes. No limit when not set."),
  LONGSHORE_OPERATOR_MAIL: list((input, context) =>
    isMailAddress(input) ? input : refuse(context, "expected mail addresses"),
  )
    .prefault("")
    .describe(
      "Addresses, separated by commas, that are told by mail when archived bytes are not what they were, and of deliveries to drop folders that are rejected.",
    ),
} as const;

export function fixityConfig(e: z.output<z.ZodObject<typeof FIXITY_SETTINGS>>) {
  return {
    fixity: {
      days: e.LONGSHORE_FIXITY_DAYS,
      dailyBytes: e.LONGSHORE_FIXITY_DAILY_SIZE,
      dailyMinutes: e.LONGSHORE_FIXITY_DAILY_MINUTES,
    },
    operatorMail: e.LONGSHORE_OPERATOR_MAIL,
  } as const;
}
