/** Folders still to be listed, first come, first served: a walk that adds what it finds goes breadth first. */
export interface FolderQueue {
  /** Where the walk was told to begin is not added again when it is found on the way. */
  add(folder: string): void;
  /** The next ones, at most `count`; none when there are none at the moment. */
  take(count: number): readonly string[];
  /** How many there are at the moment, at most. */
  waiting(): number;
}

/**
 * @param starts plain paths below the root, without a `/` at either end; `""` is the root.
 * @param isDone asked when a folder's turn has come; these are left out, with what lies below them.
 */
export function folderQueue(starts: readonly string[], isDone: (folder: string) => boolean): FolderQueue {
  const begun = new Set(starts);
  let waiting: string[] = [...begun];
  let at = 0;
  return {
    add(folder) {
      if (!begun.has(folder)) waiting.push(folder);
    },
    take(count) {
      const taken: string[] = [];
      while (taken.length < count && at < waiting.length) {
        const folder = waiting[at++];
        if (folder !== undefined && !isDone(folder)) taken.push(folder);
      }
      if (at > waiting.length / 2) {
        waiting = waiting.slice(at);
        at = 0;
      }
      return taken;
    },
    waiting: () => waiting.length - at,
  };
}
