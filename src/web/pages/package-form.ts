import type { z } from "zod";
import { AppError } from "../../core/errors.ts";
import { OrderForm } from "../../core/packages/order-form.ts";
import { PACKAGE_KINDS, TABLE_FORMATS } from "../../core/packages/package.ts";
import type { RowsPreview } from "../../core/packages/preview.ts";
import { type FormField, formRow, linesOf, type Typed } from "../form-field.ts";
import { countText } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { formField, type Reader, table } from "../layout.ts";

const COLUMNS_SHOWN = 30;
const CELL_CHARACTERS = 200;

type Problems = Readonly<Record<string, string>>;

/** What was typed, as the API takes it; or what is wrong with it, by field. */
export type JudgedOrder = { readonly form: z.output<typeof OrderForm> } | { readonly problems: Problems };

/** A form that nobody has filled in yet. */
export const NEW_ORDER: Typed = { kind: "datastore", format: "csv" };

export function judgedOrder(reader: Reader, typed: Typed): JudgedOrder {
  const { kind, resourceId, apiUrl, resourceUrl, format, q, filters, fields, limit, email } = typed;
  let chosen: ReturnType<typeof filtersOf> | undefined;
  try {
    chosen = filters?.trim() ? filtersOf(filters) : undefined;
  } catch (error) {
    return { problems: orderProblems(reader, error) };
  }
  const rows = { apiUrl, format, q, fields, limit: limit ? Number(limit) : "", filters: chosen };
  const given = { kind, resourceId, email, ...(kind === "url" ? { resourceUrl } : rows) };
  const trimmed = Object.entries(given).map(([name, value]) => [
    name,
    typeof value === "string" ? value.trim() : value,
  ]);
  const judged = OrderForm.safeParse(
    Object.fromEntries(trimmed.filter(([, value]) => value !== "" && value !== undefined)),
  );
  if (judged.success) return { form: judged.data };
  const problems = judged.error.issues.map(({ path, message }) => {
    const name = String(path[0]);
    return [name, sentenceOf(reader, name) ?? message] as const;
  });
  return { problems: Object.fromEntries(problems) };
}

/** What an order was refused for, beside the field it is about. @throws what is no question of what was typed. */
export function orderProblems(reader: Reader, error: unknown): Problems {
  if (!(error instanceof AppError)) throw error;
  const { code, details, message } = error;
  if (code === "fetch_refused") return { apiUrl: message, resourceUrl: message };
  if (code !== "request_invalid") throw error;
  const name = typeof details.field === "string" ? details.field : "";
  return { [name]: sentenceOf(reader, name) ?? message };
}

function sentenceOf({ say }: Reader, name: string): string | undefined {
  if (name === "apiUrl" || name === "resourceUrl") return say("packages.wrongAddress");
  if (name === "resourceId") return say("packages.wrongResource");
  if (name === "limit") return say("packages.wrongLimit");
  if (name === "email") return say("packages.wrongEmail");
  return name === "filters" ? say("packages.wrongFilters") : undefined;
}

/** @throws AppError request_invalid for a line without `=`. */
export function filtersOf(text: string): Readonly<Record<string, readonly string[]>> {
  const filters = new Map<string, string[]>();
  for (const line of text.split(/\r?\n/).filter((one) => one.trim() !== "")) {
    const at = line.indexOf("=");
    const field = line.slice(0, at).trim();
    if (at < 0 || field === "")
      throw new AppError("request_invalid", {
        field: "filters",
        expected: "field=value",
        found: line.slice(0, 100),
      });
    filters.set(field, [...(filters.get(field) ?? []), line.slice(at + 1).trim()]);
  }
  return Object.fromEntries(filters);
}

/** @param notice what went wrong that is no field's. */
export function orderForm(reader: Reader, typed: Typed, problems: Problems = {}, notice?: string): Html {
  const { say, link, formToken } = reader;
  const told = notice ?? problems[""];
  const isWrong = told !== undefined || Object.keys(problems).length > 0;
  return html`<h2>${say("packages.order")}</h2>
${isWrong && html`<p class="notice" role="alert">${told ?? say("packages.refused")}</p>`}
<form class="fields" method="post" action="${link("/packages")}">${formField(formToken)}
${orderFields(reader).map((field) => formRow(reader, field, { ...typed, filters: linesOf(typed.filters) }, problems[field.name]))}
<p class="actions"><button>${say("packages.submit")}</button> <button class="quiet" name="action" value="preview">${say("packages.preview")}</button></p></form>`;
}

function orderFields({ say }: Reader): readonly FormField[] {
  const text = (maxLength: number) => ({ kind: "input", maxLength }) as const;
  const address = { kind: "input", type: "url", maxLength: 4_096 } as const;
  const kinds = PACKAGE_KINDS.map((kind) => [kind, say(`packageKind.${kind}`)] as const);
  const formats = TABLE_FORMATS.map((format) => [format, format] as const);
  return [
    { name: "kind", label: say("packages.kind"), control: { kind: "choice", choices: kinds } },
    { name: "apiUrl", label: say("packages.apiUrl"), control: address },
    { name: "resourceId", label: say("packages.resourceId"), isRequired: true, control: text(255) },
    { name: "format", label: say("packages.format"), control: { kind: "choice", choices: formats } },
    { name: "q", label: say("packages.q"), control: text(65_536) },
    {
      name: "filters",
      label: say("packages.filters"),
      hint: say("packages.filtersHint"),
      control: { kind: "text", rows: 3, isCode: true },
    },
    { name: "fields", label: say("packages.fields"), control: text(65_536) },
    { name: "limit", label: say("packages.limit"), control: { kind: "input", type: "number", min: 1 } },
    { name: "resourceUrl", label: say("packages.resourceUrl"), control: address },
    { name: "email", label: say("packages.email"), control: { kind: "input", type: "email", maxLength: 254 } },
  ];
}

/** The first rows that an order would bring, and how many. */
export function previewTable({ say }: Reader, { columns, rows, rowCount }: RowsPreview): Html {
  const count =
    rowCount === null ? say("packages.rowsUnknown") : say("packages.rowsAll", { count: countText(rowCount) });
  const cut = (text: string) => (text.length > CELL_CHARACTERS ? `${text.slice(0, CELL_CHARACTERS)}…` : text);
  const left = columns.length - COLUMNS_SHOWN;
  return html`<section aria-live="polite"><h2>${say("packages.firstRows")}</h2>
<p class="soft">${count}${left > 0 && html` ${say("packages.moreColumns", { count: countText(left) })}`}</p>
${
  rows.length > 0 &&
  table(
    say("packages.firstRows"),
    columns.slice(0, COLUMNS_SHOWN),
    rows.map((row) => row.slice(0, COLUMNS_SHOWN).map(cut)),
  )
}
</section>`;
}
