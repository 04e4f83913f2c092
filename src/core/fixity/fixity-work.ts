import type { BuiltIns } from "../schedules/built-in.ts";
import type { Fixity } from "./fixity.ts";
import { FIXITY_JOB, fixityRequest } from "./fixity-request.ts";

/** Fixity runs as what schedules can have done. */
export function fixityWork(fixity: Pick<Fixity, "start">): BuiltIns {
  return {
    [FIXITY_JOB]: {
      summary: "read the archive back and compare, the longest unchecked first: bytes, minutes, days, bytesPerSecond",
      check: (input) => {
        fixityRequest(input);
      },
      async run(input, { owner, key, follow, print }) {
        const job = await fixity.start(owner, fixityRequest(input), key);
        await print(`job ${job.id}`);
        return { job: job.id, ...(await follow(job)).result };
      },
    },
  };
}
