import { type Drop, type DropEntry, isPlainName } from "./drop.ts";

/** Entries of a drop folder's top level that would be one delivery. */
export interface Candidate {
  readonly name: string;
  readonly entries: readonly DropEntry[];
  /** Of the grammar, from its first entry. */
  readonly groups: Readonly<Record<string, string>>;
  /** What is not there yet; a sentence. */
  readonly waitsFor: string | null;
  /** Why it can never be taken; a sentence. */
  readonly objection: string | null;
}

/** Names that programs give to what they are still writing. */
const UNFINISHED = /\.(part|partial|filepart|tmp|temp|crdownload|swp|upload|incomplete)$|~$/i;
const CHECKSUM = /\.(md5|sha1|sha256|sha512)$/i;

export const isUnfinished = (path: string): boolean => UNFINISHED.test(path);

/**
 * Sorts what lies at the top level into deliveries. Names that begin with a dot are nobody's: programs hide there what they
 * are still writing, and so do we.
 */
export function candidates(
  drop: Pick<Drop, "grammar" | "manifest">,
  entries: readonly DropEntry[],
): readonly Candidate[] {
  const visible = entries
    .filter(({ path }) => !path.startsWith(".") && !path.startsWith("?/."))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const names = new Set(visible.map(({ path }) => path));
  const sidecarsOf = new Map<string, DropEntry[]>();
  const things: DropEntry[] = [];
  for (const entry of visible) {
    const of = drop.manifest !== "none" && entry.kind === "file" ? entry.path.replace(CHECKSUM, "") : entry.path;
    if (of === entry.path) things.push(entry);
    else if (names.has(of)) sidecarsOf.set(of, [...(sidecarsOf.get(of) ?? []), entry]);
    else things.push(entry);
  }
  const single: Candidate[] = [];
  const parts = new Map<string, Part[]>();
  for (const entry of things) {
    const one = candidate(drop, entry, sidecarsOf.get(entry.path) ?? []);
    if ("thing" in one) parts.set(one.thing, [...(parts.get(one.thing) ?? []), one]);
    else single.push(one);
  }
  return [...single, ...[...parts].map(([name, found]) => joined(name, found))];
}

interface Part extends Candidate {
  /** What it is a part of: the name with `*` for the number. */
  readonly thing: string;
  readonly number: number;
  readonly count: number;
}

function candidate(
  { grammar, manifest }: Pick<Drop, "grammar" | "manifest">,
  entry: DropEntry,
  sidecars: readonly DropEntry[],
): Candidate | Part {
  const name = entry.path;
  const base = { name, entries: [entry, ...sidecars], groups: {}, waitsFor: null, objection: null };
  if (!isPlainName(name)) return { ...base, objection: "Its name is not UTF-8." };
  if (entry.kind === "other")
    return { ...base, objection: "It is neither a file nor a folder, but a link or a special file." };
  if (isUnfinished(name)) return { ...base, waitsFor: "Its name says that it is still being written." };
  if (manifest !== "none" && entry.kind === "file" && CHECKSUM.test(name))
    return { ...base, waitsFor: `The file that it is the checksum of, ${name.replace(CHECKSUM, "")}, is not there.` };
  if (manifest === "required" && entry.kind === "file" && sidecars.length === 0)
    return { ...base, waitsFor: "There is no file with its checksum." };
  const match = grammar?.exec(name);
  if (grammar && !match) return { ...base, objection: "Its name does not follow the grammar of the drop folder." };
  const groups = Object.fromEntries(
    Object.entries(match?.groups ?? {}).flatMap(([group, value]) => (value === undefined ? [] : [[group, value]])),
  );
  const at = match?.indices?.groups?.part;
  const { part, parts } = groups;
  if (!at || part === undefined || parts === undefined) return { ...base, groups };
  const number = /^\d{1,4}$/.test(part) ? Number(part) : 0;
  const count = /^\d{1,4}$/.test(parts) ? Number(parts) : 0;
  if (number < 1 || number > count) return { ...base, groups, objection: `It cannot be part ${part} of ${parts}.` };
  const thing = `${name.slice(0, at[0])}*${name.slice(at[1])}`;
  return { ...base, groups, thing, number, count };
}

/** The parts of one thing as one delivery. The text `parts` is in the name that they share: all have the same. */
function joined(name: string, found: readonly Part[]): Candidate {
  const sorted = found.toSorted((a, b) => a.number - b.number);
  const [first] = sorted;
  const missing: number[] = [];
  for (let number = 1; number <= (first?.count ?? 0); number++)
    if (!sorted.some((part) => part.number === number)) missing.push(number);
  const twice = sorted.find((part, i) => part.number === sorted[i - 1]?.number);
  return {
    name,
    entries: sorted.flatMap(({ entries }) => entries),
    groups: first?.groups ?? {},
    waitsFor:
      missing.length > 0
        ? `Of ${first?.count} parts, ${listed(missing)} not there.`
        : (sorted.find(({ waitsFor }) => waitsFor !== null)?.waitsFor ?? null),
    objection: twice ? `There are several of part ${twice.number}.` : null,
  };
}

function listed(numbers: readonly number[]): string {
  const shown = numbers.slice(0, 10).join(", ");
  const more = numbers.length > 10 ? ` and ${numbers.length - 10} more` : "";
  return `${shown}${more} ${numbers.length === 1 ? "is" : "are"}`;
}
