import {
  type OrderRequest,
  type PackageKind,
  type Recipe,
  TABLE_FORMATS,
  type TableFormat,
} from "../../core/packages/package.ts";

const REQUIRED = {
  datastore: ["api_url", "resource_id", "email"],
  dwca: ["api_url", "resource_id", "email"],
  url: ["resource_id", "email", "resource_url"],
} as const satisfies Record<PackageKind, readonly string[]>;

/** Whose orders through the door are. */
export const DOOR_OWNER = "ckanpackager";

/**
 * Reads the fields of `/package_datastore`, `/package_dwc_archive` or `/package_url`. Fields that a route does not know are
 * passed over, as clients send their defaults everywhere; a field that is empty counts as left out.
 * @returns in words what is wrong with them, when something is.
 */
export function ckanpackagerOrder(kind: PackageKind, fields: ReadonlyMap<string, string>): OrderRequest | string {
  for (const name of REQUIRED[kind]) if (!fields.has(name)) return `Parameter ${name} is required`;
  const given = (name: string) => fields.get(name) || undefined;
  const recipe = kind === "url" ? fileRecipe(given) : rowsRecipe(kind, given, fields.has("for_gbif"));
  if (typeof recipe === "string") return recipe;
  return {
    recipe,
    email: fields.get("email") ?? "",
    ...present({ key: given("key") }),
    owner: DOOR_OWNER,
    door: true,
  };
}

type Given = (name: string) => string | undefined;

function fileRecipe(given: Given): Recipe {
  const resourceUrl = given("resource_url") ?? "";
  const apiUrl = given("api_url");
  return {
    kind: "url",
    resourceId: given("resource_id") ?? "",
    resourceUrl,
    // The command line sends its portal's address along: a file that is there may need the user's key.
    ...(apiUrl !== undefined && isSameOrigin(apiUrl, resourceUrl) ? { apiUrl } : {}),
    format: "csv",
    manifest: false,
  };
}

function rowsRecipe(kind: "datastore" | "dwca", given: Given, forGbif: boolean): Recipe | string {
  const filters = jsonObject(given("filters") ?? "null");
  if (filters === "invalid") return "Parameter filters is not a JSON object";
  const format = formatOf(kind, given("format") ?? "csv");
  if (!format) return `Parameter format is not one of ${TABLE_FORMATS.join(", ")}`;
  const [limit, offset] = [integer(given("limit")), integer(given("offset"))];
  for (const [name, value] of Object.entries({ limit, offset }))
    if (value !== undefined && !Number.isSafeInteger(value)) return `Parameter ${name} is not an integer`;
  return {
    kind,
    resourceId: given("resource_id") ?? "",
    apiUrl: given("api_url") ?? "",
    format,
    ...present({
      filters,
      limit,
      offset,
      q: given("q"),
      plain: given("plain"),
      language: given("language"),
      fields: given("fields"),
      sort: given("sort"),
      doi: given("doi"),
    }),
    ...(kind === "dwca" && { ...present({ eml: given("eml") }), forGbif }),
    manifest: false,
  };
}

/** The original has no workbooks of archives, and gives out the tables instead. */
function formatOf(kind: PackageKind, text: string): TableFormat | undefined {
  const format = TABLE_FORMATS.find((one) => one === text.toLowerCase());
  return kind === "dwca" && format === "xlsx" ? "csv" : format;
}

/** As Python's `int` reads a text; not a number when it is none. */
export function integer(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return /^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : Number.NaN;
}

function jsonObject(text: string): Recipe["filters"] | "invalid" {
  try {
    const value: unknown = JSON.parse(text);
    if (value === null) return undefined;
    return typeof value === "object" && !Array.isArray(value) ? (value as Recipe["filters"]) : "invalid";
  } catch {
    return "invalid"; // no JSON at all
  }
}

function isSameOrigin(one: string, other: string): boolean {
  return URL.canParse(one) && URL.canParse(other) && new URL(one).origin === new URL(other).origin;
}

/** Without members that are undefined. */
function present<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
