import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import type { Stores } from "../../src/adapters/db/stores.ts";
import type { ObjectStorage } from "../../src/core/archive/object-storage.ts";
import { type Fault, faultyStorage } from "./faulty-storage.ts";

/**
 * What steps are taken through: the storage port, the ports of the database, and, inside of both and of the uploads and
 * the source of a move, the calls that change names in the file system.
 */
export const PARTS = ["storage", "database", "files"] as const;
export type Part = (typeof PARTS)[number];

/** Before or after one step. */
export interface Moment extends Pick<Fault, "step" | "when"> {
  readonly part: Part;
  readonly name: string;
}

/** Watches the steps of this process, and may strike at a moment of one. */
export interface StepWatch {
  /** Every moment so far, in order. */
  readonly moments: readonly Moment[];
  storage(storage: ObjectStorage): ObjectStorage;
  stores(stores: Stores): Stores;
  /** Watches every call from now on until the process ends; the calls themselves go through. */
  files(): void;
}

/**
 * Calls that change nothing, or that a timer makes, too: to die around them is to die at another step. What a claim has
 * changed is there before the step that follows it.
 */
const NOT_STEPS: Readonly<Record<"database" | "storage", readonly string[]>> = {
  database: ["get", "listStarved", "heartbeat", "onAvailable", "claim"],
  storage: ["stat", "open", "list", "reopen", "tree.open", "tree.list", "tree.openNote"],
};
const FILE_CALLS = ["link", "mkdir", "rename", "rm", "rmdir", "unlink", "writeFile"] as const;

/** @param strike called at the moment `strikeAt`, in the midst of whatever is going on. */
export function watchSteps(strikeAt: Omit<Moment, "name"> | undefined, strike: () => void): StepWatch {
  const moments: Moment[] = [];
  const counts = { database: 0, files: 0 };

  function pass(moment: Moment): void {
    moments.push(moment);
    const { part, step, when } = moment;
    if (strikeAt?.part === part && strikeAt.step === step && strikeAt.when === when) strike();
  }

  /** A function that takes one step of `part` and else does what `call` does. */
  const stepping =
    (part: keyof typeof counts, name: string, call: (args: readonly unknown[]) => unknown) =>
    async (...args: readonly unknown[]): Promise<unknown> => {
      const step = ++counts[part];
      pass({ part, step, when: "before", name });
      const result = await call(args);
      pass({ part, step, when: "after", name });
      return result;
    };

  const watched = <Store extends object>(name: string, store: Store): Store =>
    new Proxy(store, {
      get(target, key) {
        const member: unknown = Reflect.get(target, key);
        if (typeof member !== "function" || NOT_STEPS.database.includes(String(key))) return member;
        return stepping("database", `${name}.${String(key)}`, (args) => Reflect.apply(member, target, args));
      },
    });

  return {
    moments,

    storage: (storage) =>
      faultyStorage(storage, undefined, ({ operation, subject }, step, when) => {
        if (NOT_STEPS.storage.includes(operation)) return;
        pass({ part: "storage", step, when, name: `${operation} ${subject}`.trim() });
      }),

    stores: (stores) => ({
      ...stores,
      jobs: watched("jobs", stores.jobs),
      queue: watched("queue", stores.queue),
      catalogue: watched("catalogue", stores.catalogue),
      outbox: watched("outbox", stores.outbox),
      sequences: watched("sequences", stores.sequences),
      audit: watched("audit", stores.audit),
    }),

    files() {
      const calls = FILE_CALLS.map((name) => {
        const real: (...args: never) => unknown = promises[name];
        return [name, stepping("files", name, (args) => Reflect.apply(real, promises, args))] as const;
      });
      Object.assign(promises, Object.fromEntries(calls));
      syncBuiltinESMExports();
    },
  };
}

/**
 * The moments at which a process can die with different things done: before each step that has no other inside it, which
 * is after the one before. Between the end of a step and the beginning of the next nothing is done, but that the client
 * may be told: so of the moments before the `told`th, the last counts too, as does the very last.
 */
export function distinctMoments(moments: readonly Moment[], told: number): readonly Moment[] {
  return moments.filter(({ when }, index) => {
    const next = moments[index + 1];
    return index === told - 1 || next === undefined || (when === "before" && next.when === "after");
  });
}
