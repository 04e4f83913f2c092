import { Readable } from "node:stream";
import type { ObjectStorage, StagedTree, TreeWriter } from "../../src/core/archive/object-storage.ts";

type Operation = keyof ObjectStorage | `tree.${keyof StagedTree}` | `writer.${keyof TreeWriter}`;

/** One call through the port. */
export interface Step {
  readonly operation: Operation;
  /** The path, prefix or name it is about; `""` when it is about the whole. */
  readonly subject: string;
}

export interface Fault {
  /** Which step it strikes, counted from 1 in the order in which steps begin. */
  readonly step: number;
  /** After the step, what it did stays done: its answer is lost. */
  readonly when: "before" | "after";
  /** An error is what the caller meets; a function is called, for example to kill the process right here. */
  readonly what: Error | (() => void);
}

export interface FaultyStorage extends ObjectStorage {
  /** Every step that has begun, in order: run once without a fault to learn which there are. */
  readonly steps: readonly Step[];
}

/**
 * A storage that behaves as `storage` does, but for one fault.
 * @param watch told of each step as it begins and as it ends well; `number` as {@link Fault.step}.
 */
export function faultyStorage(
  storage: ObjectStorage,
  fault?: Fault,
  watch?: (step: Step, number: number, when: Fault["when"]) => void,
): FaultyStorage {
  const steps: Step[] = [];

  /** Notes the step. @returns what to call at its beginning and its end. */
  function begin(operation: Operation, subject: string): (moment: Fault["when"]) => void {
    const step = { operation, subject };
    const number = steps.push(step);
    const struck = fault?.step === number ? fault : undefined;
    return (moment) => {
      watch?.(step, number, moment);
      if (struck?.when !== moment) return;
      if (struck.what instanceof Error) throw struck.what;
      struck.what();
    };
  }
  async function step<T>(operation: Operation, subject: string, work: () => Promise<T>): Promise<T> {
    const strike = begin(operation, subject);
    strike("before");
    const result = await work();
    try {
      strike("after");
    } catch (error) {
      if (result instanceof Readable) result.destroy(); // nobody will ever have it
      throw error;
    }
    return result;
  }
  async function* steppingThrough<T>(
    operation: Operation,
    subject: string,
    items: AsyncIterable<T>,
  ): AsyncGenerator<T> {
    const strike = begin(operation, subject);
    strike("before");
    yield* items;
    strike("after");
  }

  function faultyTree(tree: StagedTree): StagedTree {
    const { prefix, link } = tree;
    return {
      prefix,
      writer(algorithms) {
        const strike = begin("tree.writer", prefix);
        strike("before");
        const writer = faultyWriter(tree.writer(algorithms));
        strike("after");
        return writer;
      },
      put: (path, bytes) => step("tree.put", path, () => tree.put(path, bytes)),
      ...(link && { link: (path, localPath) => step("tree.link", path, () => link.call(tree, path, localPath)) }),
      open: (path) => step("tree.open", path, () => tree.open(path)),
      remove: (path) => step("tree.remove", path, () => tree.remove(path)),
      list: () => steppingThrough("tree.list", prefix, tree.list()),
      putNote: (name, bytes) => step("tree.putNote", name, () => tree.putNote(name, bytes)),
      openNote: (name) => step("tree.openNote", name, () => tree.openNote(name)),
      sync: () => step("tree.sync", prefix, () => tree.sync()),
      publish: (last) => step("tree.publish", prefix, () => tree.publish(last)),
      discard: () => step("tree.discard", prefix, () => tree.discard()),
    };
  }

  /** A writer's failures come late: `begin` and `end` do not throw them, the next `write` and `finish` reject. */
  function faultyWriter(writer: TreeWriter): TreeWriter {
    let path = "";
    let failure: unknown;
    function call<T>(operation: Operation, work: () => T): T | undefined {
      if (failure) return undefined;
      const strike = begin(operation, path);
      try {
        strike("before");
      } catch (error) {
        failure = error;
        return undefined;
      }
      const result = work();
      try {
        strike("after");
      } catch (error) {
        failure = error;
      }
      return result;
    }
    return {
      begin(next) {
        path = next;
        call("writer.begin", () => writer.begin(next));
      },
      write(chunk) {
        const behind = call("writer.write", () => writer.write(chunk));
        return failure ? Promise.resolve(behind).then(() => Promise.reject(failure)) : behind;
      },
      end() {
        call("writer.end", () => writer.end());
      },
      take: () => writer.take(),
      async finish() {
        if (failure) throw failure;
        return step("writer.finish", "", () => writer.finish());
      },
      abort: () => step("writer.abort", "", () => writer.abort()),
    };
  }

  const { oddities, sizes, gather } = storage;
  return {
    steps,
    stage: (prefix) => step("stage", prefix, async () => faultyTree(await storage.stage(prefix))),
    reopen: (prefix) =>
      step("reopen", prefix, async () => {
        const tree = await storage.reopen(prefix);
        return tree && faultyTree(tree);
      }),
    staged: () => steppingThrough("staged", "", storage.staged()),
    put: (path, bytes) => step("put", path, () => storage.put(path, bytes)),
    open: (path, range) => step("open", path, () => storage.open(path, range)),
    stat: (path) => step("stat", path, () => storage.stat(path)),
    ...(sizes && { sizes: (paths) => step("sizes", "", () => sizes.call(storage, paths)) }),
    ...(gather && {
      gather: (buffer, parts) => step("gather", parts[0]?.path ?? "", () => gather.call(storage, buffer, parts)),
    }),
    list: (prefix) => steppingThrough("list", prefix, storage.list(prefix)),
    ...(oddities && {
      oddities: (prefix) => steppingThrough("oddities", prefix, oddities.call(storage, prefix)),
    }),
    remove: (prefix) => step("remove", prefix, () => storage.remove(prefix)),
    freeBytes: () => step("freeBytes", "", () => storage.freeBytes()),
    close: () => step("close", "", () => storage.close()),
  };
}
