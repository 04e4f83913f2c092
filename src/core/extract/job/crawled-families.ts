import type { CrawlBatch, CrawledFile } from "../../crawl/crawl.ts";
import type { Details } from "../../errors.ts";

/** A family as a crawl found it, by itself. */
export interface CrawledFamily {
  readonly seq: number;
  /** Of all families of its batch. */
  readonly place: number;
  /** Place of its first group, of all groups of its batch. */
  readonly firstGroup: number;
  readonly endpoint: number;
  readonly files: readonly FamilyFile[];
  readonly groups: readonly FamilyGroup[];
}

export interface FamilyFile extends CrawledFile {
  /** Of all files of its batch. */
  readonly place: number;
  /** Below the endpoint's URL. */
  readonly path: string;
}

export interface FamilyGroup {
  /** Indexes into the family's files. */
  readonly files: readonly number[];
  readonly kind: string;
  readonly details?: Details;
}

const ALONE: readonly FamilyGroup[] = [{ files: [0], kind: "file" }];

/** The families of a batch, in its order. */
export function* familiesIn({ seq, endpoint, folder, files, families }: CrawlBatch): Generator<CrawledFamily> {
  const prefix = folder === "" ? "" : `${folder}/`;
  const fileAt = (place: number): FamilyFile => {
    const file = files[place];
    if (file === undefined) throw new RangeError(`Batch ${seq} has no file ${place}.`);
    return { ...file, place, path: `${prefix}${file.name}` };
  };
  if (families === null) {
    for (const place of files.keys())
      yield { seq, place, firstGroup: place, endpoint, files: [fileAt(place)], groups: ALONE };
    return;
  }
  let firstGroup = 0;
  for (const [place, { groups }] of families.entries()) {
    const own = [...new Set(groups.flatMap((group) => group.files))];
    const indexes = new Map(own.map((file, index) => [file, index]));
    yield {
      seq,
      place,
      firstGroup,
      endpoint,
      files: own.map(fileAt),
      groups: groups.map((group) => ({ ...group, files: group.files.map((file) => indexes.get(file) ?? 0) })),
    };
    firstGroup += groups.length;
  }
}
