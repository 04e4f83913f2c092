import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { systemClock } from "../adapters/system-clock.ts";
import { type Checked, NOTHING_VERIFIED, resumePoint, type VerifyTotals, withChecked } from "../core/archive/verify.ts";
import { AppError, type Problem } from "../core/errors.ts";

const SAVE_EVERY_MS = 2_000;
/** Problems that are kept to be shown again; all of them are counted. */
const KEPT_PROBLEMS = 10_000;

/** How far the walk of a verification got. What is looked at before and after the walk is looked at anew each time. */
export interface VerifyProgress {
  readonly quick: boolean;
  /** See `VerifyOptions.after`. */
  readonly after: string | undefined;
  readonly totals: VerifyTotals;
  readonly problems: readonly Problem[];
}

/** Keeps the progress of a verification of everything in a file: a killed process loses the last seconds of it. */
export interface VerifyJournal {
  /** What an interrupted one left. @throws AppError usage when that was of the other kind. */
  resume(): Promise<VerifyProgress | undefined>;
  add(checked: Checked): Promise<void>;
  save(): Promise<void>;
  remove(): Promise<void>;
}

export function verifyJournal(path: string, quick: boolean): VerifyJournal {
  let progress: VerifyProgress = { quick, after: undefined, totals: NOTHING_VERIFIED, problems: [] };
  let savedAt = systemClock.now();

  async function save(): Promise<void> {
    savedAt = systemClock.now();
    await writeFile(`${path}.new`, JSON.stringify(progress));
    await rename(`${path}.new`, path);
  }
  return {
    async resume() {
      const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
      if (text === undefined) return undefined;
      const saved: VerifyProgress = JSON.parse(text);
      const kind = (isQuick: boolean) => (isQuick ? "with --quick" : "without --quick");
      if (saved.quick !== quick)
        throw new AppError("usage", { option: "--resume", expected: kind(saved.quick), found: kind(quick) });
      progress = saved;
      return saved;
    },
    async add(checked) {
      const after = resumePoint(checked);
      if (after === undefined) return;
      const kept = checked.problems.slice(0, Math.max(0, KEPT_PROBLEMS - progress.problems.length));
      const problems = kept.length > 0 ? [...progress.problems, ...kept] : progress.problems;
      progress = { quick, after, totals: withChecked(progress.totals, checked), problems };
      if (systemClock.now() - savedAt >= SAVE_EVERY_MS) await save();
    },
    save,
    remove: () => rm(path, { force: true }),
  };
}
