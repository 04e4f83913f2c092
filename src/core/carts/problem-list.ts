import { AppError, type Problem } from "../errors.ts";
import { PROBLEMS_KEPT } from "./cart.ts";

/** Counts all problems and keeps the first of them, as carts do. */
export interface ProblemList {
  add(problem: Problem): void;
  readonly count: number;
  readonly kept: readonly Problem[];
}

export function problemList(): ProblemList {
  const kept: Problem[] = [];
  let count = 0;
  return {
    add(problem) {
      count++;
      if (kept.length < PROBLEMS_KEPT) kept.push(problem);
    },
    get count() {
      return count;
    },
    kept,
  };
}

/** The error of a cart that cannot be made or downloaded. */
export function problemsError(
  code: "cart_refused" | "cart_failed",
  problemCount: number,
  problems: readonly Problem[],
): AppError {
  return new AppError(code, { problemCount, problems: problems.map((one) => ({ ...one })) });
}
