import { scaleBand, scaleLinear } from "d3-scale";
import { countText } from "./formats.ts";
import { type Html, html } from "./html.ts";

export interface Bar {
  readonly label: string;
  readonly value: number;
}

const WIDTH = 360;
const [TOP, BOTTOM] = [10, 110];
/** About so many lines to read values by. */
const LINES = 4;
const SHORT = new Intl.NumberFormat("en", { notation: "compact" });

/**
 * A bar for each value, from zero, with lines at round numbers and the first and last label in words. A table of the same
 * values stands beside it for those who cannot see it. Drawn with attributes, as pages allow no style of their own.
 */
export function barChart(title: string, bars: readonly Bar[]): Html {
  const height = scaleLinear([0, Math.max(1, ...bars.map(({ value }) => value))], [BOTTOM, TOP]).nice(LINES);
  // Numbers that are counted have none between them.
  const lines = height.ticks(LINES).filter(Number.isInteger);
  const place = scaleBand(bars.keys(), [34, WIDTH]).padding(0.2);
  return html`<figure class="chart"><figcaption>${title}</figcaption>
<svg viewBox="0 0 ${WIDTH} ${BOTTOM + 20}" role="img" aria-label="${title}">
${lines.map((value) => html`<line x1="34" y1="${height(value)}" x2="${WIDTH}" y2="${height(value)}"></line><text x="28" y="${height(value) + 4}" text-anchor="end">${SHORT.format(value)}</text>`)}
${bars.map(({ label, value }, at) => html`<rect x="${place(at)?.toFixed(2)}" y="${height(value).toFixed(2)}" width="${place.bandwidth().toFixed(2)}" height="${Number((BOTTOM - height(value)).toFixed(2))}"><title>${label}: ${countText(value)}</title></rect>`)}
<text x="34" y="${BOTTOM + 16}">${bars[0]?.label}</text>
<text x="${WIDTH}" y="${BOTTOM + 16}" text-anchor="end">${bars.at(-1)?.label}</text>
</svg></figure>`;
}
