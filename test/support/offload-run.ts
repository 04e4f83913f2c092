/**
 * A process that works on offloads until it is killed: `node offload-run.ts <SQLite file> <base of the folders> <lease in ms>`.
 * It is a little slow, so that there are moments to kill it in.
 */
import { setTimeout } from "node:timers/promises";
import { localStores, openOffloadServices, wrapped } from "./offloading.ts";

const [path = "", base = "", leaseMs] = process.argv.slice(2);
const { work } = await openOffloadServices({
  ...wrapped(localStores(base), {
    target: (target) => ({
      ...target,
      async put(...words) {
        await setTimeout(100);
        return target.put(...words);
      },
      async remove(file) {
        await setTimeout(20);
        await target.remove(file);
      },
    }),
  }),
  path,
  leaseMs: Number(leaseMs),
});
work();
