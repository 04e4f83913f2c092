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
