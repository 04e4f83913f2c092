import type { Clock } from "../../clock.ts";
import { AppError, type Details, type Problem, problem } from "../../errors.ts";
import type { Job } from "../../jobs/job.ts";
import type { JobContext, JobHandler } from "../../jobs/worker.ts";
import type { Endpoints } from "../endpoints.ts";
import type { Listing, Source } from "../source.ts";
import type { Targets } from "../targets.ts";
import type { Conveyance, Freight, Proven } from "./conveyance.ts";
import { throughHere } from "./through-here.ts";

export const OFFLOAD_JOB = "offload";

/** What jobs of this kind read as their input. */
export interface Offload {
  /** `folder`: where each one's files go, below the target; `""` for the target itself. */
  readonly sources: readonly { readonly url: string; readonly folder: string }[];
  /** A URL. */
  readonly target: string;
  /** The URL that was told when it was asked for. */
  readonly place: string;
  readonly mode: "copy" | "move";
  /** Epoch milliseconds. */
  readonly deadline: number | null;
}

/** Of files whose copies are proven. */
interface Tally {
  readonly files: number;
  readonly bytes: number;
}

/** What a move notes before it removes files. */
interface Journal {
  readonly done: Tally;
  /** Of each source, files that are counted, whether they are still there or not. */
  readonly removing: readonly (readonly string[])[];
}

const NOTHING: Tally = { files: 0, bytes: 0 };
const NO_JOURNAL: Journal = { done: NOTHING, removing: [] };
/** A window is closed when it has so much, however few its files: a move then removes them. */
const WINDOW_BYTES = 1024 ** 3;
/** Told with the failure; the job's warnings have more of them. */
const PROBLEMS_TOLD = 20;

export interface OffloadJobParts {
  readonly endpoints: Pick<Endpoints, "open">;
  readonly targets: Pick<Targets, "open" | "between">;
  readonly clock: Clock;
}

/**
 * The `offload` job: walks the sources and copies their files in windows; of a move, each window's files are removed at the
 * source when their copies are proven. A worker that takes over walks anew: what is there and the same is not copied again,
 * and what a move has removed is in its journal, so that counts are exact in the end.
 *
 * A file that cannot be copied is a problem, and the others go on; with one problem or more the job fails with
 * offload_incomplete in the end. Links, devices and the like are told as warnings, and stay. Memory: one window.
 */
export function offloadJob({ endpoints, targets, clock }: OffloadJobParts): JobHandler {
  async function run({ job, tasks, checkpoint }: JobContext, signal: AbortSignal): Promise<Details> {
    const { sources, target, place, mode } = offloadIn(job);
    const journal = mode === "move" ? journalIn(job) : NO_JOURNAL;
    let done = journal.done;
    /** What the journal has of each source, and has not been met since. */
    const counted = sources.map((_, at) => new Set(journal.removing[at]));
    let others = 0;
    const problems: Problem[] = [];
    let problemCount = 0;

    function note(found: Problem): void {
      tasks.warn(found);
      if (problemCount++ < PROBLEMS_TOLD) problems.push(found);
    }

    async function convey(at: number, way: Conveyance, window: readonly Freight[]): Promise<void> {
      const outcomes = await way.copy(window, signal);
      const proven: Proven[] = [];
      for (const [index, file] of window.entries()) {
        const outcome = outcomes[index];
        if (outcome && "proof" in outcome) proven.push({ file, proof: outcome.proof });
        else if (outcome) note(outcome.problem);
        else throw new RangeError("A file was left out.");
      }
      for (const { file, proof } of proven) {
        if (counted[at]?.delete(file.entry.path)) continue;
        done = { files: done.files + 1, bytes: done.bytes + proof.sizeBytes };
        tasks.advance({ files: 1, bytes: proof.sizeBytes });
      }
      if (mode === "copy" || proven.length === 0) return;
      const paths = proven.map(({ file }) => file.entry.path);
      await checkpoint({
        done: { ...done },
        removing: counted.map((left, n) => [...left, ...(n === at ? paths : [])]),
      });
      for (const one of await way.remove(proven, signal)) note(one);
    }

    function left({ entries, problems: found }: Listing): void {
      for (const one of found) note(one);
      for (const { kind, path } of entries) {
        if (kind !== "link" && kind !== "other") continue;
        others++;
        tasks.warn(problem("entry_unreadable", { path, hint: `not copied, as it is no file but a ${NAMES[kind]}` }));
      }
    }

    async function conveyAll(at: number, source: Source, way: Conveyance, folder: string): Promise<void> {
      if (job.attempts > 1) await way.settle(signal);
      let window: Freight[] = [];
      let bytes = 0;
      for await (const listing of source.walk({ folders: [""], hidden: true, isDone: () => false, signal })) {
        left(listing);
        for (const entry of listing.entries) {
          if (entry.kind !== "file") continue;
          window.push({ entry, to: folder === "" ? entry.path : `${folder}/${entry.path}` });
          bytes += entry.sizeBytes;
          if (window.length < way.filesAtOnce && bytes < WINDOW_BYTES) continue;
          await convey(at, way, window);
          [window, bytes] = [[], 0];
        }
      }
      if (window.length > 0) await convey(at, way, window);
      await way.prune(new Set([...(counted[at] ?? [])].flatMap(folderOf)));
    }

    await tasks.begin(mode);
    tasks.advance(done);
    try {
      for (const [at, { url, folder }] of sources.entries()) {
        const source = await endpoints.open({ url });
        try {
          const way = await wayFor(job, source, url, target, mode);
          try {
            await conveyAll(at, source, way, folder);
          } finally {
            await way.close();
          }
        } finally {
          await source.close();
        }
      }
    } catch (error) {
      if (!(signal.reason instanceof Overdue)) throw error;
      throw new AppError("offload_timeout", { ...done, hint: "what has no proven copy is where it was" });
    }
    if (problemCount > 0)
      throw new AppError("offload_incomplete", {
        ...done,
        problems: problemCount,
        first: problems.map((one) => ({ ...one })),
      });
    return { folder: place, ...done, others };
  }

  async function wayFor({ id }: Job, source: Source, url: string, target: string, mode: Offload["mode"]) {
    const isMove = mode === "move";
    const direct = await targets.between(url, target, { label: `longshore offload ${id}`, isMove });
    if (direct) return direct;
    const origin = isMove ? await targets.open(url, "remove") : undefined;
    return throughHere({ source, target: await targets.open(target, "write"), origin });
  }

  return {
    async run(context) {
      const { deadline } = offloadIn(context.job);
      if (deadline === null) return run(context, context.signal);
      const over = new AbortController();
      const late = new AbortController();
      const waiting = clock.sleep(deadline - clock.now(), over.signal).then(() => late.abort(new Overdue()));
      try {
        return await run(context, AbortSignal.any([context.signal, late.signal]));
      } finally {
        over.abort();
        await waiting;
      }
    },

    retryable: async (job) => (offloadIn(job).deadline ?? Number.POSITIVE_INFINITY) > clock.now(),
  };
}

/** None for what lies in the root. */
const folderOf = (path: string) => (path.includes("/") ? [path.slice(0, path.lastIndexOf("/"))] : []);

const NAMES = { link: "link", other: "socket, pipe or device" } as const;

/** Why an offload stops whose time is over. */
class Overdue extends Error {
  override readonly name = "Overdue";
}

const offloadIn = ({ input }: Job) => input as unknown as Offload;

function journalIn({ checkpoint }: Job): Journal {
  return "removing" in checkpoint ? (checkpoint as unknown as Journal) : NO_JOURNAL;
}
