import { AppError, type DetailValue, type Problem } from "../errors.ts";

/**
 * The error of a bundle with these problems: their common code when they share one, `bundle_refused` otherwise.
 * Every problem is listed in `details.problems`.
 */
export function refusal(problems: readonly Problem[]): AppError {
  const [first] = problems;
  const shared = first && problems.every(({ code }) => code === first.code) ? first.code : "bundle_refused";
  const about: Record<string, DetailValue> =
    first && problems.length === 1 && first.path !== undefined
      ? { path: first.path }
      : { problemCount: problems.length };
  for (const key of ["expected", "found"] as const) {
    const value = first?.[key];
    if (problems.length === 1 && value !== undefined) about[key] = value;
  }
  return new AppError(shared, { ...about, problems: problems.map((one) => ({ ...one })) });
}
