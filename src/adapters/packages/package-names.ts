import { basename } from "node:path";
import { AppError } from "../../core/errors.ts";

/** @returns the name. @throws AppError request_invalid for what is not one plain name. */
export function requireFileName(name: string): string {
  if (name !== "" && name === basename(name) && !name.startsWith(".") && !name.includes("\0")) return name;
  throw new AppError("request_invalid", { expected: "the name of a file", found: name.slice(0, 100) });
}
