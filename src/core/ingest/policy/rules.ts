import type { ErrorObject, ValidateFunction } from "ajv/dist/2020.js";
import { type Problem, problem } from "../../errors.ts";
import { METADATA_PATH } from "../bundle/bundle.ts";
import type { BundleMetadata, DeclaredFile } from "../metadata.ts";
import type { DescribedField, Policy, PolicyAsks, Submission } from "./policy.ts";
import type { Rules } from "./rules-file.ts";

const MAX_OBJECTIONS = 1_000;
/** Of a long list, this many entries say what kind of thing is expected. */
const SHOWN = 10;

const FIELDS = { submitter: "submitters", project: "projects", instrument: "instruments" } as const;
const FIELD_NAMES = Object.keys(FIELDS) as readonly DescribedField[];

/**
 * Judges by the rules of a policy file. Everything a bundle violates is listed, up to a thousand objections. The metadata
 * document is read only when there is a JSON Schema for it, and then into memory, as far as `maxMetadataBytes` allows.
 */
export function rulesPolicy(rules: Rules): Policy {
  return {
    asks: asksOf(rules),
    async judge({ metadata, document }) {
      const { metadataSchema, limits } = rules;
      const objections = [
        ...declared(rules, metadata).take(MAX_OBJECTIONS + 1),
        ...(metadataSchema ? await againstSchema(metadataSchema, document, limits.maxMetadataBytes) : []),
      ];
      if (objections.length <= MAX_OBJECTIONS) return objections;
      return [
        ...objections.slice(0, MAX_OBJECTIONS),
        object(METADATA_PATH, `at most ${MAX_OBJECTIONS} objections`, "more, which are not listed"),
      ];
    },
  };
}

function asksOf({ required, allowed }: Rules): PolicyAsks {
  const choices: Partial<Record<DescribedField, readonly string[]>> = {};
  for (const field of FIELD_NAMES) {
    const combined = allowed.combinations?.map((row) => row[FIELDS[field]]);
    const values = allowed[FIELDS[field]] ?? (combined?.every((list) => list !== undefined) && combined.flat());
    if (values) choices[field] = [...new Set(values)];
  }
  return {
    fields: FIELD_NAMES.filter((field) => required.fields.includes(field) || choices[field]),
    keys: required.keys,
    choices,
    ...(allowed.digests && { digests: allowed.digests }),
  };
}

function* declared(rules: Rules, metadata: BundleMetadata): Generator<Problem> {
  yield* fields(rules, metadata);
  yield* keys(rules, metadata);
  yield* amounts(rules, metadata.files);
  for (const file of metadata.files) yield* fileRules(rules, file);
}

function* fields({ required, allowed }: Rules, metadata: BundleMetadata): Generator<Problem> {
  for (const field of FIELD_NAMES) {
    const value = metadata[field];
    const permitted = allowed[FIELDS[field]];
    if (value === null ? permitted || required.fields.includes(field) : permitted && !permitted.includes(value))
      yield object(`Transactions.${field}`, permitted ? anyOf(permitted) : "a value", value ?? "nothing");
  }
  const { combinations } = allowed;
  if (!combinations) return;
  const isPermitted = combinations.some((row) =>
    FIELD_NAMES.every((field) => row[FIELDS[field]]?.includes(metadata[field] ?? "") ?? true),
  );
  if (isPermitted) return;
  const found = FIELD_NAMES.map((field) => `${field} ${metadata[field] ?? "unnamed"}`).join(", ");
  yield object("Transactions", "a combination that is allowed", found);
}

function* keys({ required }: Rules, metadata: BundleMetadata): Generator<Problem> {
  const given = new Set(metadata.keyValues.map(({ key }) => key));
  for (const key of required.keys)
    if (!given.has(key)) yield object(`TransactionKeyValue ${key}`, "a value", "nothing");
}

function* amounts({ limits }: Rules, files: readonly DeclaredFile[]): Generator<Problem> {
  const { minFiles = 0, maxFiles = Number.POSITIVE_INFINITY, maxTotalBytes = Number.POSITIVE_INFINITY } = limits;
  if (files.length < minFiles) yield object("Files", `at least ${minFiles} files`, files.length);
  if (files.length > maxFiles) yield object("Files", `at most ${maxFiles} files`, files.length);
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0);
  if (totalBytes > maxTotalBytes) yield object("Files", `at most ${maxTotalBytes} bytes in all`, totalBytes);
}

function* fileRules({ allowed, forbidden, limits }: Rules, file: DeclaredFile): Generator<Problem> {
  const { path, sizeBytes, digest } = file;
  const { maxFileBytes, maxTotalBytes } = limits;
  if (sizeBytes === null) {
    // A size that is not declared is not known before the decision: it would pass under any limit.
    if (maxFileBytes !== undefined || maxTotalBytes !== undefined) yield object(path, "a declared size", "nothing");
  } else if (maxFileBytes !== undefined && sizeBytes > maxFileBytes)
    yield object(path, `at most ${maxFileBytes} bytes`, sizeBytes);
  if (allowed.digests && !allowed.digests.includes(digest.algorithm))
    yield object(path, anyOf(allowed.digests), digest.algorithm);
  if (allowed.paths && !allowed.paths.some((pattern) => pattern.test(path)))
    yield object(path, `a path that matches ${anyOf(allowed.paths.map(written))}`);
  for (const pattern of forbidden.paths)
    if (pattern.test(path)) yield object(path, `a path that does not match ${written(pattern)}`);
}

async function againstSchema(
  validate: ValidateFunction,
  document: Submission["document"],
  maxBytes: number,
): Promise<readonly Problem[]> {
  const text = await shortText(await document(), maxBytes);
  if (text === undefined) return [object(METADATA_PATH, `at most ${maxBytes} bytes`, "more")];
  if (validate(JSON.parse(text))) return [];
  return telling(validate.errors ?? [])
    .slice(0, MAX_OBJECTIONS + 1)
    .map(schemaObjection);
}

/**
 * Leaves out what only repeats: why each single item is not the one that `contains` asks for, and that an `if` leads to a
 * `then` that is violated, which is reported itself.
 */
function telling(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const contains = new Set(errors.filter(({ keyword }) => keyword === "contains").map(({ schemaPath }) => schemaPath));
  return errors.filter(
    ({ keyword, schemaPath }) => keyword !== "if" && ![...contains].some((path) => schemaPath.startsWith(`${path}/`)),
  );
}

/** `undefined` when there is more than `maxBytes` of it; the rest is not read. */
async function shortText(bytes: AsyncIterable<Uint8Array>, maxBytes: number): Promise<string | undefined> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of bytes) {
    sizeBytes += piece.length;
    if (sizeBytes > maxBytes) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

/** "must have required property 'unit'" at `/3` becomes "expected: to have required property 'unit'" at its JSON Pointer. */
function schemaObjection({ instancePath, keyword, params, message = "", data }: ErrorObject): Problem {
  const path = instancePath === "" ? METADATA_PATH : `${METADATA_PATH}#${instancePath}`;
  const expected = message.replace(/^must NOT /, "not to ").replace(/^must /, "to ");
  if (keyword === "enum") return object(path, anyOf(params.allowedValues.map(String)), shown(data));
  if (keyword === "const") return object(path, shown(params.allowedValue) ?? expected, shown(data));
  const excess = params.additionalProperty ?? params.unevaluatedProperty;
  return object(path, expected, excess === undefined ? shown(data) : String(excess));
}

/** Objects and lists do not fit into a sentence. */
function shown(value: unknown): string | undefined {
  if (typeof value === "object" && value !== null) return undefined;
  return typeof value === "string" ? value.slice(0, 200) : String(value);
}

function object(path: string, expected: string, found?: string | number): Problem {
  return problem("policy_refused", { path, expected, ...(found === undefined ? {} : { found }) });
}

/** A pattern as the file has it: JavaScript escapes the slashes. */
function written({ source }: RegExp): string {
  return source.replaceAll("\\/", "/");
}

function anyOf(values: readonly string[]): string {
  const more = values.length - SHOWN;
  return values.slice(0, SHOWN).join(" or ") + (more > 0 ? ` or one of ${more} more` : "");
}
