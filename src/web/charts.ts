import { countText } from "./formats.ts";
import { type Html, html } from "./html.ts";

export interface Bar {
  readonly label: string;
  readonly value: number;
}

const WIDTH = 360;
const HEIGHT = 100;
const MARGIN = 18;

/**
 * A bar for each value, from zero, with the largest one and the first and last label in words. A table of the same values
 * stands beside it for those who cannot see it. Drawn with attributes, as pages allow no style of their own.
 */
export function barChart(title: string, bars: readonly Bar[]): Html {
  const largest = Math.max(0, ...bars.map(({ value }) => value));
  const step = WIDTH / Math.max(1, bars.length);
  const place = (value: number) => Number(value.toFixed(2));
  const drawn = bars.map(({ label, value }, at) => {
    const height = largest === 0 ? 0 : (value / largest) * HEIGHT;
    return html`<rect x="${place(at * step + step * 0.1)}" y="${place(MARGIN + HEIGHT - height)}" width="${place(step * 0.8)}" height="${place(height)}"><title>${label}: ${countText(value)}</title></rect>`;
  });
  const bottom = MARGIN + HEIGHT;
  return html`<figure class="chart"><figcaption>${title}</figcaption>
<svg viewBox="0 0 ${WIDTH} ${bottom + MARGIN}" role="img" aria-label="${title}">
<text x="0" y="${MARGIN - 5}">${countText(largest)}</text>
<line x1="0" y1="${bottom}" x2="${WIDTH}" y2="${bottom}"></line>
${drawn}
<text x="0" y="${bottom + MARGIN - 3}">${bars[0]?.label}</text>
<text x="${WIDTH}" y="${bottom + MARGIN - 3}" text-anchor="end">${bars.at(-1)?.label}</text>
</svg></figure>`;
}
