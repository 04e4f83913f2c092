import { type Cell, ExactNumber } from "../rows.ts";

/** A number where JavaScript's own spells it the same way, else the digits as they are. `NaN` and the like stay text. */
export function exactNumber(text: string): Cell {
  const number = Number(text);
  if (String(number) === text && Number.isFinite(number)) return number;
  return /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text) ? new ExactNumber(text) : text;
}

/** More digits in a row than a double is sure to keep, somewhere in the text. */
const MANY_DIGITS = /\d[\d.]{15}/;

/** JSON.parse that keeps the digits of numbers it could not hold. @throws SyntaxError. */
export function parseExactly(json: string): Cell {
  if (!MANY_DIGITS.test(json)) return JSON.parse(json);
  return JSON.parse(json, (_key, value: Cell, context?: { readonly source?: string }) =>
    typeof value === "number" && context?.source !== undefined ? exactNumber(context.source) : value,
  );
}
