-- Priorities and fair shares; the lines themselves are pg-boss's.

-- From -10 to 10; higher is begun sooner.
ALTER TABLE jobs ADD COLUMN priority BIGINT NOT NULL DEFAULT 0;

-- The last turn that was given to the jobs of one owner and priority: see adapters/queue/turns.ts.
CREATE TABLE job_turns (
  lane     TEXT   NOT NULL,
  owner    TEXT   NOT NULL,
  priority BIGINT NOT NULL,
  last     BIGINT NOT NULL,
  PRIMARY KEY (lane, owner, priority)
);
CREATE INDEX job_turns_last ON job_turns (lane, (last + 100 * priority));

-- The turn that each line has come to.
CREATE TABLE job_lanes (
  lane    TEXT   NOT NULL PRIMARY KEY,
  reached BIGINT NOT NULL
);
INSERT INTO job_lanes (lane, reached) VALUES ('fast', 0), ('slow', 0), ('run', 0);
