import type { Field } from "../rows.ts";
import type { Extension } from "./extensions.ts";
import type { DwcaSettings, MediaField } from "./settings.ts";

/** One file of the archive, and where its columns come from. */
export interface DwcaFile {
  readonly extension: Extension;
  /** Without its ending: `measurement_or_fact`. */
  readonly name: string;
  readonly isCore: boolean;
  readonly content:
    | { readonly kind: "record"; readonly columns: readonly Column[] }
    /** Fields that hold media for this extension. */
    | { readonly kind: "media"; readonly sources: readonly { readonly index: number; readonly media: MediaField }[] };
}

export interface Column {
  readonly term: string;
  readonly uri: string;
  /** Fields that feed the term: one gives its value, several a JSON object under their own names. */
  readonly sources: readonly { readonly index: number; readonly key: string }[];
}

type GrowingColumn = Column & { readonly sources: Column["sources"][number][] };

export interface Mapping {
  readonly idIndex: number;
  /** The core first (Darwin Core text guide, §2.1: one core, then extensions). */
  readonly files: readonly DwcaFile[];
}

/**
 * Finds each field's term: by its very name, else by its name in camel case, else the dynamic term. Columns stand in the
 * order in which the portal's fields first name them. The core is there even when no field has a term of it; an extension
 * only when one has.
 * @returns `undefined` when the portal has no field of the id's name.
 */
export function mapFields(fields: readonly Field[], settings: DwcaSettings): Mapping | undefined {
  const { core, extensions, media, idField, dynamicTerm } = settings;
  const idIndex = fields.findIndex(({ id }) => id === idField);
  if (idIndex < 0) return undefined;
  const records = new Map<Extension, Map<string, GrowingColumn>>();
  const collections = new Map<Extension, { index: number; media: MediaField }[]>();
  records.set(core, new Map());

  for (const [index, { id }] of fields.entries()) {
    const collection = media.get(id);
    if (collection) {
      const sources = collections.get(collection.extension) ?? [];
      collections.set(collection.extension, [...sources, { index, media: collection }]);
      continue;
    }
    if (index === idIndex) continue;
    const key = camelCase(id);
    const { extension, term } = find(id) ?? find(key) ?? { extension: core, term: dynamicTerm };
    const columns: Map<string, GrowingColumn> = records.get(extension) ?? new Map();
    records.set(extension, columns);
    const column = columns.get(term) ?? { term, uri: extension.terms.get(term) ?? term, sources: [] };
    columns.set(term, column);
    const isTaken = column.sources.some((source) => source.key === key);
    column.sources.push({ index, key: isTaken ? id : key });
  }

  /** Where two vocabularies have the same term, the first one's counts. */
  function find(term: string): { readonly extension: Extension; readonly term: string } | undefined {
    const extension = [core, ...extensions].find((one) => one.terms.has(term));
    return extension && { extension, term };
  }

  const files = [core, ...extensions].flatMap((extension): DwcaFile[] => {
    const columns = records.get(extension);
    const sources = collections.get(extension);
    const common = { extension, isCore: extension === core };
    const name = fileName(extension.name);
    return [
      ...(columns ? [{ ...common, name, content: { kind: "record", columns: [...columns.values()] } } as const] : []),
      ...(sources
        ? [
            {
              ...common,
              isCore: false,
              name: columns ? `${name}_media` : name,
              content: { kind: "media", sources },
            } as const,
          ]
        : []),
    ];
  });
  return { idIndex, files };
}

/**
 * `Taxon resource ID` → `taxonResourceID`. The first word in lower case, later ones with a capital and the rest in lower
 * case; a word all in upper case stays. So a single word is lower-cased as a whole: `unknownField` → `unknownfield`.
 */
export function camelCase(name: string): string {
  return name
    .split(" ")
    .filter((word) => word !== "")
    .map((word, at) => {
      if (isUpper(word)) return word;
      const lower = word.toLowerCase();
      return at === 0 ? lower : lower.charAt(0).toUpperCase() + lower.slice(1);
    })
    .join("");
}

/** Has letters with case, and all of them in upper case (as Python's `isupper`). */
function isUpper(word: string): boolean {
  return word === word.toUpperCase() && word !== word.toLowerCase();
}

/** `MeasurementOrFact` → `measurement_or_fact`. */
function fileName(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toLowerCase();
}
