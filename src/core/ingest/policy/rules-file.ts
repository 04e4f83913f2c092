import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { z } from "zod";
import { DIGEST_NAMES, digestName } from "../../digest.ts";
import { type Problem, problem } from "../../errors.ts";
import { refusal } from "../refusal.ts";

/** Largest metadata document that is held against a JSON Schema, unless the rules say otherwise. */
const MAX_METADATA_BYTES = 16 * 1024 * 1024;

/** Pacifica writes ids as numbers or as text; they are the same ids. */
const id = z.union([z.string(), z.number()], "text or a number").transform(String);
const count = z.int().min(0);

const pattern = z.string().transform((source, context) => {
  try {
    return new RegExp(source, "u");
  } catch (error) {
    return refuse(context, source, `a regular expression (${reasonOf(error)})`);
  }
});

const digest = z
  .string()
  .transform(
    (spelling, context) =>
      digestName(spelling) ?? refuse(context, spelling, `the name of a digest: ${DIGEST_NAMES.join(", ")}`),
  );

const schema = z.record(z.string(), z.unknown()).transform((source, context): ValidateFunction => {
  // `format` is an annotation (JSON Schema 2020-12, Validation §7.2.1). Strict: a misspelt keyword checks nothing.
  // An asynchronous one would answer with a promise, which is true whatever comes of it.
  if ("$async" in source) return refuse(context, source, "a JSON Schema without $async");
  const options = { allErrors: true, verbose: true, validateFormats: false, strictTypes: false, strictTuples: false };
  try {
    return new Ajv2020({ ...options, logger: false }).compile(source);
  } catch (error) {
    return refuse(context, source, `a JSON Schema of draft 2020-12 (${reasonOf(error)})`);
  }
});

/** See docs/formats/policy.md for what each rule means. */
const RULES = z.strictObject({
  $comment: z.string().optional(),
  required: z
    .strictObject({
      fields: z.array(z.enum(["submitter", "project", "instrument"])).default([]),
      keys: z.array(z.string()).default([]),
    })
    .prefault({}),
  allowed: z
    .strictObject({
      submitters: z.array(id).optional(),
      projects: z.array(id).optional(),
      instruments: z.array(id).optional(),
      combinations: z
        .array(
          z.strictObject({
            submitters: z.array(id).optional(),
            projects: z.array(id).optional(),
            instruments: z.array(id).optional(),
          }),
        )
        .optional(),
      digests: z.array(digest).optional(),
      paths: z.array(pattern).optional(),
    })
    .prefault({}),
  forbidden: z.strictObject({ paths: z.array(pattern).default([]) }).prefault({}),
  limits: z
    .strictObject({
      minFiles: count.optional(),
      maxFiles: count.optional(),
      maxFileBytes: count.optional(),
      maxTotalBytes: count.optional(),
      maxMetadataBytes: count.default(MAX_METADATA_BYTES),
    })
    .prefault({}),
  metadataSchema: schema.optional(),
});

/** The rules of a policy file, ready to be applied. */
export type Rules = z.output<typeof RULES>;

/**
 * Reads a policy file.
 * @throws AppError policy_invalid; `details.problems` has one entry, with path, expected and found, for everything wrong.
 */
export function readRules(text: string): Rules {
  let source: unknown;
  try {
    source = JSON.parse(text);
  } catch (error) {
    throw refusal([problem("policy_invalid", { expected: "JSON", found: reasonOf(error) })]);
  }
  const parsed = RULES.safeParse(source, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw refusal(parsed.error.issues.flatMap(explain));
}

function explain(issue: z.core.$ZodIssue): readonly Problem[] {
  const path = issue.path.join(".");
  const complain = (expected: string, found = shown(issue.input)) =>
    problem("policy_invalid", { ...(path === "" ? {} : { path }), expected, found });
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => complain("only rules that Longshore knows", key));
    case "invalid_type":
      return [complain(TYPES[issue.expected] ?? issue.expected)];
    case "invalid_value":
      return [complain(issue.values.join(" or "))];
    case "too_small":
      return [complain(`${issue.minimum} or more`)];
    default:
      return [complain(issue.message)];
  }
}

const TYPES: Readonly<Record<string, string>> = {
  array: "a list",
  int: "a whole number",
  number: "a whole number",
  object: "an object",
  record: "an object",
  string: "text",
};

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" && value !== null ? "an object" : JSON.stringify(value);
}

/** Records what is wrong and gives zod the value that says "do not go on". */
function refuse(context: z.RefinementCtx, input: unknown, expected: string): never {
  context.addIssue({ code: "custom", message: expected, input });
  return z.NEVER;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
