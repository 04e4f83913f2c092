import { z } from "zod";
import { AppError } from "../errors.ts";

/** Texts of a notice, each with places in braces. */
export interface NoticeTemplates {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** Stand where `{doi_body}` and `{doi_body_html}` are, when the order has a DOI. */
  readonly doiText: string;
  readonly doiHtml: string;
  readonly failedSubject: string;
  readonly failedText: string;
  readonly failedHtml: string;
}

/** Places that every template may have, by ckanpackager's names and by ours; `docs/formats/notices.md` explains each. */
export const PLACES = [
  "resource_id",
  "zip_file_name",
  "ckan_host",
  "doi",
  "doi_body",
  "doi_body_html",
  "link",
  "size",
  "rows",
  "digest",
  "expires",
  "reason",
] as const;
export type Place = (typeof PLACES)[number];
export type PlaceValues = Readonly<Record<Place, string>>;

const DEFAULTS: NoticeTemplates = {
  subject: "Resource from {ckan_host}",
  text: `Hello,

The data you asked for is ready: resource {resource_id} of {ckan_host}.

Download: {link}
Size: {size}, {rows} rows
SHA-256: {digest}

The link works until {expires}.
{doi_body}`,
  html: `<p>Hello,</p>
<p>The data you asked for is ready: resource {resource_id} of {ckan_host}.</p>
<p><a href="{link}">Download {zip_file_name}</a> ({size}, {rows} rows)</p>
<p>SHA-256: <code>{digest}</code></p>
<p>The link works until {expires}.</p>
{doi_body_html}`,
  doiText: `
Please cite the data by its DOI: https://doi.org/{doi}
`,
  doiHtml: `<p>Please cite the data by its DOI: <a href="https://doi.org/{doi}">https://doi.org/{doi}</a></p>`,
  failedSubject: "Resource from {ckan_host} could not be packed",
  failedText: `Hello,

The data you asked for could not be packed: resource {resource_id} of {ckan_host}.

{reason}

Nothing of it was sent. You can ask for it again, or write to whoever runs {ckan_host}.
`,
  failedHtml: `<p>Hello,</p>
<p>The data you asked for could not be packed: resource {resource_id} of {ckan_host}.</p>
<p>{reason}</p>
<p>Nothing of it was sent. You can ask for it again, or write to whoever runs {ckan_host}.</p>`,
};

const TemplateFile = z.strictObject(
  Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, z.string().optional()])) as Record<
    keyof NoticeTemplates,
    z.ZodOptional<z.ZodString>
  >,
);

/**
 * Reads a JSON file with some of the texts; the others are the built-in ones.
 * @param path for messages. @throws AppError config_invalid, also for a place that there is not.
 */
export function readTemplates(json: string | undefined, path: string): NoticeTemplates {
  if (json === undefined) return DEFAULTS;
  const invalid = (found: string, cause?: unknown) => new AppError("config_invalid", { path, found }, { cause });
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw invalid("no JSON", cause);
  }
  const parsed = TemplateFile.safeParse(value);
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error));
  const given = Object.fromEntries(Object.entries(parsed.data).filter(([, text]) => text !== undefined));
  for (const [name, text] of Object.entries(given)) requirePlaces(text ?? "", `${path}: ${name}`);
  return { ...DEFAULTS, ...given };
}

/** @param where for messages. @throws AppError config_invalid when the text has a place that there is not. */
export function requirePlaces(text: string, where: string): void {
  for (const [whole, , name] of text.matchAll(PLACE))
    if (name === undefined ? whole.length === 1 : !isPlace(name))
      throw new AppError("config_invalid", {
        where,
        expected: `{${PLACES.join("}, {")}}, or {{ and }} for braces`,
        found: whole,
      });
}

/** `{{`, `}}`, a place, or a brace that is none of these. */
const PLACE = /(\{\{|\}\})|\{([^{}]*)\}|[{}]/g;

/** Python's `str.format` with named places only: `{{` and `}}` stand for braces. */
export function filled(template: string, values: PlaceValues): string {
  return template.replace(PLACE, (whole, double: string | undefined, name: string | undefined) => {
    if (double !== undefined) return double.charAt(0);
    return name !== undefined && isPlace(name) ? values[name] : whole;
  });
}

/** What is left of a sender for mails that are not about packages. */
export function withoutPlaces(template: string): string {
  return filled(template, Object.fromEntries(PLACES.map((place) => [place, ""])) as PlaceValues);
}

/** {@link filled} for HTML: values are text, but for {doi_body_html}, which is a template's outcome itself. */
export function filledHtml(template: string, values: PlaceValues): string {
  const entries = Object.entries(values).map(([name, value]) => [
    name,
    name === "doi_body_html" ? value : inHtml(value),
  ]);
  return filled(template, Object.fromEntries(entries) as PlaceValues);
}

const HTML: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export function inHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => HTML[char] ?? char);
}

function isPlace(name: string): name is Place {
  return (PLACES as readonly string[]).includes(name);
}
