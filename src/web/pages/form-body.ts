import { z } from "zod";

/** A form is a flat list of names and texts. */
type Sent = Readonly<Record<string, string>>;

/** A form that is judged by its route, to be shown again when it is refused. */
export const FormBody = z.record(z.string().max(200), z.string());

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

/** What is wrong with a form: for each name of the body its sentence; a name without one is nobody's to mend here. */
export function problemsIn<Name extends string>(
  { issues }: z.ZodError,
  sentences: Readonly<Record<Name, string>>,
): Readonly<Partial<Record<Name, string>>> {
  const names = Object.keys(sentences) as Name[];
  const wrong = names.filter((name) => issues.some(({ path }) => path[0] === name));
  return Object.fromEntries(wrong.map((name) => [name, sentences[name]])) as Partial<Record<Name, string>>;
}
