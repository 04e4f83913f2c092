import { hierarchy, treemap } from "d3-hierarchy";
import { type Html, html } from "./html.ts";

/** A part of a whole, drawn as large as its value. */
export interface TreePart {
  readonly name: string;
  readonly value: number;
  /** The value with its unit. */
  readonly amount: string;
  /** Where the part is shown by itself. */
  readonly address?: string | undefined;
}

const [WIDTH, HEIGHT] = [640, 300];
const LINE = 16;
/** Of the letters in the widths of the style: what is longer is cut, and told in full when it is pointed at. */
const LETTER = 7.5;

/**
 * Parts of a whole side by side, as square as can be (Bruls, Huizing and van Wijk, "Squarified Treemaps", 2000). A table of
 * the same parts, with the same links, stands beside it. Nothing where all parts are empty.
 */
export function treeMap(title: string, parts: readonly TreePart[]): Html {
  interface Node {
    readonly part?: TreePart;
    readonly children?: readonly Node[];
  }
  const whole = hierarchy<Node>({ children: parts.map((part) => ({ part })) }, ({ children }) => children);
  whole.sum(({ part }) => part?.value ?? 0).sort((one, other) => (other.value ?? 0) - (one.value ?? 0));
  if (!whole.value) return html``;
  const placed = treemap<Node>().size([WIDTH, HEIGHT]).paddingInner(2).round(true)(whole).leaves();
  return html`<svg class="tree-map" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="group" aria-label="${title}">
${placed.map(({ data: { part }, x0, y0, x1, y1 }) => part && x1 > x0 && y1 > y0 && html`${drawn(part, x0, y0, x1 - x0, y1 - y0)}\n`)}</svg>`;
}

function drawn({ name, amount, address }: TreePart, x: number, y: number, width: number, height: number): Html {
  const lines = [name, amount].slice(0, Math.floor((height - 4) / LINE));
  const fits = Math.floor((width - 8) / LETTER);
  const texts = lines.map(
    (line, at) => html`<text x="${x + 5}" y="${y + LINE * (at + 1)}">${fits < 3 ? "" : cut(line, fits)}</text>`,
  );
  const shape = html`<title>${name}: ${amount}</title><rect x="${x}" y="${y}" width="${width}" height="${height}"${address === undefined && html` class="plain"`}></rect>${texts}`;
  return address === undefined
    ? html`<g>${shape}</g>`
    : html`<a href="${address}" aria-label="${name}: ${amount}">${shape}</a>`;
}

function cut(text: string, length: number): string {
  const characters = [...text];
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join("")}…`;
}
