import type { Lane } from "../jobs/job.ts";
import type { OrderRequest } from "./package.ts";

/**
 * Which lane an order's package is made in. A file by URL: the fast one. Rows: by how many are asked for at most, as
 * nothing is fetched to find out; all of them is many.
 *
 * The door reckons as ckanpackager does, which subtracts the offset from what is a count already, and takes a limit of 0
 * for few though it means all.
 */
export function laneOf({ recipe, door }: Pick<OrderRequest, "recipe" | "door">, slowRows: number): Lane {
  const { kind, limit, offset = 0 } = recipe;
  if (kind === "url") return "fast";
  if (limit === undefined || (limit === 0 && !door)) return "slow";
  return (door ? limit - offset : limit) > slowRows ? "slow" : "fast";
}
