import { type Kysely, type RawBuilder, sql } from "kysely";
import type { Lane } from "../../core/jobs/job.ts";
import type { QueueEntry } from "../db/job-writes.ts";
import type { Tables } from "../db/tables.ts";

/**
 * Who is next: a lane's line is served by rank, the smallest first, then by age.
 *
 * The jobs of one owner (of one priority) take turns one after the other; different owners' turns run side by side. So
 * whoever has nothing in the line stands where the line has come to, behind nobody's crowd:
 *
 *     rank = max(reached - AHEAD × priority, the last turn of this owner and priority + 1)
 *
 * `reached` is the greatest rank that has been claimed. A priority is a head start in turns: the line moves on, so what waits
 * is passed by no more than {@link AHEAD} turns of each owner for each step of priority, and nothing starves. When the line
 * is empty nobody is ahead any more: `reached` goes on to the last turn that anybody was given.
 *
 * This is start-time fair queueing (Goyal, Vin and Cheng, 1996) with all jobs of the same size. A claim reads the head of one
 * index, however many wait and whoever they belong to.
 */
export const AHEAD = 100;

/**
 * Gives each entry its rank, as part of `tx`. Others who queue jobs of the same owner and priority wait for its end.
 * @param waiting a subquery for `exists`: whether something in the lane can be claimed.
 */
export async function takeTurns(
  tx: Kysely<Tables>,
  entries: readonly QueueEntry[],
  waiting: (lane: Lane) => RawBuilder<unknown>,
): Promise<readonly number[]> {
  for (const lane of new Set(entries.map((entry) => entry.lane))) {
    const last = sql`(select max(last + ${sql.lit(AHEAD)} * priority) from job_turns where lane = ${lane})`;
    await sql`update job_lanes set reached = ${last}
      where lane = ${lane} and reached < ${last} and not exists (${waiting(lane)})`.execute(tx);
  }
  const flows = Map.groupBy(entries, ({ lane, owner, priority }) => JSON.stringify([lane, owner, priority]));
  const ranks = new Map<QueueEntry, number>();
  // In the same order everywhere, so that no two transactions wait for each other.
  for (const key of [...flows.keys()].sort()) {
    const flow = flows.get(key) ?? [];
    const [first] = flow;
    if (!first) continue;
    const last = await lastTurn(tx, first, flow.length);
    for (const [i, entry] of flow.entries()) ranks.set(entry, last - flow.length + 1 + i);
  }
  return entries.map((entry) => ranks.get(entry) ?? 0);
}

/** @returns the last of `turns` new turns, one after the other, of this owner and priority. */
async function lastTurn(tx: Kysely<Tables>, { lane, owner, priority }: QueueEntry, turns: number): Promise<number> {
  const count = sql`cast(${turns} as bigint)`;
  const { rows } = await sql<{ last: number }>`insert into job_turns (lane, owner, priority, last)
    select ${lane}, ${owner}, cast(${priority} as bigint), reached - 1 - ${sql.lit(AHEAD * priority)} + ${count}
    from job_lanes where lane = ${lane}
    on conflict (lane, owner, priority) do update set last = ${count} + case
      when job_turns.last > excluded.last - ${count} then job_turns.last else excluded.last - ${count} end
    returning last`.execute(tx);
  const [row] = rows;
  if (!row) throw new Error(`There is no lane ${lane} in the database.`);
  return row.last;
}
