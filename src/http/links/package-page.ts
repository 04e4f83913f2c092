import { isoTime } from "../../core/clock.ts";
import type { AppError } from "../../core/errors.ts";
import { sizeText } from "../../core/notify/notices.ts";
import type { OrderedPackage } from "../../core/packages/packages.ts";
import { escapeHtml, htmlPage } from "./html-page.ts";

/** What a link leads to, for a person who wants to know before they download. @param href of the ZIP. */
export function packagePage({ order, package: made }: OrderedPackage, href: string): string {
  const { recipe, fileName, sizeBytes, rowCount, digest, finishedAt } = made;
  const portal = recipe.apiUrl ?? recipe.resourceUrl ?? "";
  const facts = {
    Resource: recipe.resourceId,
    From: URL.canParse(portal) ? new URL(portal).host : "",
    "Made of": KINDS[recipe.kind],
    Rows: rowCount?.toLocaleString("en") ?? "",
    Size: sizeText(sizeBytes ?? 0),
    "SHA-256": digest ?? "",
    Made: timeText(finishedAt),
    "Link works until": timeText(order.linkExpiresAt),
  };
  const rows = Object.entries(facts)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `<dt>${name}</dt><dd>${escapeHtml(value)}</dd>`);
  const name = fileName ?? "";
  const download = `<p><a href="${escapeHtml(href)}" download>Download ${escapeHtml(name)}</a></p>`;
  const cite = recipe.doi === undefined ? "" : citation(recipe.doi);
  return htmlPage("Your data is ready", `${download}<dl>${rows.join("")}</dl>${cite}`);
}

/** What a person sees whose link leads nowhere. */
export function deadLinkPage({ code }: AppError): string {
  if (code === "package_gone")
    return htmlPage(
      "This link works no more",
      "<p>It has expired or was taken back. Ask for the data again where you asked for it first.</p>",
    );
  if (code === "link_invalid")
    return htmlPage(
      "This is not one of our links",
      "<p>Perhaps a part of it was lost on the way: copy it as a whole from the mail.</p>",
    );
  return htmlPage("The download is not to be had now", "<p>Please try again in a few minutes.</p>");
}

const KINDS = {
  datastore: "rows of a table",
  url: "a file",
  dwca: "rows of a table, as a Darwin Core Archive",
} as const;

function citation(doi: string): string {
  const address = escapeHtml(`https://doi.org/${encodeURI(doi)}`);
  return `<p>Please cite the data by its DOI: <a href="${address}">${escapeHtml(doi)}</a></p>`;
}

/** To the minute, in UTC. */
function timeText(epochMs: number | null): string {
  return epochMs === null ? "" : `${isoTime(epochMs).slice(0, 16).replace("T", " ")} UTC`;
}
