import { hasScope, type Principal } from "../core/access/access.ts";
import type { Scope } from "../core/access/access-stores.ts";
import type { Assets } from "./assets.ts";
import { type Html, html, type Part } from "./html.ts";
import type { MessageName, Say } from "./messages.ts";

/** A page's place in the navigation. */
export interface NavigationItem {
  readonly path: string;
  readonly label: MessageName;
  /** What a reader needs to see the page. */
  readonly scope: Scope;
}

/** What every page is made with: who reads it, in which language, and where things are. */
export interface Reader {
  /** `undefined` before signing in. */
  readonly principal: Principal | undefined;
  /** What the forms of this reader bring along. */
  readonly formToken: string;
  readonly language: string;
  readonly say: Say;
  /** The address of one of our own paths, behind a proxy that adds a prefix too. */
  link(path: string): string;
  readonly assets: Assets;
  readonly version: string;
}

export interface Page {
  readonly title: string;
  /** Which item of the navigation it belongs to. */
  readonly path?: string;
  readonly body: Part;
  /** Modules of `client/` that this page alone needs. */
  readonly scripts?: readonly string[];
}

export function layout(
  reader: Reader,
  navigation: readonly NavigationItem[],
  { title, path, body, scripts = [] }: Page,
): Html {
  const { say, link, assets, principal } = reader;
  const items = navigation.filter(({ scope }) => principal && hasScope(principal, scope));
  return html`<!doctype html>
<html lang="${reader.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · ${say("site.name")}</title>
<link rel="stylesheet" href="${assets.addressOf("style.css")}">
<link rel="icon" href="data:,">
<meta name="form-token" content="${reader.formToken}">
<meta name="api" content="${link("/api/v1")}">
${["app.js", ...scripts].map((name) => html`<script type="module" src="${assets.addressOf(name)}"></script>\n`)}</head>
<body>
<a class="skip" href="#content">${say("site.skip")}</a>
<header>
<div class="top"><a class="brand" href="${link("/home")}">${say("site.name")}</a>
${account(reader)}</div>
<nav aria-label="${say("site.navigation")}"><ul>
${items.map(
  (item) =>
    html`<li><a href="${link(item.path)}"${item.path === path && html` aria-current="page"`}>${say(item.label)}</a></li>`,
)}
</ul></nav>
</header>
<main id="content" tabindex="-1">
<h1>${title}</h1>
${body}
</main>
<footer>
<span>${say("site.version", { version: reader.version })}</span>
<a href="${link("/openapi.json")}">${say("site.api")}</a>
</footer>
</body>
</html>
`;
}

function account({ principal, say, link, formToken }: Reader): Html {
  if (!principal) return html`<p class="account"><a href="${link("/sign-in")}">${say("site.signIn")}</a></p>`;
  if (principal.via === "local") return html`<p class="account">${say("site.openServer")}</p>`;
  return html`<form class="account" method="post" action="${link("/sign-out")}">
${formField(formToken)}<span>${say("site.signedInAs", { name: principal.name })}</span>
<button class="quiet">${say("site.signOut")}</button>
</form>`;
}

/** Every form has it: what is sent without it is refused. */
export function formField(formToken: string): Html {
  return html`<input type="hidden" name="formToken" value="${formToken}">`;
}

/** Part of a page that is kept up to date while somebody looks: the script fetches the page anew and takes this part of it. */
export function live(id: string, everySeconds: number, body: Part): Html {
  return html`<div id="${id}" data-live="${everySeconds}">${body}</div>`;
}

/** Names and values. What is nothing is left out. */
export function facts(rows: readonly (readonly [name: string, value: Part])[]): Html {
  const shown = rows.filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "");
  return html`<dl class="facts">${shown.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** A table that can be scrolled by itself, with the keyboard too. */
export function table(
  caption: string,
  heads: readonly string[],
  rows: readonly (readonly Part[])[],
  /** Columns of numbers, from 0. */
  numeric: readonly number[] = [],
): Html {
  const cell = (part: Part, at: number) => html`<td${numeric.includes(at) && html` class="number"`}>${part}</td>`;
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table>
<thead><tr>${heads.map((head, at) => html`<th scope="col"${numeric.includes(at) && html` class="number"`}>${head}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map(cell)}</tr>\n`)}</tbody>
</table></div>`;
}

/** A small word that says how something stands; never by its colour alone. */
export function badge(kind: "good" | "bad" | "busy" | "plain", text: string): Html {
  return html`<span class="badge ${kind}">${text}</span>`;
}
