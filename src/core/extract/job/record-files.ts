import { isAbsolute, join, relative, sep } from "node:path";
import { isoTime } from "../../clock.ts";
import type { CrawlBatch, Endpoint } from "../../crawl/crawl.ts";
import { identityOf } from "../../crawl/identities.ts";
import { INCOMING_FOLDER, type SmallFile, type Target } from "../../crawl/target.ts";
import { AppError, type DetailValue, type Problem, problem } from "../../errors.ts";
import { mapInOrder } from "../../streams.ts";
import type { Extraction } from "../extraction.ts";
import { familiesIn } from "./crawled-families.ts";
import type { DescribedFamily } from "./describe.ts";

const PUTS_AT_ONCE = 8;
const READS_AT_ONCE = 16;

/** A folder that records may be written to: a root that settings open, and what is below it. */
export interface RecordsFolder {
  readonly root: string;
  /** Below the root; `""` for the root itself. */
  readonly path: string;
}

/**
 * @param folder absolute, or below the first root.
 * @throws AppError endpoint_refused for what no root holds, and for where files lie until they are whole.
 */
export function recordsFolder(folder: string, roots: readonly string[]): RecordsFolder {
  const [first] = roots;
  const place = isAbsolute(folder) || first === undefined ? folder : join(first, folder);
  for (const root of roots) {
    const path = relative(root, place);
    const isBelow = path !== ".." && !path.startsWith(`..${sep}`) && !isAbsolute(path) && !path.includes("\0");
    if (!isBelow) continue;
    const parts = path.split(sep);
    if (!parts.includes(INCOMING_FOLDER)) return { root, path: parts.join("/") };
    throw new AppError("endpoint_refused", {
      url: folder,
      hint: `${INCOMING_FOLDER} is a folder that Longshore works in`,
    });
  }
  const hint = first === undefined ? "LONGSHORE_RECORD_ROOTS is not set" : "it is not below LONGSHORE_RECORD_ROOTS";
  throw new AppError("endpoint_refused", { url: folder, hint });
}

/** Records of one extraction as files: `docs/formats/record-files.md`. */
export interface RecordFiles {
  /** Durable when it resolves. A family that was there is replaced. @throws AppError storage_full, storage_unavailable. */
  write(families: readonly DescribedFamily[], now: number, signal: AbortSignal): Promise<void>;
  /**
   * Writes the manifest, from what really is there: each file is read back.
   * @param batches all that the crawl found.
   * @param missing is told of each file that is not there.
   */
  finish(batches: AsyncIterable<CrawlBatch>, signal: AbortSignal, missing: (one: Problem) => void): Promise<void>;
}

export function recordFiles(
  target: Target,
  folder: string,
  { id, crawl }: Pick<Extraction, "id" | "crawl">,
  endpoints: readonly Endpoint[],
): RecordFiles {
  const pathOf = (name: string) => (folder === "" ? name : `${folder}/${name}`);

  function documentOf({ id: family, family: found, records }: DescribedFamily, now: number): DetailValue {
    const { seq, endpoint, files, groups, firstGroup } = found;
    const indexes = new Map(files.map(({ path }, index) => [path, index]));
    return {
      family,
      crawl,
      extraction: id,
      endpoint: endpoints[endpoint]?.url ?? null,
      files: files.map(({ place, path, sizeBytes, modifiedAt }) => ({
        file: identityOf(crawl, seq, "file", place),
        path,
        sizeBytes,
        modifiedAt: modifiedAt === null ? null : isoTime(modifiedAt),
      })),
      groups: groups.map(({ kind, details, files: own }, at) => ({
        group: identityOf(crawl, seq, "group", firstGroup + at),
        kind,
        ...(details === undefined ? {} : { details }),
        files: own,
        records: records
          .filter(({ group }) => group === at)
          .map(({ extractor, version, files: taken, data, problems, failure, durationMs }) => ({
            extractor,
            version,
            files: taken.map(({ path }) => indexes.get(path) ?? null),
            data,
            problems: problems.map((one) => ({ ...one })),
            failure: failure && { ...failure },
            durationMs,
          })),
      })),
      describedAt: isoTime(now),
    };
  }

  async function put(files: readonly SmallFile[], signal: AbortSignal): Promise<void> {
    if (target.putAll) return target.putAll(files, signal);
    const bytes = async function* (file: SmallFile) {
      yield file.bytes;
    };
    const puts = mapInOrder(files, PUTS_AT_ONCE, (file) => target.put(file.path, bytes(file), signal));
    for await (const _ of puts) signal.throwIfAborted();
  }

  async function* manifest(batches: AsyncIterable<CrawlBatch>, signal: AbortSignal, missing: (one: Problem) => void) {
    for await (const batch of batches) {
      const names = Array.from(
        familiesIn(batch),
        ({ seq, place }) => `${identityOf(crawl, seq, "family", place)}.json`,
      );
      const facts = mapInOrder(names, READS_AT_ONCE, async (name) => {
        const found = await target.facts(pathOf(name), signal);
        if (!found) missing(problem("object_missing", { path: pathOf(name) }));
        // Two blanks, as sha256sum writes them.
        return found ? `${found.digests.sha256}  ${name}\n` : "";
      });
      let lines = "";
      for await (const line of facts) lines += line;
      if (lines !== "") yield Buffer.from(lines);
    }
  }

  return {
    async write(families, now, signal) {
      const files = families.map((one) => ({
        path: pathOf(`${one.id}.json`),
        bytes: Buffer.from(`${JSON.stringify(documentOf(one, now))}\n`),
      }));
      await put(files, signal);
    },
    async finish(batches, signal, missing) {
      await target.put(pathOf(`manifest-${crawl}.sha256`), manifest(batches, signal, missing), signal);
    },
  };
}
