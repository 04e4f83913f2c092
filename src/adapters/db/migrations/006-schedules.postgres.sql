-- Schedules and the history of their runs.

ALTER TABLE jobs DROP CONSTRAINT jobs_lane_check;
ALTER TABLE jobs ADD CONSTRAINT jobs_lane_check CHECK (lane IN ('fast', 'slow', 'run'));

CREATE TABLE schedules (
  id           TEXT   NOT NULL PRIMARY KEY,
  name         TEXT   NOT NULL UNIQUE,
  owner        TEXT   NOT NULL,
  -- What was declared: when, what, and what about it.
  definition   TEXT   NOT NULL,
  -- 0 or 1.
  paused       BIGINT NOT NULL,
  -- Due with each start of a machine, and never by the clock: then next_due_at is null. 0 or 1.
  at_boot      BIGINT NOT NULL,
  next_due_at  BIGINT,
  -- The time by the clock when next_due_at was worked out.
  planned_at   BIGINT NOT NULL,
  -- When its silence is told of, and since when it has been.
  silent_at    BIGINT,
  silent_since BIGINT,
  created_at   BIGINT NOT NULL,
  changed_at   BIGINT NOT NULL
);
CREATE INDEX schedules_due ON schedules (next_due_at) WHERE next_due_at IS NOT NULL AND paused = 0;
CREATE INDEX schedules_planned ON schedules (planned_at) WHERE next_due_at IS NOT NULL AND paused = 0;
CREATE INDEX schedules_silent ON schedules (silent_at) WHERE silent_at IS NOT NULL;

-- Starts of machines that have been answered.
CREATE TABLE schedule_boots (
  schedule TEXT NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
  boot     TEXT NOT NULL,
  PRIMARY KEY (schedule, boot)
);

CREATE TABLE schedule_runs (
  number       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  schedule     TEXT   NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
  -- Null where nothing was to be run.
  job          BIGINT UNIQUE,
  cause        TEXT   NOT NULL CHECK (cause IN ('due', 'late', 'boot', 'manual', 'test')),
  asked_by     TEXT,
  due_at       BIGINT NOT NULL,
  overlap      TEXT   NOT NULL CHECK (overlap IN ('skip', 'queue', 'kill')),
  state        TEXT   NOT NULL CHECK (state IN
    ('waiting', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled', 'lost', 'skipped', 'missed', 'replanned')),
  -- Why it is in this state, in a sentence.
  reason       TEXT,
  exit_code    BIGINT,
  signal       TEXT,
  output_bytes BIGINT NOT NULL,
  created_at   BIGINT NOT NULL,
  started_at   BIGINT,
  finished_at  BIGINT
);
CREATE INDEX schedule_runs_by_schedule ON schedule_runs (schedule, number);
CREATE INDEX schedule_runs_open ON schedule_runs (schedule, number) WHERE state IN ('waiting', 'running');

-- Who may run: `schedule:<id>` or `lock:<name>`. A row lives as long as its run is running.
CREATE TABLE schedule_locks (
  key TEXT   NOT NULL PRIMARY KEY,
  run BIGINT NOT NULL REFERENCES schedule_runs (number) ON DELETE CASCADE
);
CREATE INDEX schedule_locks_by_run ON schedule_locks (run);
