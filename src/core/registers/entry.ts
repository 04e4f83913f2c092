import type { DetailValue } from "../errors.ts";
import type { JobId } from "../ids.ts";

/** By the names of the declaration, in its order. What was not given is not there. */
export type Fields = Readonly<Record<string, DetailValue>>;

/** One request: a row of a register. */
export interface Entry {
  readonly register: string;
  /** Counted from 1 in each register; never used again. */
  readonly id: number;
  /** The principal who made it. */
  readonly owner: string;
  readonly status: string;
  /** Grows with every change. */
  readonly version: number;
  /** How often the action of the status has been begun. */
  readonly attempts: number;
  /** Of the last change of status, for people. */
  readonly reason: string | null;
  readonly fields: Fields;
  /** Of the action of the status, while it is to be done. */
  readonly job: JobId | null;
  /** The action is past the point where it can be stopped: nobody but its job changes the entry. */
  readonly settled: boolean;
  /** When the status expires, or the entry is removed. Epoch milliseconds, like every `…At` here. */
  readonly dueAt: number | null;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** A line of an entry's history. */
export interface EntryEvent {
  readonly seq: number;
  readonly at: number;
  /** A principal's name, or `longshore` for what happens by itself. */
  readonly actor: string;
  /** `null`: there was no entry before. */
  readonly from: string | null;
  /** `null`: the entry was removed. */
  readonly to: string | null;
  readonly reason: string | null;
  /** Names of the fields whose values changed. */
  readonly changed: readonly string[];
}
