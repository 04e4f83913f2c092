import { z } from "zod";
import type { CartRequest, ChosenFile } from "../../core/carts/carts.ts";
import { DIGEST_NAMES, digestLength, digestName } from "../../core/digest.ts";
import { AppError } from "../../core/errors.ts";
import { transactionId } from "../../core/ids.ts";

/** A million ids are 8 MiB; with paths of their own, they are about 50. */
export const CART_BODY_LIMIT_BYTES = 64 * 1024 ** 2;

const MAX_NAME_LENGTH = 1024;
const QUERY_MAX_LENGTH = 4000;
const MAX_PATH_LENGTH = 4096;
/** More of what is wrong with the files helps nobody. */
const MAX_ISSUES = 20;
/** Each is a condition of one SQL statement. */
const MAX_KEY_VALUES = 100;
const TEN_YEARS_S = 10 * 365 * 24 * 3600;

/** @param field where in the value, from the outside in. */
type Refuse = (message: string, ...field: readonly string[]) => undefined;

/**
 * By hand, as there may be a million and nobody else is served meanwhile: 0.1 s of bare ids, 0.4 s with paths. zod takes
 * 0.5 s, and for a million that are wrong 5 s and 1.5 GB (22 November 2026).
 */
function chosenFiles(values: readonly unknown[], context: z.RefinementCtx<unknown[]>): readonly ChosenFile[] {
  const chosen: ChosenFile[] = [];
  for (const [at, value] of values.entries()) {
    const refuse: Refuse = (message, ...field) =>
      void context.addIssue({ code: "custom", path: [at, ...field], message, input: value });
    const file = chosenFile(value, refuse);
    if (file) chosen.push(file);
    else if (context.issues.length >= MAX_ISSUES) break;
  }
  return chosen;
}

function chosenFile(value: unknown, refuse: Refuse): ChosenFile | undefined {
  if (isFileId(value)) return { id: value };
  if (!isObject(value)) return refuse("expected the id of a file, or { id, path, digest }");
  const { id, path, digest, ...others } = value;
  for (const field of Object.keys(others)) return refuse("expected id, path or digest", field);
  if (!isFileId(id)) return refuse("expected the id of a file", "id");
  if (path !== undefined && !isText(path, MAX_PATH_LENGTH)) return refuse("expected a path", "path");
  if (digest === undefined) return path === undefined ? { id } : { id, path };
  const declared = declaredDigest(digest, refuse);
  return declared && { id, ...(path === undefined ? {} : { path }), digest: declared };
}

function declaredDigest(digest: unknown, refuse: Refuse): ChosenFile["digest"] {
  const { algorithm, value } = isObject(digest) ? digest : {};
  if (typeof algorithm !== "string" || typeof value !== "string")
    return refuse("expected { algorithm, value }", "digest");
  const name = digestName(algorithm);
  if (name === undefined) return refuse(`expected one of ${DIGEST_NAMES.join(", ")}`, "digest", "algorithm");
  if (value.length !== digestLength(name) || !/^[0-9a-f]+$/i.test(value))
    return refuse(`expected ${digestLength(name)} hex digits`, "digest", "value");
  return { algorithm: name, value: value.toLowerCase() };
}

function isFileId(value: unknown): value is number | string {
  return typeof value === "number" ? Number.isSafeInteger(value) && value > 0 : isText(value, MAX_NAME_LENGTH);
}

function isText(value: unknown, maxLength: number): value is string {
  return typeof value === "string" && value !== "" && value.length <= maxLength;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const Files = z
  .array(z.unknown())
  .meta({
    items: {
      anyOf: [
        { type: "integer", minimum: 1 },
        { type: "string", description: "A file of the remote archive, by its name there." },
        {
          type: "object",
          required: ["id"],
          additionalProperties: false,
          properties: {
            id: { type: ["integer", "string"] },
            path: { type: "string", description: "In the download; the archived path when left out." },
            digest: {
              type: "object",
              description: "Checked before the cart is ready.",
              required: ["algorithm", "value"],
              properties: { algorithm: { type: "string" }, value: { type: "string", description: "Hex." } },
            },
          },
        },
      ],
    },
  })
  .transform(chosenFiles);

const Id = z.int().positive();
const Transaction = z
  .union(
    [
      Id.transform((id) => ({ id: transactionId(id) })),
      z.strictObject({
        id: Id.transform(transactionId),
        prefix: z.string().max(4096).exactOptional().describe("Beginning of the archived path, such as data/images/."),
      }),
    ],
    "expected the id of a transaction, or { id, prefix }",
  )
  .describe("A transaction, or those of its files whose archived path begins with `prefix`.");

const Time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));
const Query = z
  .strictObject({
    submitter: z.string().exactOptional(),
    project: z.string().exactOptional(),
    instrument: z.string().exactOptional(),
    keyValues: z
      .record(z.string(), z.string())
      .refine((all) => Object.keys(all).length <= MAX_KEY_VALUES, `expected at most ${MAX_KEY_VALUES} of them`)
      .exactOptional()
      .describe("Of the transaction, all of them."),
    prefix: z.string().exactOptional().describe("Beginning of the archived path."),
    mediaType: z
      .string()
      .regex(/^[^/\s]+\/[^/\s]+$/, "expected type/subtype or type/*")
      .exactOptional(),
    from: Time.exactOptional().describe("Archived from this time on."),
    until: Time.exactOptional().describe("Archived before this time."),
  })
  .refine((query) => Object.keys(query).length > 0, "expected a condition: none at all would choose every file")
  .describe("Every file that fits all that is given.");

/** What `POST /carts` takes. */
export const CartRequestBody = z.strictObject({
  name: z.string().trim().min(1).max(255).exactOptional().describe("Top folder and file name of downloads."),
  files: Files.exactOptional().describe("Files by id."),
  transactions: z.array(Transaction).max(100_000).exactOptional(),
  query: Query.exactOptional(),
  search: z
    .string()
    .max(QUERY_MAX_LENGTH)
    .regex(/\S/, "expected something to find: nothing at all would choose every file")
    .exactOptional()
    .describe(
      "Text of a search: files that it finds, those of transactions, and archived ones that records are about.",
    ),
  expires: z
    .union(
      [z.int().positive().max(TEN_YEARS_S), z.iso.datetime({ offset: true })],
      "expected a time in ISO 8601, or seconds, at most ten years of them",
    )
    .exactOptional()
    .describe("A time, or seconds from now. Some time after its last use when left out."),
});

/** @throws AppError request_invalid when it would have expired already. */
export function cartRequest({ expires, ...choice }: z.output<typeof CartRequestBody>, now: number): CartRequest {
  if (expires === undefined) return choice;
  const expiresAt = typeof expires === "number" ? now + expires * 1000 : Date.parse(expires);
  if (expiresAt <= now) throw new AppError("request_invalid", { field: "expires", found: expires, reason: "is past" });
  return { ...choice, expiresAt };
}
