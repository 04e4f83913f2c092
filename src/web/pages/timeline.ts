import type { Outcome } from "../../core/access/access-stores.ts";
import type { PreservationEvent } from "../../core/archive/premis-events.ts";
import type { Details, DetailValue } from "../../core/errors.ts";
import type { TransactionId } from "../../core/ids.ts";
import { timeOf } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { badge, type Reader } from "../layout.ts";

export const EVENTS_SHOWN = 50;
const DETAIL_CHARACTERS = 300;

const LOOKS: Readonly<Record<Outcome, Parameters<typeof badge>[0]>> = { success: "good", failure: "bad" };

/**
 * What has happened to a transaction, the oldest first, as its PREMIS document tells it.
 * @param events one more than is shown, where there are more.
 */
export function timeline(reader: Reader, id: TransactionId, events: readonly PreservationEvent[]): Html {
  const { say, link } = reader;
  const shown = events.slice(0, EVENTS_SHOWN);
  return html`<h2 id="events">${say("timeline.title")}</h2>
${
  shown.length === 0
    ? html`<p class="soft">${say("timeline.none")}</p>`
    : html`<ol class="timeline">${shown.map((event) => eventItem(reader, event))}</ol>`
}
<p class="actions">${events.length > shown.length && html`<a href="${link(`/archive/${id}?events=${shown.at(-1)?.seq}#events`)}">${say("timeline.later")}</a>`}
<a href="${link(`/api/v1/transactions/${id}/premis`)}">${say("timeline.premis")}</a></p>`;
}

function eventItem({ say }: Reader, { type, at, actor, software, outcome, details }: PreservationEvent): Html {
  const by = software === null ? say("timeline.by", { actor }) : say("timeline.byWith", { actor, software });
  return html`<li><strong>${say(`event.${type}`)}</strong> ${badge(LOOKS[outcome], say(`outcome.${outcome}`))}
<div class="soft">${timeOf(at)} · ${by}</div>${detailLine(details)}</li>\n`;
}

function detailLine(details: Details): Html {
  const texts = Object.entries(details).map(([name, value]) => `${name}: ${detailText(value)}`);
  return texts.length === 0 ? html`` : html`<div>${texts.join(" · ")}</div>`;
}

function detailText(value: DetailValue): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > DETAIL_CHARACTERS ? `${text.slice(0, DETAIL_CHARACTERS)}…` : text;
}
