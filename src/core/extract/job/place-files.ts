import type { Endpoint } from "../../crawl/crawl.ts";
import type { Endpoints } from "../../crawl/endpoints.ts";
import type { Source } from "../../crawl/source.ts";
import { AppError } from "../../errors.ts";
import { mapInOrder } from "../../streams.ts";
import type { CrawledFamily, FamilyFile } from "./crawled-families.ts";
import type { ScratchFile, ScratchFolder } from "./scratch.ts";

/** Families that are fetched at once, unless they are large. */
const FETCHES_AT_ONCE = 8;
/** Families that are described together, at most, when they have to be fetched. */
const FETCHED_TOGETHER = 500;

export interface LocalPlace {
  /** Absolute, without links. */
  readonly localPath: string;
}
/** Where a file lies on this machine, or why it does not. */
export type Place = LocalPlace | { readonly unreadable: string };

export interface PlacedFamily extends CrawledFamily {
  /** Of its files, in their order. */
  readonly places: readonly Place[];
}

export interface PlacingParts {
  readonly endpoints: readonly Endpoint[];
  readonly stores: Pick<Endpoints, "open">;
  /** Opened when it is needed first. */
  scratch(): Promise<ScratchFolder>;
  /** A family that has more is not fetched; with those fetched beside it, some times this much may lie in the scratch folder. */
  readonly familyBytes: number;
  /** Whether a store that does not answer may be asked again later, by whoever begins the job again. */
  readonly isPatient: boolean;
  readonly signal: AbortSignal;
}

/** Brings files to where extractors can read them. */
export interface Placing {
  /**
   * All of the families, in parts. What was fetched for a part is there until the next part is asked for.
   * @throws AppError of a kind that may be tried again, while there is patience; the signal's reason.
   */
  parts(families: readonly CrawledFamily[]): AsyncGenerator<readonly PlacedFamily[], void, undefined>;
  close(): Promise<void>;
}

interface Fetched {
  readonly family: PlacedFamily;
  readonly files: readonly ScratchFile[];
}

export function placing({ endpoints, stores, scratch, familyBytes, isPatient, signal }: PlacingParts): Placing {
  const opened = new Map<number, Promise<Source | { readonly unreadable: string }>>();

  async function open(endpoint: number): Promise<Source | { readonly unreadable: string }> {
    const asked = endpoints[endpoint];
    if (!asked) throw new RangeError(`The crawl has no endpoint ${endpoint}.`);
    return stores.open(asked).catch((error: unknown) => ({ unreadable: reasonOf(error) }));
  }

  function storeOf({ endpoint }: CrawledFamily) {
    const store = opened.get(endpoint) ?? open(endpoint);
    opened.set(endpoint, store);
    return store;
  }

  /** Why a file cannot be read. @throws what is to be tried again, and what nobody foresaw. */
  function reasonOf(error: unknown): string {
    signal.throwIfAborted();
    if (!(error instanceof AppError)) {
      // A stream that breaks off says so in the words of the operating system.
      if (error instanceof Error && "code" in error && "syscall" in error) return String(error.code);
      throw error;
    }
    if (error.retryable && isPatient) throw error;
    return error.code === "object_missing" ? "it is no longer there" : error.message;
  }

  /** A file of this machine, as it lies there. `undefined` when it has to be fetched. */
  function atHand(store: Source | { readonly unreadable: string }, { path }: FamilyFile): Place | undefined {
    if ("unreadable" in store) return store;
    const localPath = store.localPath?.(path);
    return localPath === undefined ? undefined : { localPath };
  }

  /** A whole family, or as much of it as can be read; none of it when it is too large. */
  async function fetch(family: CrawledFamily, store: Source): Promise<Fetched> {
    const folder = await scratch();
    const files: ScratchFile[] = [];
    const places: Place[] = [];
    let room = familyBytes;
    const isTooLarge = family.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) > familyBytes;
    const tooLarge = { unreadable: `it is larger than what is fetched, ${familyBytes} bytes with all of its family` };
    for (const { path } of family.files) {
      if (isTooLarge) {
        places.push(tooLarge);
        continue;
      }
      signal.throwIfAborted();
      try {
        const file = await folder.put(await store.open(path), room);
        room -= file.sizeBytes;
        files.push(file);
        places.push({ localPath: file.localPath });
      } catch (error) {
        // That is no file's fault, and passes.
        if (error instanceof AppError && error.code === "storage_full") throw error;
        const isOutgrown = error instanceof AppError && error.code === "entry_unreadable";
        places.push(isOutgrown ? tooLarge : { unreadable: reasonOf(error) });
      }
    }
    return { family: { ...family, places }, files };
  }

  async function* fetched(families: readonly (readonly [CrawledFamily, Source])[]) {
    // A store may say 0 for what it does not know.
    const weigh = ([{ files }]: readonly [CrawledFamily, Source]) => {
      const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      return Math.min(familyBytes, Math.max(bytes, familyBytes / FETCHES_AT_ONCE));
    };
    let part: Fetched[] = [];
    let bytes = 0;
    const removeFiles = async () => {
      const files = part.flatMap((one) => one.files);
      part = [];
      bytes = 0;
      if (files.length > 0) await (await scratch()).remove(files);
    };
    for await (const one of mapInOrder(families, familyBytes, ([family, store]) => fetch(family, store), weigh)) {
      part.push(one);
      bytes += one.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      if (bytes < familyBytes && part.length < FETCHED_TOGETHER) continue;
      yield part.map(({ family }) => family);
      await removeFiles();
    }
    if (part.length > 0) yield part.map(({ family }) => family);
    await removeFiles();
  }

  return {
    async *parts(families) {
      const here: PlacedFamily[] = [];
      const elsewhere: (readonly [CrawledFamily, Source])[] = [];
      for (const family of families) {
        const store = await storeOf(family);
        const places = family.files.map((file) => atHand(store, file));
        if (!("unreadable" in store) && places.includes(undefined)) elsewhere.push([family, store]);
        else here.push({ ...family, places: places.filter((place) => place !== undefined) });
      }
      if (here.length > 0) yield here;
      yield* fetched(elsewhere);
    },

    async close() {
      for (const opening of opened.values()) {
        // One that could not be opened has been told of, or has failed the job.
        const store = await opening.catch(() => undefined);
        if (store && !("unreadable" in store)) await store.close();
      }
    },
  };
}
