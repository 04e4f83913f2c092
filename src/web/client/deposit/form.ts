import type { BundleDescription } from "../../../sdk/bundle-metadata.ts";

const FIELDS = ["submitter", "project", "instrument"] as const;

/** What the form says of the bundle. What was left empty is left out. */
export function descriptionIn(form: HTMLFormElement): BundleDescription {
  const fields = FIELDS.map((field) => [field, control(form, field).value.trim()] as const);
  return {
    ...Object.fromEntries(fields.filter(([, value]) => value !== "")),
    keyValues: rowsOf(form)
      .map((row) => ({ key: keyOf(row), value: control(row, "value").value.trim() }))
      .filter(({ key, value }) => key !== "" && value !== ""),
  };
}

/** Puts an earlier description into the form. */
export function fillIn(form: HTMLFormElement, { keyValues = [], ...fields }: BundleDescription): void {
  for (const field of FIELDS) control(form, field).value = fields[field] ?? "";
  for (const row of rowsOf(form)) control(row, "value").value = "";
  for (const { key, value } of keyValues) {
    const same = rowsOf(form).find((row) => keyOf(row) === key && control(row, "value").value === "");
    const row = same ?? rowsOf(form).find((one) => isFree(one) && keyOf(one) === "") ?? addKeyValue(form);
    if (isFree(row)) control(row, "key").value = key;
    control(row, "value").value = value;
  }
}

/** One more row for a key and its value, empty. */
export function addKeyValue(form: HTMLFormElement): HTMLElement {
  const last = rowsOf(form).findLast(isFree);
  if (!last) throw new Error("the form has no row for further keys");
  const row = last.cloneNode(true) as HTMLElement;
  for (const name of ["key", "value"]) control(row, name).value = "";
  last.after(row);
  return row;
}

/** A row of a key that the policy asks for has it in `data-key`; in others it is typed. */
const rowsOf = (form: HTMLFormElement) => Array.from(form.querySelectorAll<HTMLElement>("[data-key]"));
const isFree = (row: HTMLElement) => row.dataset.key === "";
const keyOf = (row: HTMLElement) => row.dataset.key || control(row, "key").value.trim();

function control(within: HTMLElement, name: string): HTMLInputElement | HTMLSelectElement {
  const found = within.querySelector<HTMLInputElement | HTMLSelectElement>(`[name="${name}"]`);
  if (!found) throw new Error(`the form has no field ${name}`);
  return found;
}
