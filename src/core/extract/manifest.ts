import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js";
import { z } from "zod";
import { AppError, problem } from "../errors.ts";
import type { ExtractResult, RecordData } from "./extractor.ts";

const takes = z
  .strictObject({
    mediaTypes: z.array(z.string().regex(/^(\*\/\*|[a-z]+\/(\*|[a-z0-9.+-]+))$/)).default([]),
    extensions: z.array(z.string().regex(/^[^./A-Z]+$/, "an ending in lower case, without the dot")).default([]),
  })
  .refine(({ mediaTypes, extensions }) => mediaTypes.length + extensions.length > 0, "at least one kind of file");

/** `extractor.json` of an extractor that is not built in: docs/formats/extractors.md says what each field means. */
const MANIFEST = z
  .strictObject({
    name: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/),
    version: z.string().min(1).max(64),
    takes,
    command: z.array(z.string().min(1)).min(1).optional(),
    image: z
      .string()
      .min(1)
      .regex(/^[^-\s]\S*$/)
      .optional(),
    schema: z.record(z.string(), z.json()).optional(),
    sample: z.string().min(1).optional(),
    limits: z
      .strictObject({
        timeMs: z.int().positive().optional(),
        memoryBytes: z.int().positive().optional(),
        outputBytes: z.int().positive().optional(),
      })
      .default({}),
  })
  .refine(({ command, image }) => command !== undefined || image !== undefined, "a command, an image, or both");
export type ExtractorManifest = z.infer<typeof MANIFEST>;

/** @throws AppError extractor_invalid, with everything that is wrong. */
export function parseManifest(text: string, folder: string): ExtractorManifest {
  const parsed = MANIFEST.safeParse(jsonOf(text, folder));
  if (parsed.success) return parsed.data;
  const hint = parsed.error.issues.map(({ path, message }) => [...path, message].join(": ")).join("; ");
  throw new AppError("extractor_invalid", { folder, hint: `extractor.json: ${hint}` });
}

function jsonOf(text: string, folder: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError("extractor_invalid", { folder, hint: "extractor.json is no JSON" }, { cause: error });
  }
}

const ANSWER = z.strictObject({
  data: z.record(z.string(), z.json()),
  problems: z
    .array(z.strictObject({ path: z.string().optional(), message: z.string() }))
    .max(1_000)
    .default([]),
});

/** Reads what an extractor printed. @returns the result, or what is wrong with it. */
export type AnswerReader = (printed: string) => ExtractResult | { readonly wrong: string };

/**
 * @param schema of the answers' data; without one, every object will do.
 * @throws AppError extractor_invalid when it is no JSON Schema.
 */
export function answerReader(schema: RecordData | undefined, folder: string): AnswerReader {
  const isWanted = schema && compiled(schema, folder);
  return (printed) => {
    let answer: unknown;
    try {
      answer = JSON.parse(printed);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      return { wrong: "It printed what is no JSON." };
    }
    const parsed = ANSWER.safeParse(answer);
    if (!parsed.success) return { wrong: `Its answer: ${parsed.error.issues.map(said).join("; ")}.` };
    const { data, problems } = parsed.data;
    if (isWanted && !isWanted(data)) return { wrong: `Its data: ${isWanted.errors?.map(found).join("; ")}.` };
    const told = problems.map(({ path, message }) =>
      problem("content_malformed", { hint: message, ...(path === undefined ? {} : { path }) }),
    );
    return { data, problems: told };
  };
}

const said = ({ path, message }: z.core.$ZodIssue): string => [...path, message].join(": ");
const found = ({ instancePath, message }: ErrorObject): string => `${instancePath || "/"} ${message}`;

function compiled(schema: RecordData, folder: string) {
  if ("$async" in schema) throw new AppError("extractor_invalid", { folder, hint: "its schema has $async" });
  try {
    return new Ajv2020({ validateFormats: false, strictTypes: false, strictTuples: false, logger: false }).compile(
      schema,
    );
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new AppError(
      "extractor_invalid",
      { folder, hint: `its schema is no JSON Schema of draft 2020-12: ${error.message}` },
      { cause: error },
    );
  }
}
