-- Priorities, fair shares, and workers that do some kinds of jobs only.

-- From -10 to 10; higher is begun sooner.
ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;

-- Where a job stands in its lane's line: see adapters/queue/turns.ts. '' is a kind that the release before did not note.
ALTER TABLE job_queue ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_queue ADD COLUMN kind TEXT NOT NULL DEFAULT '';
UPDATE job_queue SET kind = (SELECT kind FROM jobs WHERE jobs.id = job_queue.job_id);
-- What can be claimed at once has due_at 0 and no receipt: it is found in order of rank, and nothing else is read.
CREATE INDEX job_queue_line ON job_queue (lane, due_at, receipt, rank, job_id, kind);
CREATE INDEX job_queue_leases ON job_queue (leased_until) WHERE leased_until IS NOT NULL;

-- The last turn that was given to the jobs of one owner and priority.
CREATE TABLE job_turns (
  lane     TEXT    NOT NULL,
  owner    TEXT    NOT NULL,
  priority INTEGER NOT NULL,
  last     INTEGER NOT NULL,
  PRIMARY KEY (lane, owner, priority)
);
CREATE INDEX job_turns_last ON job_turns (lane, last + 100 * priority);

-- The turn that each line has come to.
CREATE TABLE job_lanes (
  lane    TEXT    NOT NULL PRIMARY KEY,
  reached INTEGER NOT NULL
);
INSERT INTO job_lanes (lane, reached) VALUES ('fast', 0), ('slow', 0), ('run', 0);

-- Part of the one statement that claims: the line has come to what is delivered.
CREATE TRIGGER job_queue_delivered AFTER UPDATE OF receipt ON job_queue
WHEN new.receipt IS NOT NULL AND old.receipt IS NULL
BEGIN
  UPDATE job_lanes SET reached = new.rank WHERE lane = new.lane AND reached < new.rank;
END;
