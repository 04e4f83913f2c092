import type { Principal } from "../access/access.ts";
import type { JobId } from "../ids.ts";

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
