import type { QueuedKind } from "../jobs/job-store.ts";
import type { Node } from "./nodes.ts";

/** Kinds of jobs that wait in a lane while no node that lives takes them from it: they wait for one that does. */
export const unservedOf = (queued: readonly QueuedKind[], nodes: readonly Node[]): readonly QueuedKind[] =>
  queued.filter(({ kind, lane }) => !nodes.some((node) => node.isAlive && node.lanes[lane] > 0 && takes(node, kind)));

const takes = ({ tasks }: Node, kind: string) => tasks === null || tasks.includes(kind);

/** A round of upkeep: tells what nobody takes when that has become something else, and when it is over. */
export function unservedWatch(
  unserved: () => Promise<readonly QueuedKind[]>,
  tell: (kinds: readonly QueuedKind[]) => void,
): () => Promise<void> {
  let told = "";
  return async () => {
    const kinds = await unserved();
    const found = kinds.map(({ lane, kind }) => `${lane} ${kind}`).join();
    if (found === told) return;
    told = found;
    tell(kinds);
  };
}
