import { malformed } from "../malformed.ts";
import type { Fields } from "./fields.ts";

const MAX_RANK = 32;

export interface Dataspace {
  /** Empty for a single value; `null` for none at all. */
  readonly shape: readonly number[] | null;
  /** `null` for what has no limit. */
  readonly maxShape: readonly (number | null)[] | null;
}

/** Dataspace message (the specification, IV.A.2.b). */
export function readDataspace(fields: Fields, lengthBytes: number): Dataspace {
  const version = fields.u8();
  const rank = fields.u8();
  if (rank > MAX_RANK) throw malformed(`a rank of ${rank}`, fields.offset);
  const hasMax = (fields.u8() & 1) !== 0;
  if (version === 1) fields.skip(5);
  else if (fields.u8() === 2) return { shape: null, maxShape: null };
  const shape = Array.from({ length: rank }, () => fields.sized(lengthBytes));
  const maxShape = hasMax ? Array.from({ length: rank }, () => fields.sizedOrNone(lengthBytes) ?? null) : shape;
  return { shape, maxShape };
}

/** Values of that shape. */
export function elementsOf({ shape }: Dataspace): number {
  return shape === null ? 0 : shape.reduce((product, size) => product * size, 1);
}
