/**
 * A process that answers what is due and runs it, until it has counted to a step and is killed there:
 * `node schedule-run.ts <SQLite file> <outputs> <step>`. Without being killed, it ends when nothing is left to do, and prints
 * the steps that it has taken.
 */
import type { Stores } from "../../src/adapters/db/stores.ts";
import { tick } from "../../src/core/schedules/scheduler.ts";
import { openScheduling } from "./scheduling.ts";
import { until } from "./until.ts";

const [path = "", outputs = "", killAt] = process.argv.slice(2);
const steps: string[] = [];

/** Each call that changes something is two steps: before it, and after it. */
function step(name: string): void {
  if (steps.push(name) === Number(killAt)) process.kill(process.pid, "SIGKILL");
}

function watched<Store extends object>(name: string, store: Store, changes: readonly (keyof Store & string)[]): Store {
  return new Proxy(store, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key);
      if (typeof member !== "function" || !(changes as readonly unknown[]).includes(key)) return member;
      return async (...args: readonly unknown[]) => {
        step(`before ${name}.${String(key)}`);
        const answer: unknown = await Reflect.apply(member, target, args);
        step(`after ${name}.${String(key)}`);
        return answer;
      };
    },
  });
}

const wrap = (stores: Stores): Stores => ({
  ...stores,
  schedules: watched("schedules", stores.schedules, ["fire", "begin", "finish"]),
  jobs: watched("jobs", stores.jobs, ["update"]),
  sequences: watched("sequences", stores.sequences, ["reserve"]),
});

const scheduling = await openScheduling({ path, outputs, leaseMs: 500, wrap });
await tick(scheduling.loop);
scheduling.work();
await until("nothing is left to do", async () => {
  const { queued, running } = await scheduling.stores.jobs.countOpen();
  return queued + running === 0 && steps.at(-1) === "after jobs.update";
});
await scheduling.close();
console.log(JSON.stringify(steps));
