import { readFileSync } from "node:fs";
import { InvalidArgumentError } from "commander";
import { bundleMetadata, LongshoreError, type MetadataObject } from "../sdk/index.ts";

export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

export interface MetadataOptions {
  readonly submitter?: string;
  readonly project?: string;
  readonly instrument?: string;
  readonly kv?: readonly KeyValue[];
  /** File with an array of Pacifica metadata objects. */
  readonly metadata?: string;
}

/** Parses `--kv`; the first `=` divides, so that a value may hold more of them. */
export function collectKeyValue(text: string, earlier: readonly KeyValue[] = []): readonly KeyValue[] {
  const cut = text.indexOf("=");
  if (cut < 1) throw new InvalidArgumentError("Expected key=value.");
  return [...earlier, { key: text.slice(0, cut), value: text.slice(cut + 1) }];
}

/** The objects that describe the bundle as a whole: those of the file, with what the options say in their place. */
export function metadataOf(options: MetadataOptions): readonly MetadataObject[] {
  const { submitter, project, instrument } = options;
  const own = bundleMetadata({ submitter, project, instrument });
  const replaced = new Set(own.map(({ destinationTable }) => destinationTable));
  const given = options.metadata === undefined ? [] : readMetadata(options.metadata);
  return [
    ...own,
    ...given.filter(({ destinationTable }) => !replaced.has(destinationTable)),
    ...bundleMetadata({ keyValues: options.kv }),
  ];
}

function readMetadata(path: string): readonly MetadataObject[] {
  const document = parseJson(path);
  const isObject = (value: unknown): value is MetadataObject =>
    typeof value === "object" &&
    value !== null &&
    "destinationTable" in value &&
    typeof value.destinationTable === "string";
  if (Array.isArray(document) && document.every(isObject)) return document;
  throw new LongshoreError(
    "metadata_invalid",
    `${path} is not an array of objects that each have a destinationTable.`,
    {
      details: { path },
    },
  );
}

function parseJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new LongshoreError("local_file_unusable", `${path} cannot be read: ${reason}`, { details: { path }, cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new LongshoreError("metadata_not_json", `${path} is not JSON: ${reason}`, { details: { path }, cause });
  }
}
