import type { Family, Group } from "./groups.ts";

/**
 * Groups that share files, directly or by way of others, travel together, so that each file travels once. Families are in
 * the order of their first groups, and so are groups and files in them. Union by rank with halved paths: near linear in the
 * groups' files.
 * @param sizes in bytes, of all files that groups name: one for each file of the folder.
 */
export function familiesOf(groups: readonly Group[], sizes: readonly number[]): readonly Family[] {
  const parents = Array.from(groups, (_, group) => group);
  const ranks = new Uint8Array(groups.length);

  function rootOf(group: number): number {
    let at = group;
    for (;;) {
      const parent = parents[at] ?? at;
      if (parent === at) return at;
      const above = parents[parent] ?? parent;
      parents[at] = above;
      at = above;
    }
  }

  function unite(a: number, b: number): void {
    const [x, y] = [rootOf(a), rootOf(b)];
    if (x === y) return;
    const [upper, lower] = (ranks[x] ?? 0) < (ranks[y] ?? 0) ? [y, x] : [x, y];
    if (ranks[upper] === ranks[lower]) ranks[upper] = (ranks[upper] ?? 0) + 1;
    parents[lower] = upper;
  }

  /** The first group that has a file, counted from 1; 0 for none. */
  const holders = new Uint32Array(sizes.length);
  for (const [group, { files }] of groups.entries()) {
    for (const file of files) {
      const holder = holders[file] ?? 0;
      if (holder === 0) holders[file] = group + 1;
      else unite(holder - 1, group);
    }
  }
  return [...Map.groupBy(groups.keys(), rootOf).values()].map((members) => familyOf(members, groups, sizes));
}

/**
 * Parts of a family of at most `mostBytes` each, as far as its groups are: a group is never separated, and one that is larger
 * by itself is a part by itself. A file of groups in several parts travels with each of them. Each group joins the part with
 * which it shares most bytes and still fits; greedily, as the least total would take exponential time. Time: groups' files,
 * and for each group the parts that share with it.
 */
export function splitFamily(
  family: Family,
  groups: readonly Group[],
  sizes: readonly number[],
  mostBytes: number,
): readonly Family[] {
  if (family.sizeBytes <= mostBytes || family.groups.length === 1) return [family];
  const parts: { readonly members: number[]; readonly files: Set<number>; sizeBytes: number }[] = [];
  /** Parts by file. */
  const holders = new Map<number, number[]>();

  for (const group of family.groups) {
    const files = [...new Set(groups[group]?.files)];
    const sizeBytes = bytesOf(files, sizes);
    const shared = new Map<number, number>();
    for (const file of files) {
      for (const part of holders.get(file) ?? []) shared.set(part, (shared.get(part) ?? 0) + (sizes[file] ?? 0));
    }
    const fitting = [...shared].filter(([at, bytes]) => (parts[at]?.sizeBytes ?? 0) + sizeBytes - bytes <= mostBytes);
    const [best] = fitting.toSorted((a, b) => b[1] - a[1]);
    const at = best?.[0] ?? parts.length;
    const part = parts[at] ?? { members: [], files: new Set<number>(), sizeBytes: 0 };
    if (at === parts.length) parts.push(part);
    part.members.push(group);
    for (const file of files) {
      if (part.files.has(file)) continue;
      part.files.add(file);
      part.sizeBytes += sizes[file] ?? 0;
      holders.set(file, [...(holders.get(file) ?? []), at]);
    }
  }
  return parts.map(({ members }) => familyOf(members, groups, sizes));
}

function familyOf(members: readonly number[], groups: readonly Group[], sizes: readonly number[]): Family {
  const all =
    members.length === 1 ? groups[members[0] ?? 0]?.files : members.flatMap((group) => groups[group]?.files ?? []);
  const files = [...new Set(all)];
  return { groups: members, files, sizeBytes: bytesOf(files, sizes) };
}

function bytesOf(files: readonly number[], sizes: readonly number[]): number {
  return files.reduce((sum, file) => sum + (sizes[file] ?? 0), 0);
}
