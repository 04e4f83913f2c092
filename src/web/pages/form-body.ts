import { z } from "zod";

/** A form is a flat list of names and texts. */
type Sent = Readonly<Record<string, string>>;

/**
 * A form that is held against what the API takes: `formToken` is the page's own, and a field that was left empty is as good
 * as none.
 * @param read makes the API's body of what is not text.
 */
export function formOf<Body extends z.ZodType>(body: Body, read: (sent: Sent) => unknown = (sent) => sent) {
  return z.record(z.string(), z.string()).transform(withoutEmpty).transform(read).pipe(body);
}

function withoutEmpty({ formToken: _, ...sent }: Sent): Sent {
  return Object.fromEntries(Object.entries(sent).filter(([, text]) => text !== ""));
}
