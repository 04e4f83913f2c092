import type { MetadataObject } from "./bundle.ts";

/** What a depositor says of a bundle as a whole. */
export interface BundleDescription {
  readonly submitter?: string | undefined;
  readonly project?: string | undefined;
  readonly instrument?: string | undefined;
  readonly keyValues?: readonly { readonly key: string; readonly value: string }[] | undefined;
}

/** The same as Pacifica metadata. */
export function bundleMetadata({ keyValues = [], ...fields }: BundleDescription): MetadataObject[] {
  const objects: MetadataObject[] = [];
  for (const field of ["submitter", "project", "instrument"] as const) {
    const given = fields[field];
    if (given !== undefined)
      objects.push({ destinationTable: `Transactions.${field}`, value: pacificaValue(field, given) });
  }
  for (const { key, value } of keyValues) objects.push({ destinationTable: "TransactionKeyValue", key, value });
  return objects;
}

/** Pacifica numbers its users and instruments and names its projects. */
function pacificaValue(field: "submitter" | "project" | "instrument", given: string): string | number {
  return field !== "project" && /^(0|[1-9]\d{0,14})$/.test(given) ? Number(given) : given;
}
