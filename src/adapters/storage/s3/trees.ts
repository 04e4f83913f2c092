import { randomUUID } from "node:crypto";
import { AppError } from "../../../core/errors.ts";
import type { S3Store } from "../../s3/client.ts";
import { putObject } from "../../s3/send.ts";
import { STAGING } from "../fs/layout.ts";
import type { Bucket } from "./bucket.ts";
import { foldersOf, markerOf, TREES, treeKeys } from "./layout.ts";

/** Folders known to be visible; some 10 MB of names. */
const FOLDERS_KNOWN = 50_000;

/** Which trees are under way, whoever began them: objects in the bucket say so, and every process sees them. */
export interface Trees {
  /** @returns false when somebody has begun it and not ended it. */
  begin(prefix: string): Promise<boolean>;
  state(prefix: string): Promise<"absent" | "staged" | "published">;
  /** Everything under way. */
  staged(): Promise<ReadonlySet<string>>;
  /** Makes the tree visible. @returns false when somebody else has, or has removed it. */
  publish(prefix: string): Promise<boolean>;
  /** Forgets a tree that is published, or whose files have been removed, with what lies beside it. */
  end(prefix: string): Promise<void>;
  /** Prefixes that were published by a process that died before it ended them. */
  unfinished(): Promise<readonly string[]>;
  /**
   * Which of these files, which exist, are visible. Asks at most once, and not for folders that had a visible file before:
   * no tree is begun around one.
   */
  visible(paths: readonly string[]): Promise<(path: string) => boolean>;
  /** @throws AppError storage_unavailable when the server writes over what it was asked to leave: nothing would be safe. */
  requireConditions(): Promise<void>;
  /** Files have been removed: what was known of folders no longer holds. */
  forget(): void;
}

export function s3Trees(store: S3Store, bucket: Bucket): Trees {
  const known = new Set<string>();
  let asking: Promise<ReadonlySet<string>> | undefined;
  let waiting: Promise<ReadonlySet<string>> | undefined;

  async function markers(below = TREES): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    const found = new Map<string, Set<string>>();
    for await (const { path } of bucket.list(below)) {
      const { prefix, state } = markerOf(path);
      found.set(prefix, (found.get(prefix) ?? new Set()).add(state));
    }
    return found;
  }
  async function withState(isWanted: (states: ReadonlySet<string>) => boolean): Promise<readonly string[]> {
    return [...(await markers())].filter(([, states]) => isWanted(states)).map(([prefix]) => prefix);
  }
  const staged = async () => new Set(await withState((states) => states.has("staged") && !states.has("published")));

  /** What a listing says that begins now or later: many who ask at once share one. */
  function stagedFromNow(): Promise<ReadonlySet<string>> {
    const begin = () => {
      waiting = undefined;
      const mine = staged().finally(() => {
        if (asking === mine) asking = undefined;
      });
      asking = mine;
      return mine;
    };
    if (!asking) return begin();
    waiting ??= asking.then(begin, begin);
    return waiting;
  }

  async function state(prefix: string): Promise<"absent" | "staged" | "published"> {
    const { staged } = treeKeys(prefix);
    const states = (await markers(staged.slice(0, -"staged".length))).get(prefix);
    return states?.has("published") ? "published" : states ? "staged" : "absent";
  }

  return {
    state,
    staged,
    unfinished: () => withState((states) => states.has("published")),

    async begin(prefix) {
      return (await putObject(store, treeKeys(prefix).staged, token(), { onlyIf: "absent" })) !== undefined;
    },

    async publish(prefix) {
      const { published, staged } = treeKeys(prefix);
      if ((await putObject(store, published, token(), { onlyIf: "absent" })) === undefined) return false;
      const { found } = await bucket.page(staged, { most: 1 });
      if (found.length > 0) return true;
      // Another process had published the tree, and ended it, before this one was here.
      await bucket.remove([published]);
      return false;
    },

    async end(prefix) {
      const { beside, staged, published } = treeKeys(prefix);
      await bucket.remove(pathsOf(bucket.list(beside)));
      await bucket.remove([staged]);
      await bucket.remove([published]);
    },

    async visible(paths) {
      const folders = new Set(paths.flatMap(foldersOf));
      const unknown = [...folders].filter((folder) => !known.has(folder));
      if (unknown.length === 0) return () => true;
      const hidden = await stagedFromNow();
      if (known.size + unknown.length > FOLDERS_KNOWN) known.clear();
      const isVisible = (path: string) => !foldersOf(path).some((folder) => hidden.has(folder));
      for (const path of paths) if (isVisible(path)) for (const folder of foldersOf(path)) known.add(folder);
      return isVisible;
    },

    async requireConditions() {
      const path = `${STAGING}/conditions-${randomUUID()}`;
      await putObject(store, path, token());
      const again = await putObject(store, path, token(), { onlyIf: "absent" });
      await bucket.remove([path]);
      if (again === undefined) return;
      const hint = "the server does not heed If-None-Match, without which two processes could write over each other";
      throw new AppError("storage_unavailable", { hint });
    },

    forget: () => known.clear(),
  };
}

/** Tells our own marker from anybody else's when the answer to writing it was lost. */
const token = () => Buffer.from(`${randomUUID()}\n`);

export async function* pathsOf(files: AsyncIterable<{ readonly path: string }>): AsyncGenerator<string> {
  for await (const { path } of files) yield path;
}

export function exists(path: string): AppError {
  return new AppError("object_exists", { path });
}
