import type { Availability, ObjectStorage } from "../../src/core/archive/object-storage.ts";
import { AppError } from "../../src/core/errors.ts";

/** A storage some of whose files lie on tape. */
export interface ColdStorage extends ObjectStorage {
  readonly restore: NonNullable<ObjectStorage["restore"]>;
  /** Paths that were asked for, in order. */
  readonly requested: readonly string[];
  /** Puts a file on tape. It comes up when it has been asked for and its state looked at `looks` times after. */
  freeze(path: string, looks?: number, readyAt?: number): void;
  /** It comes up at once. */
  thaw(path: string): void;
  /** Every look at the file fails so. */
  spoil(path: string, error: Error): void;
}

export function coldStorage(storage: ObjectStorage): ColdStorage {
  const frozen = new Map<string, { looks: number; restoring: boolean; readonly readyAt: number | undefined }>();
  const spoilt = new Map<string, Error>();
  const requested: string[] = [];
  function requireOnline(path: string): void {
    if (frozen.has(path)) throw new AppError("storage_unavailable", { path, found: "on tape" });
  }
  const { facts, gather } = storage;
  return {
    ...storage,
    requested,
    freeze: (path, looks = 0, readyAt) => void frozen.set(path, { looks, readyAt, restoring: false }),
    thaw: (path) => void frozen.delete(path),
    spoil: (path, error) => void spoilt.set(path, error),
    async open(path, range) {
      requireOnline(path);
      return storage.open(path, range);
    },
    ...(facts && {
      async facts(path, algorithms, options) {
        requireOnline(path);
        return facts(path, algorithms, options);
      },
    }),
    ...(gather && {
      async gather(buffer, parts) {
        for (const { path } of parts) requireOnline(path);
        return gather(buffer, parts);
      },
    }),
    restore: {
      async state(path): Promise<Availability> {
        const error = spoilt.get(path);
        if (error) throw error;
        if (!(await storage.stat(path))) throw new AppError("object_missing", { path });
        const file = frozen.get(path);
        if (!file) return { online: true };
        if (file.restoring && file.looks-- <= 0) {
          frozen.delete(path);
          return { online: true };
        }
        const { restoring, readyAt } = file;
        return { online: false, restoring, ...(restoring && readyAt !== undefined && { readyAt }) };
      },
      async request(path) {
        if (!(await storage.stat(path))) throw new AppError("object_missing", { path });
        requested.push(path);
        const file = frozen.get(path);
        if (file) file.restoring = true;
      },
    },
  };
}
