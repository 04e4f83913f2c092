import { join, resolve } from "node:path";
import type { z } from "zod";
import { bytes, folder, list, text, whole } from "./setting-forms.ts";
import { STORE_SETTINGS, storeConfig } from "./store-settings.ts";

const SECOND_MS = 1_000;

/** Settings of crawls, extractions and offloads; a part of `SETTINGS` in `config.ts`. */
export const CRAWL_SETTINGS = {
  LONGSHORE_CRAWL_ROOTS: list((path) => resolve(path))
    .prefault("")
    .describe("Folders, separated by commas, below which the server's disk may be crawled."),
  LONGSHORE_RECORD_ROOTS: list((path) => resolve(path))
    .optional()
    .describe(
      "Folders, separated by commas, below which records are written as files and offloads may write. The folder records of the data folder when not set.",
    ),
  LONGSHORE_EXTRACTORS: folder
    .optional()
    .describe(
      "Folder of extractors that may be registered, each in a folder of its own; see docs/formats/extractors.md.",
    ),
  LONGSHORE_EXTRACT_PROCESSES: text
    .transform((input, context) => whole(input, context, { most: 256 }))
    .prefault("2")
    .describe("Extractors at work at a time, each in a process of its own."),
  LONGSHORE_EXTRACT_SECONDS: text
    .transform((input, context) => whole(input, context, { most: 86_400 }))
    .prefault("60")
    .describe("Longest that an extractor may take for one group of files."),
  LONGSHORE_EXTRACT_MEMORY: text
    .transform(bytes)
    .prefault("1GiB")
    .describe("Most memory that an extractor's process may take."),
  LONGSHORE_EXTRACT_OUTPUT: text
    .transform(bytes)
    .prefault("8MiB")
    .describe("Longest record, as JSON, that an extractor may give."),
  LONGSHORE_EXTRACT_FETCH: text
    .transform(bytes)
    .prefault("10GiB")
    .describe("Most that is fetched to the server of files that belong together, to be described; larger ones fail."),
  ...STORE_SETTINGS,
} as const;

/** What podman and docker go by; nothing else of Longshore looks at these. */
const CONTAINER_VARIABLES = [
  "PATH",
  "HOME",
  "XDG_RUNTIME_DIR",
  "XDG_CONFIG_HOME",
  "XDG_DATA_HOME",
  "DOCKER_HOST",
  "DOCKER_CONFIG",
  "CONTAINER_HOST",
  "CONTAINERS_CONF",
];

/** @param env the whole environment. */
export function crawlConfig(
  e: z.output<z.ZodObject<typeof CRAWL_SETTINGS>>,
  dataDir: string,
  env: Readonly<Record<string, string | undefined>>,
) {
  const variables = CONTAINER_VARIABLES.flatMap((name) => (env[name] ? [[name, env[name]] as const] : []));
  return {
    ...storeConfig(e),
    crawlRoots: e.LONGSHORE_CRAWL_ROOTS,
    recordRoots: e.LONGSHORE_RECORD_ROOTS ?? [join(dataDir, "records")],
    extractorsDir: e.LONGSHORE_EXTRACTORS,
    extractProcesses: e.LONGSHORE_EXTRACT_PROCESSES,
    extractMs: e.LONGSHORE_EXTRACT_SECONDS * SECOND_MS,
    extractMemoryBytes: e.LONGSHORE_EXTRACT_MEMORY,
    extractOutputBytes: e.LONGSHORE_EXTRACT_OUTPUT,
    extractFamilyBytes: e.LONGSHORE_EXTRACT_FETCH,
    containerEnvironment: Object.fromEntries(variables),
    xtract: {
      ownCollection: e.LONGSHORE_GLOBUS_COLLECTION,
      ownFolder: e.LONGSHORE_GLOBUS_FOLDER,
      hasGlobus: e.LONGSHORE_GLOBUS_TOKEN !== undefined,
    },
  } as const;
}
