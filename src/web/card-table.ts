import { type Html, html, type Part } from "./html.ts";

/**
 * A table whose rows become cards where the window is narrow. The roles are said, because a table that is laid out
 * otherwise is none to assistive technology (CSS 2.2 §17.2.1, as browsers do it).
 */
export function cardTable(caption: string, heads: readonly string[], rows: readonly (readonly Part[])[]): Html {
  const cell = (part: Part, at: number) => html`<td role="cell" data-label="${heads[at]}"><div>${part}</div></td>`;
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table class="as-cards" role="table">
<thead role="rowgroup"><tr role="row">${heads.map((head) => html`<th scope="col" role="columnheader">${head}</th>`)}</tr></thead>
<tbody role="rowgroup">${rows.map((row) => html`<tr role="row">${row.map(cell)}</tr>\n`)}</tbody>
</table></div>`;
}
