import type { Principal } from "../access/access.ts";
import { type Clock, isoTime } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { JobId } from "../ids.ts";
import type { Jobs } from "../jobs/jobs.ts";
import { type Endpoints, endpointOf } from "./endpoints.ts";
import { OFFLOAD_JOB, type Offload } from "./offload/offload-job.ts";
import type { Targets } from "./targets.ts";

/** Copying or moving what lies in one store into another, as an `offload` job. */
export interface OffloadRequest {
  /** Endpoints' URLs: folders that are copied with all that lies in them. */
  readonly sources: readonly string[];
  /** An endpoint's URL. */
  readonly target: string;
  /** `move` removes each file at its source when its copy has been read back and is the same. */
  readonly mode: "copy" | "move";
  /** Copied into a new folder named for the time of the request, `YYYY-MM-DD-HH.MM.SS` in UTC. `true` when left out. */
  readonly inNewFolder?: boolean | undefined;
  /** Given up after this; what has been copied stays, and no source is removed that has no proven copy. */
  readonly timeoutMs?: number | undefined;
}

export interface StartedOffload {
  readonly job: JobId;
  /** Where the files will be: below the target's URL, one folder for each source when there are several. */
  readonly folder: string;
}

/** For whoever may crawl both stores. Progress and outcome are the job's. */
export interface Offloads {
  /** @throws AppError endpoint_refused, request_invalid. */
  start(principal: Principal, request: OffloadRequest): Promise<StartedOffload>;
}

export interface OffloadParts {
  readonly endpoints: Pick<Endpoints, "check">;
  readonly targets: Pick<Targets, "check" | "areApart">;
  readonly jobs: Pick<Jobs, "submit">;
  readonly clock: Clock;
}

const MOST_SOURCES = 100;
/** Timers count no further than some weeks. */
const LONGEST_MS = 14 * 24 * 3_600_000;
const SECOND_MS = 1_000;

export function offloadService({ endpoints, targets, jobs, clock }: OffloadParts): Offloads {
  let lastFolderAt = 0;

  /** Two of one second would share a folder: the later one is given the next. */
  function newFolder(): string {
    lastFolderAt = Math.max(clock.now(), lastFolderAt + SECOND_MS);
    const [date = "", time = ""] = isoTime(lastFolderAt).split("T");
    return `${date}-${time.slice(0, 8).replaceAll(":", ".")}`;
  }

  return {
    async start(principal, { sources, target: asked, mode, inNewFolder = true, timeoutMs }) {
      if (sources.length === 0 || sources.length > MOST_SOURCES)
        throw new AppError("request_invalid", { expected: `1 to ${MOST_SOURCES} sources`, found: sources.length });
      if (timeoutMs !== undefined && !(timeoutMs > 0 && timeoutMs <= LONGEST_MS))
        throw new AppError("request_invalid", { expected: "a timeout of at most two weeks", found: timeoutMs });
      const target = await targets.check(endpointOf({ url: asked }).url, "write", principal);
      const urls: string[] = [];
      for (const source of sources) {
        const url = await endpoints.check(endpointOf({ url: source }).url, principal);
        if (mode === "move") await targets.check(url, "remove", principal);
        for (const other of [target, ...urls]) {
          if (await targets.areApart(url, other)) continue;
          throw new AppError("request_invalid", {
            url,
            expected: "folders of which none lies in another",
            found: other,
          });
        }
        urls.push(url);
      }
      const folder = inNewFolder ? newFolder() : "";
      const place = folder === "" ? target : `${target.replace(/\/+$/, "")}/${folder}`;
      const names = urls.length === 1 ? [] : folderNames(urls);
      const offload: Offload = {
        sources: urls.map((url, at) => ({ url, folder: [folder, names[at] ?? ""].filter((part) => part).join("/") })),
        target,
        place,
        mode,
        deadline: timeoutMs === undefined ? null : clock.now() + timeoutMs,
      };
      const input = { ...offload, sources: offload.sources.map((source) => ({ ...source })) };
      const job = await jobs.submit({ kind: OFFLOAD_JOB, lane: "slow", owner: principal.name, input });
      return { job: job.id, folder: place };
    },
  };
}

/** The last part of each URL that can be a name; numbered when another has it, whatever its case. */
function folderNames(urls: readonly string[]): readonly string[] {
  const taken = new Set<string>();
  return urls.map((url) => {
    const name = lastName(url);
    let free = name;
    for (let n = 2; taken.has(free.toLowerCase()); n++) free = `${name}-${n}`;
    taken.add(free.toLowerCase());
    return free;
  });
}

function lastName(url: string): string {
  const { host, pathname, protocol } = new URL(url);
  const name = decodeURIComponent(pathname.split("/").findLast((part) => part !== "") ?? host);
  const isName = name !== "" && name !== "." && name !== ".." && !/[/\0]/.test(name);
  return isName ? name : protocol.replace(":", "");
}
