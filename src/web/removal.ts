import { type Html, html } from "./html.ts";
import { formField, type Reader } from "./layout.ts";

/** A button that cannot be undone: it is asked once more, also without script. */
export function removal({ say, formToken }: Reader, action: string, label: string, warning: string): Html {
  return html`<details class="sure"><summary>${label}</summary>
<form method="post" action="${action}">${formField(formToken)}<p>${warning}</p><p><button class="danger">${say("form.sure")}</button></p></form></details>`;
}
