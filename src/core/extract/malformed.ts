import { AppError, type Problem, problem } from "../errors.ts";

/** What breaks the rules of a file's format. @param at offset in bytes, where it was noticed. */
export function malformed(hint: string, at?: number): AppError {
  return new AppError("content_malformed", at === undefined ? { hint } : { hint, at });
}

/** The problem that a {@link malformed} error is of a file that was read up to there. @throws what is none. */
export function malformedProblem(error: unknown, path: string): Problem {
  if (!(error instanceof AppError) || error.code !== "content_malformed") throw error;
  const { hint, at } = error.details;
  return problem("content_malformed", { path, hint: at === undefined ? String(hint) : `${hint}, at byte ${at}` });
}
