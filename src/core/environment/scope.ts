import { AppError } from "../errors.ts";

/** Whom a value is for: everything that runs, or what one register or schedule runs. */
export type Scope = "global" | `register:${string}` | `schedule:${string}`;

const MAX_SCOPE_CHARACTERS = 255;
/** From the widest to the narrowest. */
const WIDTHS = ["global", "register", "schedule"] as const;

/** @throws AppError environment_invalid. */
export function scopeOf(text: string): Scope {
  const named = /^(?:register|schedule):[^\p{Cc}\p{Cs}]+$/u.test(text) && text.length <= MAX_SCOPE_CHARACTERS;
  if (text === "global" || named) return text as Scope;
  throw new AppError("environment_invalid", {
    scope: text.slice(0, MAX_SCOPE_CHARACTERS),
    expected: "global, register:NAME or schedule:NAME",
  });
}

/** The widest first: what comes later wins. */
export function byWidth(a: Scope, b: Scope): number {
  return widthOf(a) - widthOf(b);
}

function widthOf(scope: Scope): number {
  return WIDTHS.findIndex((width) => scope === width || scope.startsWith(`${width}:`));
}
