import type { Readable } from "node:stream";
import type { StagedTree, TreeWriter } from "../../../core/archive/object-storage.ts";
import type { DigestName } from "../../../core/digest.ts";
import { AppError } from "../../../core/errors.ts";
import { eachAtOnce } from "../../../core/streams.ts";
import type { S3Store } from "../../s3/client.ts";
import { headOf, putObject, sendObject } from "../../s3/send.ts";
import type { Bucket } from "./bucket.ts";
import { treeKeys } from "./layout.ts";
import { exists, pathsOf, type Trees } from "./trees.ts";

const COPIES_AT_ONCE = 8;

export interface S3TreeParts {
  readonly store: S3Store;
  readonly bucket: Bucket;
  readonly trees: Trees;
  /** Files without which nobody takes the tree for complete: they are at their place when it is published, not before. */
  readonly isHeldBack: (path: string) => boolean;
  readonly open: (key: string, path: string) => Promise<Readable>;
  readonly writer: (algorithms: readonly DigestName[], keyOf: (path: string) => string) => TreeWriter;
}

/** A tree under way, in whichever process; see `layout.ts`. */
export function s3StagedTree(parts: S3TreeParts, prefix: string): StagedTree {
  const { store, bucket, trees, isHeldBack, open, writer } = parts;
  const keys = treeKeys(prefix);
  const keyOf = (path: string) => (isHeldBack(path) ? keys.held(path) : `${prefix}/${path}`);
  const writers = new Set<TreeWriter>();

  /** @throws AppError stage_missing when the tree has been published or discarded, by whomever. */
  async function requireStaged(): Promise<void> {
    if ((await trees.state(prefix)) !== "staged") throw new AppError("stage_missing", { prefix });
  }

  async function* filesBelow(below: string) {
    for await (const { path, sizeBytes } of bucket.list(below)) yield { path: path.slice(below.length), sizeBytes };
  }

  /** Puts a file that was held back at its place. What is there already is of a process that died after this very step. */
  async function putInPlace(path: string): Promise<void> {
    const [key, place] = [keys.held(path), `${prefix}/${path}`];
    const put = async (onlyIf?: "absent") => sendObject(store, place, await open(key, path), { onlyIf });
    if ((await put("absent")) !== undefined) return;
    const [there, held] = await Promise.all([headOf(store, place), headOf(store, key)]);
    if (held !== undefined && there?.etag === held.etag) return;
    await requireStaged();
    await put();
  }

  return {
    prefix,

    writer(algorithms) {
      const begun = writer(algorithms, keyOf);
      writers.add(begun);
      return begun;
    },

    async put(path, bytes) {
      await requireStaged();
      if (bytes instanceof Uint8Array) await putObject(store, keyOf(path), bytes);
      else await sendObject(store, keyOf(path), bytes);
    },

    open: (path) => open(keyOf(path), path),

    async remove(path) {
      await bucket.remove([keyOf(path)]);
    },

    async *list() {
      yield* filesBelow(`${prefix}/`);
      yield* filesBelow(keys.held(""));
    },

    async putNote(name, bytes) {
      await requireStaged();
      await sendObject(store, keys.note(name), bytes);
    },

    async openNote(name) {
      try {
        return await open(keys.note(name), name);
      } catch (error) {
        if (error instanceof AppError && error.code === "object_missing") return undefined;
        throw error;
      }
    },

    /** What has been written has been acknowledged, and is durable. */
    async sync() {},

    async publish(last) {
      if ((await trees.state(prefix)) !== "staged") throw await gone();
      const held = await Array.fromAsync(filesBelow(keys.held("")), ({ path }) => path);
      const others = held.filter((path) => !last.includes(path));
      await eachAtOnce(others, () => COPIES_AT_ONCE, putInPlace);
      for (const path of last) if (held.includes(path)) await putInPlace(path);
      if (!(await trees.publish(prefix))) throw exists(prefix);
      await bucket.abandonParts(`${prefix}/`);
      await trees.end(prefix);
    },

    async discard() {
      await Promise.all([...writers].map((one) => one.abort()));
      if ((await trees.state(prefix)) !== "staged") return;
      await bucket.abandonParts(`${prefix}/`);
      await bucket.remove(pathsOf(bucket.list(`${prefix}/`)));
      await trees.end(prefix);
    },
  };

  async function gone(): Promise<AppError> {
    const { found } = await bucket.page(`${prefix}/`, { most: 1 });
    return found.length > 0 ? exists(prefix) : new AppError("stage_missing", { prefix });
  }
}
