import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from "node:fs";
import { workerData } from "node:worker_threads";
import { crc32 } from "node:zlib";
import type { GatherPart } from "../../../core/archive/object-storage.ts";
import { ABSENT, systemCode } from "./errors.ts";
import { fsLayout, isStaging } from "./layout.ts";
import { NOT_A_FILE, ReadFailure, readFailure, SHORT } from "./read-failure.ts";
import { doDuties, type Line } from "./thread-duties.ts";

/*
 * A thread behind `gather.ts`: reads parts of many files with synchronous calls, which for small files cost a fraction
 * of asynchronous ones.
 */

export interface GatherRequest {
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly parts: readonly GatherPart[];
}

interface OpenFile {
  readonly fd: number;
  readonly sizeBytes: number;
}

/** Files whose end was not reached stay open for the next part: opening costs little here, but much over a network. */
const KEPT_FILES = 8;
/** Not longer than this: a file that has been removed occupies the disk as long as it is open. */
const KEPT_MS = 1000;
/** A pipe that lies where a file should be must not hold the thread up. Not known on Windows, nor needed. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

const layout = fsLayout(workerData as string);
/** By path, the one used last at the end. */
const kept = new Map<string, OpenFile>();
let closing: NodeJS.Timeout | undefined;

const duties = {
  gather({ buffer, parts }: GatherRequest, line: Line) {
    const crcs = parts.map((part) => {
      try {
        return gatherPart(buffer, part);
      } catch (error) {
        throw readFailure(error, { path: part.path });
      }
    });
    line.transfer(buffer.buffer);
    return { buffer, crcs };
  },
  sizes: (paths: readonly string[]) => paths.map(sizeOf),
};
export type GatherDuties = typeof duties;
doDuties(duties);

function gatherPart(buffer: Uint8Array, { path, start, sizeBytes, at, crc }: GatherPart): number | undefined {
  const file = take(path);
  let goesOn = false;
  try {
    for (let read = 0; read < sizeBytes; ) {
      const bytes = readSync(file.fd, buffer, at + read, sizeBytes - read, start + read);
      if (bytes === 0) throw new ReadFailure(SHORT, SHORT, { expected: start + sizeBytes, found: start + read });
      read += bytes;
    }
    goesOn = start + sizeBytes < file.sizeBytes;
    return crc ? crc32(buffer.subarray(at, at + sizeBytes)) : undefined;
  } finally {
    if (goesOn) keep(path, file);
    else closeSync(file.fd);
  }
}

function take(path: string): OpenFile {
  const known = kept.get(path);
  if (known) {
    kept.delete(path);
    return known;
  }
  if (isStaging(path)) throw new ReadFailure(NOT_A_FILE, NOT_A_FILE);
  const fd = openSync(layout.visible(path), FLAGS);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new ReadFailure(NOT_A_FILE, NOT_A_FILE);
    return { fd, sizeBytes: stats.size };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function keep(path: string, file: OpenFile): void {
  kept.set(path, file);
  const [oldest] = kept.keys();
  if (kept.size > KEPT_FILES && oldest !== undefined) letGo(oldest);
  if (closing === undefined) closing = setTimeout(letAllGo, KEPT_MS).unref();
}

function letAllGo(): void {
  closing = undefined;
  for (const path of kept.keys()) letGo(path);
}

function letGo(path: string): void {
  const file = kept.get(path);
  kept.delete(path);
  if (file) closeSync(file.fd);
}

function sizeOf(path: string): number | undefined {
  if (isStaging(path)) return undefined;
  try {
    const stats = lstatSync(layout.visible(path), { throwIfNoEntry: false });
    return stats?.isFile() ? stats.size : undefined;
  } catch (error) {
    if (ABSENT.some((code) => code === systemCode(error))) return undefined;
    throw readFailure(error, { path });
  }
}
