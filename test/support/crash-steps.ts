import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import type { Stores } from "../../src/adapters/db/stores.ts";
import type { Fault } from "./faulty-storage.ts";

/** Calls that change nothing, or that only a timer makes: to die around them is to die at the step before or after. */
const NOT_A_STEP = ["get", "listStarved", "heartbeat", "onAvailable"];

/** What a deposit does on the disk by name; what it writes into files goes through the storage's writer. */
const FILE_CALLS = ["link", "mkdir", "rename", "rm", "rmdir", "unlink", "writeFile"] as const;

/** Counts steps from 1, each with a name, and strikes at one of them. */
function stepCounter(fault: Fault | undefined) {
  const steps: string[] = [];
  return {
    steps,
    async step<T>(name: string, work: () => Promise<T>): Promise<T> {
      steps.push(name);
      const struck = fault?.step === steps.length ? fault : undefined;
      const strike = () => {
        if (struck?.what instanceof Error) throw struck.what;
        struck?.what();
      };
      if (struck?.when === "before") strike();
      const result = await work();
      if (struck?.when === "after") strike();
      return result;
    },
  };
}

/** The same stores, but for one fault. */
export function faultyStores(
  stores: Stores,
  fault?: Fault,
): { readonly stores: Stores; readonly steps: readonly string[] } {
  const { steps, step } = stepCounter(fault);
  const counted = <Store extends object>(name: string, store: Store): Store =>
    new Proxy(store, {
      get(target, key) {
        const member: unknown = Reflect.get(target, key);
        if (typeof member !== "function" || NOT_A_STEP.includes(String(key))) return member;
        return (...args: readonly unknown[]) =>
          step(`${name}.${String(key)}`, async () => Reflect.apply(member, target, args));
      },
    });
  return {
    steps,
    stores: {
      ...stores,
      jobs: counted("jobs", stores.jobs),
      queue: counted("queue", stores.queue),
      catalogue: counted("catalogue", stores.catalogue),
      outbox: counted("outbox", stores.outbox),
      sequences: counted("sequences", stores.sequences),
      audit: counted("audit", stores.audit),
    },
  };
}

/**
 * Counts every call by which the main thread of this process changes names in the file system, from now until the
 * process ends; the calls themselves go through. It looks inside what the storage, the uploads and the source of a move
 * do as one step.
 */
export function faultyFileCalls(fault?: Fault): { readonly steps: readonly string[] } {
  const { steps, step } = stepCounter(fault);
  const counted = FILE_CALLS.map((name) => {
    const call: (...args: never) => Promise<unknown> = promises[name];
    return [name, (...args: readonly unknown[]) => step(name, () => Reflect.apply(call, promises, args))];
  });
  Object.assign(promises, Object.fromEntries(counted));
  syncBuiltinESMExports();
  return { steps };
}
