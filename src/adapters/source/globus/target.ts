import type { FileHandle } from "node:fs/promises";
import { beforeAbort } from "../../../core/crawl/before-abort.ts";
import type { Target } from "../../../core/crawl/target.ts";
import { factsOfStream } from "../../../core/digest.ts";
import { AppError } from "../../../core/errors.ts";
import { isPlainPath } from "../plain-path.ts";
import { globusLanding, type OwnCollection } from "./landing.ts";
import { type GlobusParts, globusSource, pathsBelow, statOf } from "./source.ts";
import { togetherSoon } from "./together-soon.ts";

const REMOVED_AT_ONCE = 1_000;
const GATHER_MS = 50;
const LABEL = "longshore removes files";

/**
 * A folder of a Globus collection. Files go there, and come to be read back, by way of our own collection, which also holds
 * each of them for that time. Folders that become empty stay: Globus removes folders only with all that is in them.
 */
export function globusTarget(parts: GlobusParts & { readonly own: OwnCollection }): Target {
  const { api, place, own, clock } = parts;
  const { collection } = place;
  const pathOf = pathsBelow(place);
  const landing = globusLanding(api, own, collection, clock);
  const source = globusSource(parts);
  const closing = new AbortController();
  const removed = togetherSoon<string, undefined>(clock, GATHER_MS, REMOVED_AT_ONCE, async (paths) => {
    await api.remove(collection, [...new Set(paths)], LABEL, closing.signal);
    return paths.map(() => undefined);
  });

  function requirePlain(path: string): void {
    if (!isPlainPath(path))
      throw new AppError("request_invalid", { expected: "a path below the store's root", found: path.slice(0, 100) });
  }

  return {
    async put(path, bytes, signal) {
      requirePlain(path);
      const write = (file: FileHandle) => factsOfStream(written(bytes, file), ["sha256"], signal);
      return await refusals(path, () => landing.send(pathOf(path), write, signal));
    },

    async facts(path, signal) {
      requirePlain(path);
      return refusals(path, async () => {
        if ((await statOf(api, place, path, signal))?.type !== "file") return undefined;
        const bytes = await beforeAbort(signal, source.open(path), (late) => late.destroy());
        return factsOfStream(bytes, ["sha256"], signal);
      });
    },

    async remove(path) {
      requirePlain(path);
      // A task for what is not there would be in vain.
      const isFile = await refusals(
        path,
        async () => (await statOf(api, place, path, closing.signal))?.type === "file",
      );
      if (isFile) await refusals(path, () => removed(pathOf(path)));
    },

    async close() {
      closing.abort(new AppError("storage_unavailable", { reason: "the store was closed" }));
      await Promise.all([source.close(), landing.close()]);
    },
  };
}

async function* written(bytes: AsyncIterable<Uint8Array>, file: FileHandle): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    await file.writeFile(chunk);
    yield chunk;
  }
}

/** What Globus refuses, as a target does. */
async function refusals<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof AppError) || !/^remote_/.test(error.code)) throw error;
    const isFull = /QUOTA|NO_SPACE|FULL/i.test(String(error.details.reason));
    const { reason = error.message } = error.details;
    throw new AppError(isFull ? "storage_full" : "storage_unavailable", { path, reason }, { cause: error });
  }
}
