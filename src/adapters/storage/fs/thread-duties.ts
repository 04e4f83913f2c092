import { parentPort } from "node:worker_threads";
import { type ReadFailure, readFailure } from "./read-failure.ts";

/** Something a thread does when it is asked to, with synchronous calls: one request after the other. */
export type Duty = (request: never, line: Line) => unknown;

/** From a duty at work to who asked. */
export interface Line {
  /** So many bytes more have been read. */
  read(bytes: number): void;
  /** Hands memory of the answer over instead of copying it. */
  transfer(buffer: ArrayBuffer): void;
}

/** Any number with `read`, then one of the others. */
export type Told = { readonly id: number } & (
  | { readonly read: number }
  | { readonly answer: unknown }
  | { readonly failure: Pick<ReadFailure, "message" | "code" | "details"> }
);

interface Asked {
  readonly id: number;
  readonly duty: string;
  readonly request: never;
}

/** Called once in a thread's own file. What a duty throws fails its request, and nothing else. */
export function doDuties(duties: Readonly<Record<string, Duty>>): void {
  parentPort?.on("message", ({ id, duty, request }: Asked) => {
    const transfers: ArrayBuffer[] = [];
    const tell = (told: Told) => parentPort?.postMessage(told, "answer" in told ? transfers : []);
    const line: Line = {
      read: (bytes) => tell({ id, read: bytes }),
      transfer: (buffer) => transfers.push(buffer),
    };
    try {
      tell({ id, answer: duties[duty]?.(request, line) });
    } catch (error) {
      const { message, code, details } = readFailure(error);
      tell({ id, failure: { message, code, details } });
    }
  });
}
