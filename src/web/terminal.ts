import { type Html, html } from "./html.ts";
import type { Reader } from "./layout.ts";

/** As a word of a POSIX shell, whatever is in it. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** A command for this reader: with a token from the environment, where the server asks for one. */
export function curlLine({ principal }: Reader, rest: string): string {
  const who = principal?.via === "local" ? "" : ' -H "Authorization: Bearer $LONGSHORE_TOKEN"';
  return `curl -f${who} ${rest}`;
}

/** Text that is taken elsewhere; with the script `copy.js`, by a button. */
export function copyable({ say }: Reader, text: string): Html {
  return html`<div class="copyable"><pre tabindex="0" data-copy="${say("copy.copy")}" data-copied="${say("copy.copied")}">${text}</pre></div>`;
}
