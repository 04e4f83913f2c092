import { CODES, KINDS } from "../core/errors.ts";
import { escapeHtml, htmlPage } from "./links/html-page.ts";
import type { ServerContext } from "./server-deps.ts";

/** What there is to find at this address, for a person or a program that only knows the address. */
export function welcome({ version, link }: ServerContext, doors: readonly string[]) {
  return {
    name: "Longshore",
    version,
    api: link("/api/v1"),
    openapi: link("/openapi.json"),
    health: link("/healthz"),
    metrics: link("/metrics"),
    errors: link("/docs/errors"),
    doors: doors.map((name) => link(`/doors/${name}/`)),
  };
}

export function welcomePage(facts: ReturnType<typeof welcome>): string {
  const { name, version, doors, ...links } = facts;
  const item = (label: string, href: string) =>
    `<li>${label}: <a href="${escapeHtml(href)}">${escapeHtml(href)}</a></li>`;
  const items = [...Object.entries(links), ...doors.map((href) => ["door", href] as const)];
  return htmlPage(`${name} ${version}`, `<ul>${items.map(([label, href]) => item(label, href)).join("")}</ul>`);
}

/** Where the `type` of every problem document leads. */
export function errorsPage(): string {
  const entries = Object.entries(CODES).map(
    ([code, [kind, sentence]]) =>
      `<dt id="${code}"><code>${code}</code></dt><dd>${escapeHtml(sentence)} (${kind}, ${KINDS[kind].status})</dd>`,
  );
  return htmlPage("Error codes", `<dl>${entries.join("\n")}</dl>`);
}
