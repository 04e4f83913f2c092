import assert from "node:assert/strict";
import { type CompiledQuery, type Kysely, sql } from "kysely";

/** A step of a plan as `explain (format json)` gives it; see "Using EXPLAIN" in PostgreSQL's documentation. */
interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Index Cond"?: string;
  readonly "Plan Rows": number;
  readonly Plans?: readonly PlanNode[];
}

/** Tables with fewer rows may be read as a whole. */
const LARGE_ROWS = 2_000;
/** More rows than a page or a batch has. */
const MANY_ROWS = 5_000;

/**
 * What of the statements' plans costs more with every row that a table has: whole tables and indexes read, and many rows
 * sorted or hashed. Steps below a limit end with it.
 */
export async function costlySteps<T>(db: Kysely<T>, statements: readonly CompiledQuery[]): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select relname as name from pg_class where relkind in ('r', 'p') and reltuples >= ${LARGE_ROWS}`.execute(db);
  const large = new Set(rows.map(({ name }) => name));
  const costly: string[] = [];
  let planned = 0;
  for (const query of statements) {
    if (!/^(with|select|update|delete)/.test(query.sql)) continue;
    planned++;
    const explain = sql.raw(`explain (format json) ${query.sql}`).compile(db);
    const explained = await db.withoutPlugins().executeQuery<{ "QUERY PLAN": readonly { readonly Plan: PlanNode }[] }>({
      ...explain,
      parameters: query.parameters,
    });
    const plan = explained.rows[0]?.["QUERY PLAN"][0]?.Plan;
    assert.ok(plan, "there is a plan");
    const found = [...costlyNodes(plan, large, false)];
    if (found.length > 0) costly.push(`${found.join("; ")}: ${query.sql}`);
  }
  assert.ok(planned > 0, "something was planned");
  return costly;
}

function* costlyNodes(node: PlanNode, large: ReadonlySet<string>, isLimited: boolean): Generator<string> {
  const type = node["Node Type"];
  const table = node["Relation Name"] ?? "";
  const rows = node["Plan Rows"];
  if (type === "Seq Scan" && large.has(table)) yield `reads all of ${table}`;
  if (/Index/.test(type) && !node["Index Cond"] && !isLimited && rows > MANY_ROWS)
    yield `walks all of ${node["Index Name"]}`;
  if (/^(Sort|Incremental Sort|Hash|HashAggregate|Aggregate|Materialize|WindowAgg)$/.test(type)) {
    const most = Math.max(rows, ...(node.Plans ?? []).map((below) => below["Plan Rows"]));
    if (most > MANY_ROWS) yield `${type} of ${most} rows`;
  }
  // What sorts or hashes takes in everything below it, whatever limit is above.
  const passes = !/^(Sort|Hash|Aggregate|Materialize|WindowAgg)/.test(type);
  for (const below of node.Plans ?? []) yield* costlyNodes(below, large, type === "Limit" || (isLimited && passes));
}
