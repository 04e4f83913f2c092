import { type Html, html } from "./html.ts";
import type { Reader } from "./layout.ts";

/** A form as it was sent, or as it is shown: names and what was typed. */
export type Typed = Readonly<Record<string, string>>;

/** One field of a form. */
export interface FormField {
  readonly name: string;
  readonly label: string;
  readonly isRequired?: boolean;
  /** What may stand there. */
  readonly hint?: string | undefined;
  readonly control: Control;
}

/** Limits are in the units of HTML; the server judges what is sent, whatever the browser let through. */
export type Control =
  | {
      readonly kind: "input";
      readonly type?: "text" | "email" | "url" | "date" | "number" | "time";
      readonly min?: number | undefined;
      readonly max?: number | undefined;
      readonly step?: "1" | "any";
      readonly maxLength?: number | undefined;
      readonly isCode?: boolean;
    }
  | { readonly kind: "text"; readonly rows: number; readonly isCode?: boolean }
  | { readonly kind: "choice"; readonly choices: readonly (readonly [value: string, label: string])[] }
  | { readonly kind: "switch" };

/** A field with its label, its hint and, beside it, what is wrong with it. */
export function formRow({ say }: Reader, field: FormField, typed: Typed, problem?: string): Html {
  const { name, label, hint, isRequired = false } = field;
  const told = [hint && `${name}-hint`, problem && `${name}-problem`].filter(Boolean).join(" ");
  const about = html` id="${name}" name="${name}"${told !== "" && html` aria-describedby="${told}"`}${problem !== undefined && html` aria-invalid="true"`}`;
  const head = html`<label for="${name}">${label}${isRequired && html` <span class="soft">(${say("form.required")})</span>`}</label>`;
  const rest = html`${hint && html`<p class="hint" id="${name}-hint">${hint}</p>`}${problem && html`<p class="problem" id="${name}-problem">${problem}</p>`}`;
  if (field.control.kind === "switch")
    return html`<div class="field switch"><input type="checkbox" value="on"${about}${typed[name] === "on" && html` checked`}>${head}${rest}</div>`;
  const required = isRequired && html` required`;
  return html`<div class="field">${head}${shownControl(field.control, html`${about}${required}`, typed[name] ?? "")}${rest}</div>`;
}

function shownControl(control: Exclude<Control, { kind: "switch" }>, about: Html, value: string): Html {
  if (control.kind === "choice")
    return html`<select${about}>${control.choices.map(
      ([one, label]) => html`<option value="${one}"${one === value && html` selected`}>${label}</option>`,
    )}</select>`;
  const code = control.isCode && html` class="code" spellcheck="false" autocapitalize="off" autocomplete="off"`;
  // The first line end of a text area is HTML's own.
  if (control.kind === "text") return html`<textarea${about} rows="${control.rows}"${code}>\n${value}</textarea>`;
  const { type = "text", min, max, step, maxLength } = control;
  return html`<input type="${type}"${about} value="${value}"${min !== undefined && html` min="${min}"`}${max !== undefined && html` max="${max}"`}${step && html` step="${step}"`}${maxLength !== undefined && html` maxlength="${maxLength}"`}${code}>`;
}

/** What was typed into a text area: browsers end its lines with CRLF (HTML, "constructing the entry list"). */
export const linesOf = (text = ""): string => text.replaceAll("\r\n", "\n");
