import type { Details } from "../../core/errors.ts";
import { currentTrace, type TraceParent } from "../../core/tracing.ts";

/** Work for later is kept with what it is part of, where tracing is on: under this name, beside the fields of its own. */
const NAME = "traceparent";

/** @param trace `undefined`: what the running code is part of; `null`: nothing. */
export function withTrace(fields: Details, trace: TraceParent | null | undefined = currentTrace()): Details {
  return trace === null || trace === undefined ? fields : { ...fields, [NAME]: trace };
}

/** The fields as they were, and the trace apart from them. */
export function withoutTrace(kept: Details): { readonly fields: Details; readonly trace?: TraceParent } {
  const { [NAME]: trace, ...fields } = kept;
  return typeof trace === "string" ? { fields, trace } : { fields };
}
