import { AppError, type DetailValue, type Problem } from "../errors.ts";

/** What is listed of a bundle's problems; a job is a row that is read often. */
const MAX_LISTED = 1_000;
const MAX_LISTED_LENGTH = 256 * 1024;

/**
 * The error of a bundle with these problems: their common code when they share one, `bundle_refused` otherwise.
 * The first of them are listed in `details.problems`, all are counted.
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
  return new AppError(shared, { ...about, problems: listed(problems).map((one) => ({ ...one })) });
}

/** At least one, however long. */
function listed(problems: readonly Problem[]): readonly Problem[] {
  let length = 0;
  const tooMany = problems.findIndex(({ message, path = "" }, i) => {
    length += message.length + path.length;
    return i > 0 && (i === MAX_LISTED || length > MAX_LISTED_LENGTH);
  });
  return tooMany < 0 ? problems : problems.slice(0, tooMany);
}
