import { AppError } from "../core/errors.ts";

/** What one look found. */
export interface Finding {
  readonly status: "ok" | "warn" | "fail";
  readonly check: string;
  /** What is there. */
  readonly found: string;
  /** What to do about it; absent when all is well. */
  readonly advice?: string;
}

export const ok = (check: string, found: string): Finding => ({ status: "ok", check, found });
export const warn = (check: string, found: string, advice: string): Finding => ({
  status: "warn",
  check,
  found,
  advice,
});
export const fail = (check: string, found: string, advice: string): Finding => ({
  status: "fail",
  check,
  found,
  advice,
});

/** In a few words. */
export function reasonOf(error: unknown): string {
  if (error instanceof AppError) return error.message;
  if (error instanceof Error && "code" in error) return String(error.code);
  return error instanceof Error ? error.message : String(error);
}
