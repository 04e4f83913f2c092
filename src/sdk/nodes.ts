import type { Connection } from "./connection.ts";

/** A process of Longshore that shares the database with others. */
export interface Node {
  readonly id: string;
  readonly role: "server" | "worker";
  readonly version: string;
  /** Where it serves HTTP. */
  readonly address: string | null;
  /** Jobs at a time in each lane. */
  readonly lanes: Readonly<Record<"fast" | "slow" | "run", number>>;
  /** The only kinds of jobs it takes; `null`: all it knows. */
  readonly tasks: readonly string[] | null;
  /** What it does for all nodes at the moment. */
  readonly duties: readonly string[];
  readonly since: string;
  readonly seenAt: string;
  readonly alive: boolean;
}

/** For operators. */
export interface NodesApi {
  list(): Promise<readonly Node[]>;
}

export function nodesApi(connection: Connection): NodesApi {
  return {
    list: async () => (await connection.json<{ readonly items: readonly Node[] }>("/nodes")).items,
  };
}
