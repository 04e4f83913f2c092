import { isoTime } from "../core/clock.ts";
import { type Html, html } from "./html.ts";

export { countText, durationText, sizeText } from "./amounts.ts";

/** In UTC; the script of the pages shows the reader's own zone in its place, and UTC when it is pointed at. */
export function timeOf(at: number): Html {
  const iso = isoTime(at);
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC</time>`;
}
