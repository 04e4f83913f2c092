import type { z } from "zod";
import { httpUrl, list, refuse, text } from "./setting-forms.ts";

/** Settings of what others are told of the work done here; a part of `SETTINGS` in `config.ts`. */
export const TELEMETRY_SETTINGS = {
  LONGSHORE_OTLP_URL: httpUrl
    .transform((input) => (new URL(input).pathname === "/" ? new URL("v1/traces", input).href : input))
    .optional()
    .describe(
      "Receiver of OpenTelemetry traces, OTLP over HTTP: the full address, or the service alone (then /v1/traces is added).",
    ),
  LONGSHORE_OTLP_HEADERS: list((input, context): readonly [string, string] => {
    const [, name, value] = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+)=(.+)$/.exec(input) ?? [];
    return name === undefined || value === undefined
      ? refuse(context, "expected header=value, separated by commas")
      : [name, value];
  })
    .prefault("")
    .describe("Header fields that are sent along, as in authorization=Bearer abc, separated by commas.")
    .meta({ secret: true }),
  LONGSHORE_TRACE_SHARE: text
    .transform((input, context) => {
      const share = Number(input);
      return input !== "" && share >= 0 && share <= 1 ? share : refuse(context, "expected a number from 0 to 1");
    })
    .prefault("1")
    .describe(
      "Share of the traces that begin here which are recorded, from 0 to 1; callers with a traceparent decide for theirs.",
    ),
} as const;

export function telemetryConfig(e: z.output<z.ZodObject<typeof TELEMETRY_SETTINGS>>) {
  return {
    traces:
      e.LONGSHORE_OTLP_URL === undefined
        ? undefined
        : {
            url: e.LONGSHORE_OTLP_URL,
            headers: Object.fromEntries(e.LONGSHORE_OTLP_HEADERS),
            share: e.LONGSHORE_TRACE_SHARE,
          },
  } as const;
}
