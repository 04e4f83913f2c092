/**
 * The word that was probably meant: one that the typed word begins with, or the one that is fewest changed letters away.
 * @returns `undefined` when none is nearer than half the letters of the typed word, three at most.
 */
export function closest(typed: string, words: readonly string[]): string | undefined {
  const lower = typed.toLowerCase();
  const beginning = words.find((word) => lower.startsWith(word) && word.length > 1);
  if (beginning !== undefined) return beginning;
  const allowed = Math.min(3, Math.floor(lower.length / 2));
  const near = words
    .map((word) => ({ word, distance: distance(lower, word) }))
    .filter((one) => one.distance <= allowed)
    .sort((a, b) => a.distance - b.distance);
  return near[0]?.word;
}

/** Letters inserted, removed or replaced to get from one to the other (Levenshtein), row by row. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
