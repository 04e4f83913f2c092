import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import { isoTime } from "../clock.ts";
import type { ErrorRecord } from "../errors.ts";
import type { Order, Package } from "../packages/package.ts";
import { filled, filledHtml, type NoticeTemplates, type PlaceValues } from "./templates.ts";

/** Channels of the outbox. */
export const MAIL_CHANNEL = "mail";
export const WEBHOOK_CHANNEL = "webhook";

export interface NoticeSettings {
  readonly templates: NoticeTemplates;
  /** May have places, like the templates. */
  readonly from: string;
}

/** What requesters are told, as messages of the outbox: one for each way in which they asked to be told. */
export interface Notices {
  /** @param link address of the download. */
  ready(order: Order, made: Package, link: string): readonly OutboxMessage[];
  failed(order: Order, made: Package, error: ErrorRecord): readonly OutboxMessage[];
}

export function notices({ templates, from }: NoticeSettings): Notices {
  function messages(order: Order, made: Package, outcome: "ready" | "failed", link: string, reason: string) {
    const values = valuesOf(order, made, templates, link, reason);
    const failed = outcome === "failed";
    const common = { orderId: order.id, outcome };
    // An order may be told again after a renewal: the time is part of the key.
    const key = (channel: string) =>
      `${channel}:order:${order.id}:${outcome}:${order.linkGeneration}:${order.linkExpiresAt ?? 0}`;
    const mail: OutboxMessage[] =
      order.email === null
        ? []
        : [
            {
              key: key(MAIL_CHANNEL),
              channel: MAIL_CHANNEL,
              target: order.email,
              payload: {
                ...common,
                from: filled(from, values),
                subject: filled(failed ? templates.failedSubject : templates.subject, values),
                text: filled(failed ? templates.failedText : templates.text, values),
                html: filledHtml(failed ? templates.failedHtml : templates.html, values),
              },
            },
          ];
    const hook: OutboxMessage[] =
      order.webhook === null
        ? []
        : [
            {
              key: key(WEBHOOK_CHANNEL),
              channel: WEBHOOK_CHANNEL,
              target: order.webhook,
              payload: {
                ...common,
                event: {
                  type: `package.${outcome}`,
                  order: order.id,
                  package: made.id,
                  resourceId: made.recipe.resourceId,
                  ...(failed
                    ? { reason }
                    : {
                        link,
                        fileName: made.fileName,
                        sizeBytes: made.sizeBytes,
                        rows: made.rowCount,
                        sha256: made.digest,
                        expiresAt: order.linkExpiresAt === null ? null : isoTime(order.linkExpiresAt),
                      }),
                },
              },
            },
          ];
    return [...mail, ...hook];
  }

  return {
    ready: (order, made, link) => messages(order, made, "ready", link, ""),
    failed: (order, made, error) => messages(order, made, "failed", "", error.message),
  };
}

function valuesOf(order: Order, made: Package, templates: NoticeTemplates, link: string, reason: string): PlaceValues {
  const { recipe } = made;
  const { doi } = recipe;
  const plain = {
    resource_id: recipe.resourceId,
    zip_file_name: made.fileName ?? "",
    ckan_host: hostOf(recipe.apiUrl ?? recipe.resourceUrl ?? ""),
    doi: doi ?? "",
    doi_body: "",
    doi_body_html: "",
    link,
    size: made.sizeBytes === null ? "" : sizeText(made.sizeBytes),
    rows: made.rowCount === null ? "" : made.rowCount.toLocaleString("en"),
    digest: made.digest ?? "",
    expires: order.linkExpiresAt === null ? "" : `${isoTime(order.linkExpiresAt).slice(0, 16).replace("T", " ")} UTC`,
    reason,
  };
  if (doi === undefined) return plain;
  return {
    ...plain,
    doi_body: filled(templates.doiText, plain),
    doi_body_html: filledHtml(templates.doiHtml, plain),
  };
}

/** With its port, as ckanpackager shows it. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : "";
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** For people: `1.5 MiB`. */
export function sizeText(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${UNITS[power]}`;
}
