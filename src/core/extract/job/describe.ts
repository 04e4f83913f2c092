import { identityOf } from "../../crawl/identities.ts";
import { problem } from "../../errors.ts";
import type { CrawlId } from "../../ids.ts";
import { eachAtOnce } from "../../streams.ts";
import type { AwaitedExtractor } from "../awaited.ts";
import { chooseExtractors } from "../choose.ts";
import type { RecordedFile } from "../extraction.ts";
import type { Described } from "../extraction-store.ts";
import type { ExtractFile } from "../extractor.ts";
import type { ExtractFailure, Outcome, Sandbox } from "../sandbox.ts";
import { SNIFFER } from "../sniff.ts";
import type { CrawledFamily, FamilyFile } from "./crawled-families.ts";
import type { LocalPlace, PlacedFamily } from "./place-files.ts";

/** Files whose kind one run of the sandbox tells. */
const SNIFFED_AT_ONCE = 256;
/** What one run of the sandbox describes: little enough for all processes to have something to do until the end. */
const TASKS_AT_ONCE = 64;
const BYTES_AT_ONCE = 64 * 1024 * 1024;

/** A file of an unreadable one's kind: by its name alone. */
const UNKNOWN_TYPE = "application/octet-stream";

export type NewRecord = Described["records"][number];

export interface DescribedFamily {
  readonly id: string;
  readonly family: CrawledFamily;
  /** Of its groups, in their order; none for a group that no extractor takes. */
  readonly records: readonly NewRecord[];
  /** Groups that no extractor takes. */
  readonly unknown: number;
}

export interface DescribingParts {
  readonly crawl: CrawlId;
  readonly extractors: readonly AwaitedExtractor[];
  readonly sandbox: Sandbox;
  /** Told as soon as it is known how many tasks there are. */
  onTasks(tasks: number): void;
  /** For what all records together may take, in characters: those that find none left have failed. */
  readonly room: { chars: number };
  readonly signal: AbortSignal;
}

/** One group for one extractor. */
interface Task {
  readonly family: number;
  readonly group: number;
  readonly extractor: AwaitedExtractor;
  /** All files that it takes of the group, as indexes into the family's. */
  readonly files: readonly number[];
  readonly readable: readonly ExtractFile[];
  outcome: Outcome | { readonly reason: "unreadable"; readonly message: string };
}

const NOT_RUN: ExtractFailure = { reason: "died", message: "The sandbox gave no outcome." };

/**
 * Describes families whose files have a place: looks what each file is, chooses who describes it, and lets them. Whatever
 * goes wrong with a file or a group is in its record.
 * @throws AppError internal when processes cannot be started; the signal's reason.
 */
export async function describeFamilies(
  families: readonly PlacedFamily[],
  { crawl, extractors, sandbox, onTasks, room, signal }: DescribingParts,
): Promise<readonly DescribedFamily[]> {
  const kinds = await kindsOf(families, sandbox, signal);
  const tasks = families.flatMap((family, index) => tasksOf(family, index, kinds[index] ?? [], extractors));
  onTasks(tasks.length + unknownGroups(families, tasks));
  await eachAtOnce(
    runsOf(tasks),
    () => Number.POSITIVE_INFINITY,
    async (run, stop) => {
      const extractor = run[0]?.extractor.name ?? "";
      const either = AbortSignal.any([signal, stop]);
      let at = 0;
      for await (const outcome of sandbox.run({ extractor, groups: run.map((one) => one.readable), signal: either })) {
        const task = run[at++];
        if (task) task.outcome = fitting(outcome, room);
      }
    },
  );
  const byFamily = Map.groupBy(tasks, ({ family }) => family);
  return families.map((family, index) => {
    const own = byFamily.get(index) ?? [];
    const id = identityOf(crawl, family.seq, "family", family.place);
    const { places: _, ...crawled } = family;
    return {
      id,
      family: crawled,
      records: own.map((task) => recordOf(task, id, family)),
      unknown: family.groups.length - new Set(own.map(({ group }) => group)).size,
    };
  });
}

/** What each file is, by family, or why it cannot be read. */
async function kindsOf(
  families: readonly PlacedFamily[],
  sandbox: Sandbox,
  signal: AbortSignal,
): Promise<readonly (readonly Kind[])[]> {
  const kinds = families.map(({ places }): Kind[] => places.map((place) => ("unreadable" in place ? place : NO_KIND)));
  const asked = families.flatMap(({ files, places }, family) =>
    places.flatMap((place, index) => {
      const file = files[index];
      return file && "localPath" in place ? [{ family, index, file: extractFile(file, place) }] : [];
    }),
  );
  const runs = Array.from({ length: Math.ceil(asked.length / SNIFFED_AT_ONCE) }, (_, run) =>
    asked.slice(run * SNIFFED_AT_ONCE, (run + 1) * SNIFFED_AT_ONCE),
  );
  await eachAtOnce(
    runs,
    () => Number.POSITIVE_INFINITY,
    async (run, stop) => {
      const either = AbortSignal.any([signal, stop]);
      const groups = run.map(({ file }) => [file]);
      let at = 0;
      for await (const outcome of sandbox.run({ extractor: SNIFFER, groups, signal: either })) {
        const one = run[at++];
        const own = one && kinds[one.family];
        if (one && own) own[one.index] = kindOf(outcome);
      }
    },
  );
  return kinds;
}

type Kind = { readonly mediaType: string } | { readonly unreadable: string };
const NO_KIND: Kind = { unreadable: "it was not looked at" };

function kindOf(outcome: Outcome): Kind {
  if ("reason" in outcome) return { unreadable: outcome.message };
  const { mediaType, unreadable } = outcome.result.data;
  return typeof mediaType === "string" ? { mediaType } : { unreadable: String(unreadable) };
}

function tasksOf(
  { groups, files, places }: PlacedFamily,
  family: number,
  kinds: readonly Kind[],
  extractors: readonly AwaitedExtractor[],
): readonly Task[] {
  return groups.flatMap((group, at) => {
    const taken = new Map<AwaitedExtractor, number[]>();
    for (const index of group.files) {
      const kind = kinds[index] ?? NO_KIND;
      const mediaType = "mediaType" in kind ? kind.mediaType : UNKNOWN_TYPE;
      for (const extractor of chooseExtractors(extractors, mediaType, files[index]?.name ?? "")) {
        const own = taken.get(extractor);
        if (own) own.push(index);
        else taken.set(extractor, [index]);
      }
    }
    return [...taken].map(([extractor, indexes]): Task => {
      const readable = indexes.flatMap((index) => {
        const [file, place] = [files[index], places[index]];
        return file && place && "localPath" in place && "mediaType" in (kinds[index] ?? NO_KIND)
          ? [extractFile(file, place)]
          : [];
      });
      const outcome = readable.length > 0 ? NOT_RUN : unreadableOutcome(indexes, kinds);
      return { family, group: at, extractor, files: indexes, readable, outcome };
    });
  });
}

function unreadableOutcome(indexes: readonly number[], kinds: readonly Kind[]): Task["outcome"] {
  const kind = kinds[indexes[0] ?? 0] ?? NO_KIND;
  const others = indexes.length === 1 ? "" : ` This is said of the first of ${indexes.length} files.`;
  return { reason: "unreadable", message: `${"unreadable" in kind ? kind.unreadable : ""}${others}` };
}

function extractFile({ name, sizeBytes }: FamilyFile, { localPath }: LocalPlace): ExtractFile {
  return { localPath, name, sizeBytes };
}

function unknownGroups(families: readonly PlacedFamily[], tasks: readonly Task[]): number {
  const groups = families.reduce((sum, family) => sum + family.groups.length, 0);
  return groups - new Set(tasks.map(({ family, group }) => `${family} ${group}`)).size;
}

/** Tasks of one extractor each, as many as one run is to have. */
function* runsOf(tasks: readonly Task[]): Generator<readonly Task[]> {
  const byExtractor = Map.groupBy(
    tasks.filter(({ readable }) => readable.length > 0),
    ({ extractor }) => extractor,
  );
  for (const own of byExtractor.values()) {
    let run: Task[] = [];
    let bytes = 0;
    for (const task of own) {
      run.push(task);
      bytes += task.readable.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      if (run.length < TASKS_AT_ONCE && bytes < BYTES_AT_ONCE) continue;
      yield run;
      run = [];
      bytes = 0;
    }
    if (run.length > 0) yield run;
  }
}

function fitting(outcome: Outcome, room: { chars: number }): Outcome {
  if ("reason" in outcome) return outcome;
  if (outcome.sizeChars > room.chars)
    return { reason: "output", message: "The record is too large beside those of the files around it." };
  room.chars -= outcome.sizeChars;
  return outcome;
}

function recordOf({ group, extractor, files, readable, outcome }: Task, id: string, family: PlacedFamily): NewRecord {
  const about = {
    family: id,
    group,
    groupKind: family.groups[group]?.kind ?? "",
    extractor: extractor.name,
    version: extractor.version,
    files: files.flatMap((index) => recordedFile(family, index)),
  };
  if ("reason" in outcome) return { ...about, data: null, problems: [], failure: outcome, durationMs: 0 };
  const { result, durationMs } = outcome;
  const left = files.length - readable.length;
  const hint = `${left} of the group's ${files.length} files`;
  const problems = left === 0 ? result.problems : [...result.problems, problem("entry_unreadable", { hint })];
  return { ...about, data: result.data, problems, failure: null, durationMs };
}

function recordedFile({ endpoint, files }: PlacedFamily, index: number): readonly RecordedFile[] {
  const file = files[index];
  return file ? [{ endpoint, path: file.path, sizeBytes: file.sizeBytes }] : [];
}
