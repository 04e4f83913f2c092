-- A job is found among those that are open or among those that are over: one that is begun or queued again gets a new line in
-- a single index, and not in the four that pages of history are read from (docs/decisions/022-queue-measured.md).
DROP INDEX jobs_by_state;
DROP INDEX jobs_by_kind;
DROP INDEX jobs_by_owner;
DROP INDEX jobs_by_owner_and_kind;
CREATE INDEX jobs_open ON jobs (state, id, owner, kind) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_over ON jobs (state, id) WHERE state IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX jobs_over_by_kind ON jobs (state, kind, id) WHERE state IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX jobs_over_by_owner ON jobs (state, owner, id) WHERE state IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX jobs_over_by_owner_and_kind ON jobs (state, owner, kind, id)
  WHERE state IN ('succeeded', 'failed', 'cancelled');

-- A line of a history is written in the transaction that makes or changes its job, and jobs stay: asking for the job with
-- each line, and locking it, was a fifth of what a job costs the server.
DO $$
DECLARE
  found TEXT;
BEGIN
  FOR found IN SELECT conname FROM pg_constraint WHERE conrelid = 'job_events'::regclass AND contype = 'f' LOOP
    EXECUTE format('ALTER TABLE job_events DROP CONSTRAINT %I', found);
  END LOOP;
END $$;

-- The fifth of a table that autovacuum waits for by default is a million jobs some day, and those that came and went lie in
-- jobs_open until then.
ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 20000,
  autovacuum_analyze_scale_factor = 0.02);

-- The lines are pg-boss's table, which is empty at one moment and holds a hundred thousand at the next. What its statistics say
-- is wrong most of the time, and a plan made by them reads or sorts everything (83 ms for a claim with 20,000 waiting, instead
-- of 4 ms). So both functions leave the planner no choice. The table is made by pg-boss, after this.

-- The head of a line is claimed: what pg-boss's own fetch does, but for some kinds only, and moving the line on, unless
-- another claim is just doing that, so that nobody waits. What was locked stays where it is, and is changed there.
CREATE FUNCTION claim_jobs(line TEXT, at_most BIGINT, kinds TEXT[])
  RETURNS TABLE (id UUID, attempt INTEGER, job_id BIGINT, rank INTEGER)
  LANGUAGE plpgsql
  SET enable_sort = off SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  -- Until the transaction ends, which need not wait for the disk: that a claimed job is begun does, and then both are there.
  PERFORM set_config('synchronous_commit', 'off', true);
  RETURN QUERY
  WITH next AS MATERIALIZED (
    SELECT ctid AS place FROM pgboss.job_common
    WHERE name = line AND state < 'active' AND NOT blocked AND start_after <= pgboss.job_now()
      AND (kinds IS NULL OR group_id IS NULL OR group_id = ANY (kinds))
    ORDER BY priority DESC, created_on LIMIT at_most FOR UPDATE SKIP LOCKED
  ), claimed AS (
    UPDATE pgboss.job_common SET state = 'active', started_on = pgboss.job_now(), heartbeat_on = pgboss.job_now(),
      retry_count = CASE WHEN started_on IS NULL THEN retry_count ELSE retry_count + 1 END
    WHERE ctid = ANY (ARRAY(SELECT place FROM next))
    RETURNING id, retry_count AS attempt, CAST(data ->> 'jobId' AS BIGINT) AS job_id, -priority AS rank
  ), moved AS (
    UPDATE job_lanes SET reached = served.rank
    FROM (SELECT max(rank) AS rank FROM claimed) AS served,
      (SELECT lane FROM job_lanes WHERE lane = line FOR UPDATE SKIP LOCKED) AS ours
    WHERE job_lanes.lane = ours.lane AND reached < served.rank
  )
  SELECT claimed.id, claimed.attempt, claimed.job_id, claimed.rank FROM claimed ORDER BY claimed.rank, claimed.job_id;
END $$;

-- Takes jobs out of a line, whoever holds them, each by pg-boss's unique index, in whose words the condition is.
CREATE FUNCTION dequeue_jobs(line TEXT, keys TEXT[]) RETURNS VOID
  LANGUAGE plpgsql
  SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
  key TEXT;
BEGIN
  FOREACH key IN ARRAY keys LOOP
    DELETE FROM pgboss.job_common
    WHERE name = line AND coalesce(singleton_key, '') = key AND state <= 'active' AND policy = 'exclusive';
  END LOOP;
END $$;
