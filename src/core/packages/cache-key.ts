import { hash } from "node:crypto";
import type { KeyRing } from "../access/key-ring.ts";
import { jsonText } from "./cell-text.ts";
import type { OrderRequest } from "./package.ts";
import { type Cell, ExactNumber } from "./rows.ts";

/**
 * Equal for orders that one package can serve: SHA-256, lower-case hex, over everything that decides what is in it, and
 * over what stands for the user's key, as two users may see different rows. Never the address it is sent to.
 */
export function cacheKeyOf({ recipe, key }: Pick<OrderRequest, "recipe" | "key">, keys: KeyRing): string {
  const given = Object.fromEntries(Object.entries(recipe).filter(([, value]) => value !== undefined));
  return hash("sha256", jsonText(sorted({ ...given, key: key === undefined ? null : keys.fingerprint(key) })));
}

/** Members of objects in order of their names: `{a, b}` and `{b, a}` ask for the same. Lists stay as they are. */
function sorted(cell: Cell): Cell {
  if (cell === null || typeof cell !== "object" || cell instanceof ExactNumber) return cell;
  if (Array.isArray(cell)) return cell.map(sorted);
  const members = Object.entries(cell).map(([name, value]): [string, Cell] => [name, sorted(value)]);
  return Object.fromEntries(members.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
