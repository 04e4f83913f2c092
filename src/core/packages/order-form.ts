import { z } from "zod";
import { type OrderRequest, TABLE_FORMATS } from "./package.ts";
import type { Cell } from "./rows.ts";

const Address = z.string().max(4096);
const Text = z.string().max(64 * 1024);
/** Whatever JSON has brought: the portal judges it. */
const Json = z.custom<Cell>();

const COMMON = {
  resourceId: z.string().min(1).max(255).describe("At the portal; statistics are counted by it."),
  manifest: z.boolean().default(true).describe("Whether manifest.json lies beside the data."),
  doi: z.string().max(255).exactOptional().describe("Named in the notice, to be cited."),
};
const ROWS = {
  ...COMMON,
  apiUrl: Address.describe("Address of the portal's datastore_search."),
  filters: z
    .record(z.string(), Json)
    .exactOptional()
    .describe("Value, or list of values of which one has to be there, by field."),
  q: z
    .union([Text, z.record(z.string(), Text)])
    .exactOptional()
    .describe("Full text search: in all fields, or by field."),
  plain: Text.exactOptional(),
  language: Text.exactOptional(),
  fields: Text.exactOptional().describe("Names, separated by commas: which columns, and in which order."),
  sort: Text.exactOptional(),
  limit: z.int().positive().exactOptional().describe("Rows at most; all of them when left out."),
  offset: z.int().nonnegative().exactOptional(),
};
const RECIPES = {
  datastore: { kind: z.literal("datastore"), ...ROWS, format: z.enum(TABLE_FORMATS).default("csv") },
  dwca: {
    kind: z.literal("dwca"),
    ...ROWS,
    format: z.enum(["csv", "tsv"]).default("csv"),
    eml: z
      .string()
      .max(1024 ** 2)
      .exactOptional()
      .describe("Template of eml.xml."),
    forGbif: z.boolean().exactOptional().describe("Adds gbif.json."),
  },
  url: {
    kind: z.literal("url"),
    ...COMMON,
    resourceUrl: Address.describe("Address of the file."),
    apiUrl: Address.exactOptional().describe("Of the portal that the file is at, when it is to be shown the key."),
  },
};

/** How the outcome is told; without any of it, by asking. */
const REQUESTER = {
  key: z
    .string()
    .min(1)
    .max(4096)
    .exactOptional()
    .describe("The user's key at the portal. Sent there and nowhere else, and never shown."),
  email: z.string().max(254).exactOptional().describe("Told by mail."),
  webhook: Address.exactOptional().describe("Told by a signed POST."),
};

/** What an order says, as JSON. */
export const OrderForm = z.discriminatedUnion("kind", [
  z.strictObject({ ...RECIPES.datastore, ...REQUESTER }),
  z.strictObject({ ...RECIPES.dwca, ...REQUESTER }),
  z.strictObject({ ...RECIPES.url, ...REQUESTER }),
]);

export function orderRequest(form: z.output<typeof OrderForm>, owner: string): OrderRequest {
  const { key, email, webhook, ...recipe } = form;
  return {
    recipe: recipe.kind === "url" ? { ...recipe, format: "csv" } : recipe,
    ...(key === undefined ? {} : { key }),
    ...(email === undefined ? {} : { email }),
    ...(webhook === undefined ? {} : { webhook }),
    owner,
    door: false,
  };
}
