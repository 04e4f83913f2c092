import { z } from "zod";
import { AppError } from "../../errors.ts";
import type { Extension } from "./extensions.ts";

/** A field of the portal that holds media: objects, one row of an extension for each. */
export interface MediaField {
  readonly extension: Extension;
  /** Terms of the extension in the order of the columns, each with what is written when an object has nothing for it. */
  readonly terms: readonly {
    readonly term: string;
    readonly uri: string;
    readonly otherwise: string;
    /** Key of the object that holds the value; the term's own name is looked at after it. */
    readonly key: string | undefined;
    /** What the key's value is put into, at `{}`. */
    readonly template: string;
  }[];
}

export interface DwcaSettings {
  readonly core: Extension;
  readonly extensions: readonly Extension[];
  /** By the portal's name of the field. */
  readonly media: ReadonlyMap<string, MediaField>;
  /** The field whose value identifies a record. */
  readonly idField: string;
  /** Term of the core that takes in whatever has no term of its own. */
  readonly dynamicTerm: string;
}

const MediaFile = z.record(
  z.string(),
  z.strictObject({
    extension: z.string(),
    fields: z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
    mappings: z.record(z.string(), z.string()).default({}),
    formatters: z.record(z.string(), z.string().includes("{}")).default({}),
  }),
);

/**
 * Reads `{ field: { extension, fields: { term: default }, mappings: { term: key }, formatters: { term: "image/{}" } } }`.
 * @param path for messages. @throws AppError dwca_invalid.
 */
export function readMedia(json: string, path: string, known: readonly Extension[]): ReadonlyMap<string, MediaField> {
  const invalid = (details: Readonly<Record<string, string>>) => new AppError("dwca_invalid", { path, ...details });
  const parsed = MediaFile.safeParse(jsonOrRefuse(json, path));
  if (!parsed.success) throw invalid({ found: z.prettifyError(parsed.error) });
  return new Map(
    Object.entries(parsed.data).map(([field, { extension: name, fields, mappings, formatters }]) => {
      const extension = known.find((one) => one.name === name);
      if (!extension) throw invalid({ field, expected: known.map((one) => one.name).join(", "), found: name });
      const stray = [...Object.keys(mappings), ...Object.keys(formatters)].find((term) => !Object.hasOwn(fields, term));
      if (stray !== undefined) throw invalid({ field, expected: "a term listed in fields", found: stray });
      const terms = Object.entries(fields).map(([term, otherwise]) => {
        const uri = extension.terms.get(term);
        if (uri === undefined) throw invalid({ field, expected: `a term of ${name}`, found: term });
        return {
          term,
          uri,
          otherwise: otherwise === null ? "" : String(otherwise),
          key: mappings[term],
          template: formatters[term] ?? "{}",
        };
      });
      return [field, { extension, terms }];
    }),
  );
}

function jsonOrRefuse(json: string, path: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new AppError("dwca_invalid", { path, expected: "JSON" }, { cause });
  }
}
