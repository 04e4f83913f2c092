import { posix } from "node:path";
import { z } from "zod";
import { AppError } from "../errors.ts";
import { isWithin, plainPath } from "../switches/switch.ts";
import { DEMANDS, type Drop, REMOVALS } from "./drop.ts";

const SECOND_MS = 1_000;
const HOUR_MS = 3_600 * SECOND_MS;
const MOST_SECONDS = 30 * 24 * 3_600;
/** Matching takes time that grows with both; names are the sender's. */
const MOST_GRAMMAR_LENGTH = 500;

const Folder = z
  .string()
  .max(4096)
  .refine((path) => path.startsWith("/") && !path.includes("\0"), "expected an absolute path")
  .transform(plainPath);

const Text = z.string().min(1).max(1_000);

/** A drop folder as it is written in a file, or sent. */
export const DropForm = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "expected lower-case letters, digits and hyphens"),
  folder: Folder.describe("Folder on the server that is watched."),
  quarantine: Folder.exactOptional().describe(
    "Folder for what is rejected, on the same file system; `.quarantine` in the folder when left out.",
  ),
  owner: Text.exactOptional().describe("Whose deposits these are; who declares it when left out."),
  quietSeconds: z
    .number()
    .min(0)
    .max(MOST_SECONDS)
    .default(600)
    .describe("For this long nothing of a delivery may change before it is taken."),
  overdueHours: z
    .number()
    .min(0)
    .max(MOST_SECONDS / 3_600)
    .default(72)
    .describe("For this long a delivery may wait for what is missing before operators are told, once."),
  everySeconds: z.number().min(1).max(MOST_SECONDS).default(60).describe("How often the folder is looked at."),
  manifest: z.enum(DEMANDS).default("optional").describe("Checksum files, as md5sum and its relatives write them."),
  bag: z.enum(DEMANDS).default("optional").describe("BagIt bags (RFC 8493)."),
  grammar: z
    .string()
    .max(MOST_GRAMMAR_LENGTH)
    .exactOptional()
    .describe(
      "Regular expression that the whole name of a delivery must match. Its named groups can be used in the metadata; `part` and `parts` are a part's number and how many there are.",
    ),
  metadata: z
    .strictObject({
      submitter: Text.exactOptional().describe("The owner when left out."),
      project: Text.exactOptional(),
      instrument: Text.exactOptional(),
      keyValues: z.record(z.string().min(1).max(255), z.string().max(10_000)).default({}),
    })
    .prefault({})
    .describe("Texts with places in braces: `{delivery}`, `{drop}`, and the named groups of the grammar."),
  removal: z
    .enum(REMOVALS)
    .default("never")
    .describe("When the files of what is archived may be removed from the folder: `approved` is for each delivery."),
});
export type DropForm = z.input<typeof DropForm>;

/** @throws AppError drop_invalid. @param owner of the drop when the declaration names none. */
export function dropOf(form: z.output<typeof DropForm>, owner: string): Drop {
  const { name, folder, quarantine = `${folder}/.quarantine`, metadata, removal, manifest, bag } = form;
  const refuse = (expected: string, found: string) => new AppError("drop_invalid", { drop: name, expected, found });
  if (isWithin(quarantine, folder)) throw refuse("a quarantine that does not hold the folder", quarantine);
  const inside = isWithin(folder, quarantine);
  if (inside && !posix.relative(folder, quarantine).startsWith("."))
    throw refuse("a quarantine outside of the folder, or one whose name begins with a dot", quarantine);
  const grammar = form.grammar === undefined ? null : grammarOf(form.grammar, refuse);
  const texts = { submitter: metadata.submitter ?? form.owner ?? owner, ...metadata };
  const known = new Set(["delivery", "drop", ...groupsOf(grammar)]);
  for (const text of [
    texts.submitter,
    texts.project ?? "",
    texts.instrument ?? "",
    ...Object.values(metadata.keyValues),
  ])
    for (const place of placesOf(text))
      if (!known.has(place)) throw refuse(`places ${[...known].map((one) => `{${one}}`).join(", ")}`, `{${place}}`);
  return {
    name,
    folder,
    quarantine,
    owner: form.owner ?? owner,
    quietMs: form.quietSeconds * SECOND_MS,
    overdueMs: form.overdueHours * HOUR_MS,
    everyMs: form.everySeconds * SECOND_MS,
    manifest,
    bag,
    grammar,
    metadata: {
      submitter: texts.submitter,
      project: metadata.project ?? null,
      instrument: metadata.instrument ?? null,
      keyValues: metadata.keyValues,
    },
    removal,
  };
}

/** Reads a declaration that was kept as text, or a list of them as a file has it. @throws AppError drop_invalid. */
export function readDrops(text: string, where: string, owner: string): readonly Drop[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new AppError("drop_invalid", { path: where, expected: "JSON" }, { cause });
  }
  const forms = z.array(DropForm).safeParse(Array.isArray(parsed) ? parsed : [parsed]);
  if (!forms.success)
    throw new AppError("drop_invalid", {
      path: where,
      problems: forms.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`),
    });
  const drops = forms.data.map((form) => dropOf(form, owner));
  requireApart(drops);
  return drops;
}

/** No delivery can be two drops'. @throws AppError drop_invalid. */
export function requireApart(drops: readonly Drop[]): void {
  for (const [index, drop] of drops.entries())
    for (const other of drops.slice(0, index)) {
      if (drop.name === other.name)
        throw new AppError("drop_invalid", { drop: drop.name, expected: "each name once", found: "twice" });
      if (isWithin(drop.folder, other.folder) || isWithin(other.folder, drop.folder))
        throw new AppError("drop_invalid", {
          drop: drop.name,
          expected: "folders that lie apart",
          found: `${drop.folder} and ${other.folder} of ${other.name}`,
        });
    }
}

function grammarOf(text: string, refuse: (expected: string, found: string) => AppError): RegExp {
  let grammar: RegExp;
  try {
    grammar = new RegExp(`^(?:${text})$`, "du");
  } catch (cause) {
    throw refuse("a regular expression", cause instanceof Error ? cause.message : text);
  }
  const groups = groupsOf(grammar);
  if (groups.includes("part") !== groups.includes("parts"))
    throw refuse("both groups part and parts, or none", groups.join(", "));
  return grammar;
}

const groupsOf = (grammar: RegExp | null): readonly string[] =>
  [...(grammar?.source ?? "").matchAll(/\(\?<([A-Za-z_$][\w$]*)>/g)].map(([, group = ""]) => group);

const placesOf = (text: string): readonly string[] =>
  [...text.matchAll(/\{([^{}]*)\}/g)].map(([, place = ""]) => place);

/** A text with its places filled; a group that took no part in the match is nothing. */
export function filled(text: string, values: Readonly<Record<string, string | undefined>>): string {
  return text.replace(/\{([^{}]*)\}/g, (_, place: string) =>
    Object.hasOwn(values, place) ? (values[place] ?? "") : "",
  );
}
