-- A job is found among those that are open or among those that are over: one that is begun or queued again moves in a single
-- index, and not in the four that pages of history are read from (docs/decisions/022-queue-measured.md).
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

-- Since migration 12 a claim reads job_queue_line.
DROP INDEX job_queue_due;
