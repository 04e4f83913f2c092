import type { Crawls, EndpointRequest } from "../crawl/crawls.ts";
import { AppError, type Details, type DetailValue } from "../errors.ts";
import type { Jobs } from "../jobs/jobs.ts";
import { asOwner, type BuiltIn, type BuiltIns } from "./built-in.ts";

export interface OwnWorkParts {
  readonly jobs: Pick<Jobs, "submit" | "get">;
  readonly crawls: Pick<Crawls, "start">;
  /** What is swept now and then anyway, by what it is. */
  readonly sweeps: Readonly<Record<string, (signal: AbortSignal) => Promise<unknown>>>;
}

/**
 * Of what Longshore does by itself: verifying, crawling, sweeping. A crawl whose process died is begun anew; what the first
 * one has found stays.
 */
export function ownWork({ jobs, crawls, sweeps }: OwnWorkParts): BuiltIns {
  return {
    verify: {
      summary: "compare the archive, or the transactions named, with inventories and database",
      check: (input) => {
        requireFields("verify", input, {
          transactions: isNumbers,
          quick: isBoolean,
          bytesPerSecond: isPositive,
          parallel: isPositive,
        });
      },
      async run(input, { owner, key, follow }) {
        const job = await jobs.submit({ kind: "verify", lane: "slow", owner, input, idempotencyKey: key });
        return { job: job.id, ...(await follow(job)).result };
      },
    },

    crawl: {
      summary: "walk stores: endpoints, as for POST /api/v1/crawls",
      check(input) {
        requireFields("crawl", input, { endpoints: Array.isArray });
        endpointsOf(input);
      },
      async run(input, { owner, follow, print }) {
        const { id, job } = await crawls.start(asOwner(owner), { endpoints: endpointsOf(input) });
        await print(`crawl ${id}`);
        await follow({ id: job });
        return { crawl: id };
      },
    },

    purge: {
      summary: "let what is beyond its time go: carts, packages, removed crawls, old runs",
      check: (input) => requireFields("purge", input, {}),
      async run(_, { signal, print }) {
        for (const [what, sweep] of Object.entries(sweeps)) {
          signal.throwIfAborted();
          await sweep(signal);
          await print(`swept ${what}`);
        }
        return {};
      },
    },
  } satisfies Record<string, BuiltIn>;
}

type Check = (value: DetailValue | undefined) => boolean;

const isBoolean: Check = (value) => typeof value === "boolean";
const isPositive: Check = (value) => typeof value === "number" && Number.isInteger(value) && value > 0;
const isNumbers: Check = (value) => Array.isArray(value) && value.every(isPositive);

/** @throws AppError schedule_invalid for a field that is not known, or is not what it has to be. */
export function requireFields(action: string, input: Details, fields: Readonly<Record<string, Check>>): void {
  for (const [name, value] of Object.entries(input))
    if (!fields[name]?.(value))
      throw new AppError("schedule_invalid", {
        action,
        field: name,
        expected: Object.keys(fields).join(", ") || "no input",
      });
}

/** @throws AppError schedule_invalid. */
function endpointsOf({ endpoints }: Details): readonly EndpointRequest[] {
  return (Array.isArray(endpoints) ? endpoints : []).map((one) => {
    const { url, folders, grouper, pattern, hidden } = isFields(one) ? one : {};
    if (typeof url !== "string")
      throw new AppError("schedule_invalid", { action: "crawl", field: "endpoints", expected: "a url in each" });
    return {
      url,
      ...(Array.isArray(folders) && { folders: folders.map(String) }),
      ...(typeof grouper === "string" && { grouper }),
      ...(typeof pattern === "string" && { pattern }),
      ...(typeof hidden === "boolean" && { hidden }),
    };
  });
}

function isFields(value: DetailValue): value is Details {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
