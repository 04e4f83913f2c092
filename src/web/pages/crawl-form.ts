import type { CrawlRequest } from "../../core/crawl/crawls.ts";
import { GROUPER_NAMES } from "../../core/crawl/grouping/groups.ts";
import { AppError } from "../../core/errors.ts";
import { type FormField, formRow, linesOf, type Typed } from "../form-field.ts";
import { type Html, html } from "../html.ts";
import { formField, type Reader } from "../layout.ts";

type Problems = Readonly<Record<string, string>>;

/** A form that nobody has filled in yet. */
export const NEW_CRAWL: Typed = { grouper: GROUPER_NAMES[0] ?? "", hidden: "on", describe: "on" };

/** A store for each line; the other fields hold for all of them. A box that is not ticked is not sent. */
export function crawlRequest({ url, grouper, pattern, hidden }: Typed): CrawlRequest {
  const urls = linesOf(url)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  return {
    endpoints: urls.map((one) => ({
      url: one,
      grouper,
      pattern: pattern === "" ? undefined : pattern,
      hidden: hidden === "on",
    })),
  };
}

/** Why a crawl was not begun, beside the field that it is about. @throws what is no question of what was typed. */
export function crawlProblems({ say }: Reader, error: unknown): Problems {
  if (!(error instanceof AppError)) throw error;
  const { code, details, message } = error;
  if (code === "endpoint_refused" || code === "endpoint_unreachable") return { url: message };
  if (code !== "request_invalid") throw error;
  if ("pattern" in details) return { pattern: message };
  if ("grouper" in details) return { grouper: message };
  return { url: "url" in details ? message : say("crawls.wrongStores") };
}

export function crawlForm(reader: Reader, typed: Typed, problems: Problems = {}): Html {
  const { say, link, formToken } = reader;
  const isWrong = Object.keys(problems).length > 0;
  return html`<h2>${say("crawls.start")}</h2>
${isWrong && html`<p class="notice" role="alert">${say("crawls.refused")}</p>`}
<form class="fields" method="post" action="${link("/crawls")}">${formField(formToken)}
${crawlFields(reader).map((field) => formRow(reader, field, { ...typed, url: linesOf(typed.url) }, problems[field.name]))}
<p><button>${say("crawls.submit")}</button></p></form>`;
}

function crawlFields({ say }: Reader): readonly FormField[] {
  const groupers = GROUPER_NAMES.map((name) => [name, name] as const);
  return [
    {
      name: "url",
      label: say("crawls.url"),
      isRequired: true,
      hint: say("crawls.urlHint"),
      control: { kind: "text", rows: 2, isCode: true },
    },
    { name: "grouper", label: say("crawls.grouper"), control: { kind: "choice", choices: groupers } },
    {
      name: "pattern",
      label: say("crawls.pattern"),
      control: { kind: "input", maxLength: 1_024, isCode: true },
    },
    { name: "hidden", label: say("crawls.hidden"), control: { kind: "switch" } },
    { name: "describe", label: say("crawls.describe"), control: { kind: "switch" } },
  ];
}
