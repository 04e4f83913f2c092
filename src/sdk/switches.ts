import { type Connection, jsonBody } from "./connection.ts";

export interface Switch {
  /** `all`, a subsystem, or a path that is paused. */
  readonly id: string;
  readonly running: boolean;
  /** The pause that holds it, its own or a wider one, or what the control file decides (`by` is null). */
  readonly stoppedBy: {
    readonly switch: string;
    readonly by: string | null;
    readonly reason: string | null;
    readonly since: string | null;
  } | null;
}

/** For operators. Each answers with all switches as they are then. */
export interface SwitchesApi {
  list(): Promise<readonly Switch[]>;
  /** @param name `all`, a subsystem, or an absolute path. @throws LongshoreError request_invalid. */
  pause(name: string, reason?: string): Promise<readonly Switch[]>;
  resume(name: string): Promise<readonly Switch[]>;
}

export function switchesApi(connection: Connection): SwitchesApi {
  const items = async (answer: Promise<{ readonly items: readonly Switch[] }>) => (await answer).items;
  return {
    list: () => items(connection.json("/switches")),
    pause: (name, reason) =>
      items(
        connection.json("/switches/pause", jsonBody("POST", { switch: name, ...(reason !== undefined && { reason }) })),
      ),
    resume: (name) => items(connection.json("/switches/resume", jsonBody("POST", { switch: name }))),
  };
}
