import { AppError, type Details } from "../errors.ts";
import { isMailAddress } from "../notify/address.ts";
import type { Origins } from "../outbound/origins.ts";
import type { OrderRequest, Recipe } from "./package.ts";
import { EVERYTHING } from "./statistics.ts";

/** Statistics are looked up by it, and mails show it: not longer than indexes take, and of one line. */
const NAME = /^[^\p{Cc}\p{Cs}]{1,255}$/u;

/** What this server is set up to do for orders. */
export interface OrderLimits {
  readonly origins: Origins;
  readonly canMail: boolean;
  readonly canPost: boolean;
}

/**
 * Judges an order as far as that goes without asking the portal.
 * @throws AppError request_invalid, fetch_refused.
 */
export function requireOrder(request: OrderRequest, { origins, canMail, canPost }: OrderLimits): void {
  const { recipe, key, email, webhook, door } = request;
  requireRecipe(recipe);
  if (email !== undefined && !isMailAddress(email)) throw invalid({ field: "email", expected: "one mail address" });
  // Through the door there is no other way: the mail waits until there is a mail server.
  if (email !== undefined && !canMail && !door)
    throw invalid({ field: "email", expected: "none, as LONGSHORE_SMTP_URL is not set" });
  if (webhook !== undefined && !canPost)
    throw invalid({ field: "webhook", expected: "none, as LONGSHORE_WEBHOOK_SECRET is not set" });
  if (!door && key !== undefined && !mayHaveKey(recipe))
    throw invalid({ field: "key", expected: "an apiUrl of the same origin as resourceUrl, whose key it is" });
  for (const url of [recipe.apiUrl, recipe.resourceUrl, webhook]) if (url !== undefined) origins.admit(parsed(url));
}

/** The user's key goes to the portal it was made by, and to nobody else. */
export function mayHaveKey({ kind, apiUrl, resourceUrl }: Recipe): boolean {
  if (kind !== "url") return true;
  return apiUrl !== undefined && resourceUrl !== undefined && parsed(apiUrl).origin === parsed(resourceUrl).origin;
}

function requireRecipe(recipe: Recipe): void {
  const { kind, resourceId, apiUrl, resourceUrl, format, limit, offset, doi = "-" } = recipe;
  if (!NAME.test(resourceId) || resourceId === EVERYTHING)
    throw invalid({ field: "resourceId", expected: "the id of a resource" });
  if (!NAME.test(doi)) throw invalid({ field: "doi", expected: "a DOI" });
  if (kind === "url" ? resourceUrl === undefined : apiUrl === undefined)
    throw invalid({ field: kind === "url" ? "resourceUrl" : "apiUrl", expected: "an address" });
  if (kind === "dwca" && format !== "csv" && format !== "tsv")
    throw invalid({ field: "format", expected: "csv or tsv", found: format });
  for (const [field, value] of Object.entries({ limit, offset }))
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0))
      throw invalid({ field, expected: "a whole number, 0 or more", found: value });
}

/** @throws AppError request_invalid. */
function parsed(text: string): URL {
  if (!URL.canParse(text)) throw invalid({ expected: "an address", found: text.slice(0, 100) });
  return new URL(text);
}

const invalid = (details: Details) => new AppError("request_invalid", details);
