import { type Connection, jsonBody } from "./connection.ts";

export interface NewOffload {
  /** Addresses of folders, as for crawls. */
  readonly sources: readonly string[];
  /** Address of the folder that they are copied into. */
  readonly target: string;
  /** `move` removes each file at its source when its copy has been read back and is the same; `copy` when left out. */
  readonly mode?: "copy" | "move";
  /** Into a new folder named for the time, `YYYY-MM-DD-HH.MM.SS` in UTC; so it is when left out. */
  readonly inNewFolder?: boolean;
  /** Given up after this. */
  readonly timeoutMs?: number;
}

export interface StartedOffload {
  /** Progress and outcome are the job's. */
  readonly job: number;
  /** Where the files will be; of several sources, each has a folder of its own. */
  readonly folder: string;
}

/** Copies and moves between stores. */
export interface OffloadsApi {
  /** @throws LongshoreError request_invalid, endpoint_refused. */
  start(offload: NewOffload, signal?: AbortSignal): Promise<StartedOffload>;
}

export function offloadsApi(connection: Connection): OffloadsApi {
  return {
    start: (offload, signal) => connection.json<StartedOffload>("/offloads", jsonBody("POST", offload, signal)),
  };
}
