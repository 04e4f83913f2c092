import { z } from "zod";
import type { ExtractionRecord } from "../../core/extract/extraction.ts";
import { countText } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { facts, type Reader, table } from "../layout.ts";

/** Of groups, of variables, and of rows of a table. */
const SHOWN = 200;
/** Of each. */
const ATTRIBUTES_SHOWN = 50;
const VALUE_CHARACTERS = 200;

const Attribute = z.looseObject({ name: z.string(), value: z.unknown() });
const Group = z.looseObject({ path: z.string(), attributes: z.array(Attribute) });
const Netcdf = z.looseObject({
  groups: z.array(Group),
  dimensions: z.array(
    z.looseObject({ group: z.string(), name: z.string(), size: z.number(), isUnlimited: z.boolean() }),
  ),
  variables: z.array(
    z.looseObject({
      group: z.string(),
      name: z.string(),
      type: z.string(),
      dimensions: z.array(z.string().nullable()),
      shape: z.array(z.number()),
      attributes: z.array(Attribute),
    }),
  ),
});
const Hdf5 = z.looseObject({
  groups: z.array(Group),
  datasets: z.array(
    z.looseObject({
      path: z.string(),
      type: z.string(),
      shape: z.array(z.number()).nullable(),
      attributes: z.array(Attribute),
    }),
  ),
});
const Column = z.looseObject({ name: z.string(), type: z.string(), count: z.number() });
const Parquet = z.looseObject({ rows: z.number(), columns: z.array(Column) });
const Spreadsheet = z.looseObject({
  sheets: z.array(z.looseObject({ name: z.string(), rows: z.number(), columns: z.array(Column) })),
});
const Pdf = z.looseObject({ pages: z.number().nullable(), title: z.string().nullish(), author: z.string().nullish() });

/**
 * Extractors whose records are shown as what a file is made of; where several have described it, the first. A record that is
 * otherwise than ours, of a user's extractor of the same name, is shown on its own page alone.
 */
const SHOWN_AS = {
  netcdf: (reader, data) => shownAs(Netcdf, data, (file) => groupList(reader, netcdfGroups(file))),
  hdf5: (reader, data) => shownAs(Hdf5, data, (file) => groupList(reader, hdf5Groups(file))),
  parquet: (reader, data) => shownAs(Parquet, data, ({ rows, columns }) => columnTable(reader, "", rows, columns)),
  spreadsheet: (reader, data) =>
    shownAs(
      Spreadsheet,
      data,
      ({ sheets }) =>
        html`${sheets.slice(0, SHOWN).map(({ name, rows, columns }) => columnTable(reader, name, rows, columns))}`,
    ),
  pdf: ({ say }, data) =>
    shownAs(Pdf, data, ({ pages, title, author }) =>
      facts([
        [say("structure.pages"), pages !== null && countText(pages)],
        [say("structure.title"), title],
        [say("structure.author"), author],
      ]),
    ),
} satisfies Readonly<Record<string, (reader: Reader, data: unknown) => Html | undefined>>;

export const STRUCTURE_EXTRACTORS = Object.keys(SHOWN_AS);

/** What the record says the file is made of, with a link to all of it. */
export function fileStructure(reader: Reader, record: ExtractionRecord): Html {
  const { say, link } = reader;
  const { extractor, extraction, number, data } = record;
  const shown = extractor in SHOWN_AS ? SHOWN_AS[extractor as keyof typeof SHOWN_AS](reader, data) : undefined;
  return html`${shown}<p><a href="${link(`/extractions/${extraction}/records/${number}`)}">${say("structure.record")}</a></p>`;
}

function shownAs<Shape extends z.ZodType>(
  shape: Shape,
  data: unknown,
  show: (data: z.output<Shape>) => Html,
): Html | undefined {
  const read = shape.safeParse(data);
  return read.success ? show(read.data) : undefined;
}

type AttributeOf = z.output<typeof Attribute>;

interface ShownGroup {
  readonly path: string;
  readonly attributes: readonly AttributeOf[];
  readonly dimensions: readonly string[];
  readonly variables: readonly { readonly text: string; readonly attributes: readonly AttributeOf[] }[];
}

function netcdfGroups({ groups, dimensions, variables }: z.output<typeof Netcdf>): readonly ShownGroup[] {
  const dimensionsOf = Map.groupBy(dimensions, ({ group }) => group);
  const variablesOf = Map.groupBy(variables, ({ group }) => group);
  return groups.map(({ path, attributes }) => ({
    path,
    attributes,
    dimensions: (dimensionsOf.get(path) ?? []).map(
      ({ name, size, isUnlimited }) => `${name} = ${size}${isUnlimited ? " (unlimited)" : ""}`,
    ),
    variables: (variablesOf.get(path) ?? []).map((one) => ({
      text: `${one.type} ${one.name}(${one.dimensions.map((name, at) => name ?? one.shape[at]).join(", ")})`,
      attributes: one.attributes,
    })),
  }));
}

function hdf5Groups({ groups, datasets }: z.output<typeof Hdf5>): readonly ShownGroup[] {
  const folderOf = (path: string) => path.slice(0, path.lastIndexOf("/")) || "/";
  const inGroups = Map.groupBy(datasets, ({ path }) => folderOf(path));
  return groups.map(({ path, attributes }) => ({
    path,
    attributes,
    dimensions: [],
    variables: (inGroups.get(path) ?? []).map((one) => ({
      text: `${one.type} ${one.path.slice(one.path.lastIndexOf("/") + 1)}(${one.shape?.join(", ") ?? ""})`,
      attributes: one.attributes,
    })),
  }));
}

/** Groups stand one below the other under their whole paths: however deep they are, the list is not. */
function groupList({ say }: Reader, groups: readonly ShownGroup[]): Html {
  const named = (name: string, items: Html | false) => items && html`<li>${name}${items}</li>`;
  const list = (items: readonly (Html | string)[], most: number) =>
    items.length > 0 &&
    html`<ul>${items.slice(0, most).map((item) => html`<li>${item}</li>`)}${items.length > most && html`<li class="soft">${say("structure.more", { count: countText(items.length - most) })}</li>`}</ul>`;
  const attributeList = (attributes: readonly AttributeOf[]) =>
    list(
      attributes.map(({ name, value }) => html`<code>${name}</code> = ${valueText(value)}`),
      ATTRIBUTES_SHOWN,
    );
  const items = groups.map(
    ({ path, attributes, dimensions, variables }) => html`<strong class="path">${path}</strong><ul>
${named(say("structure.dimensions"), list(dimensions, SHOWN))}
${named(
  say("structure.variables"),
  list(
    variables.map((one) => html`<code>${one.text}</code>${attributeList(one.attributes)}`),
    SHOWN,
  ),
)}
${named(say("structure.attributes"), attributeList(attributes))}</ul>`,
  );
  return html`<div class="structure">${list(items, SHOWN)}</div>`;
}

function valueText(value: unknown): string {
  const text = Array.isArray(value) ? value.map(String).join(", ") : String(value);
  return text.length > VALUE_CHARACTERS ? `${text.slice(0, VALUE_CHARACTERS)}…` : text;
}

function columnTable({ say }: Reader, name: string, rows: number, columns: readonly z.output<typeof Column>[]): Html {
  const caption = name === "" ? say("structure.columns") : name;
  return html`<h3>${caption}</h3><p class="soft">${say("structure.rows", { count: countText(rows) })}</p>
${table(
  caption,
  [say("structure.column"), say("structure.type"), say("structure.values")],
  columns.slice(0, SHOWN).map((column) => [column.name, column.type, countText(column.count)]),
  [2],
)}`;
}
