-- Schedules and the history of their runs.

-- One lane more. SQLite changes no CHECK: the table is made anew, and what refers to it finds it again before the commit.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE jobs_kept AS SELECT * FROM jobs;
DROP TABLE jobs;
CREATE TABLE jobs (
  id               INTEGER PRIMARY KEY,
  kind             TEXT    NOT NULL,
  lane             TEXT    NOT NULL CHECK (lane IN ('fast', 'slow', 'run')),
  state            TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  owner            TEXT    NOT NULL,
  tasks            TEXT    NOT NULL DEFAULT '[]',
  attempts         INTEGER NOT NULL DEFAULT 0,
  error            TEXT,
  warnings         TEXT    NOT NULL DEFAULT '[]',
  input            TEXT    NOT NULL DEFAULT '{}',
  checkpoint       TEXT    NOT NULL DEFAULT '{}',
  result           TEXT    NOT NULL DEFAULT '{}',
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  idempotency_key  TEXT,
  fed_until        INTEGER,
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL,
  started_at       INTEGER,
  finished_at      INTEGER
);
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_kind ON jobs (state, kind, id);
CREATE INDEX jobs_by_owner ON jobs (state, owner, id);
CREATE INDEX jobs_by_owner_and_kind ON jobs (state, owner, kind, id);
CREATE UNIQUE INDEX jobs_by_idempotency_key ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_fed ON jobs (state, fed_until) WHERE fed_until IS NOT NULL;
INSERT INTO jobs SELECT * FROM jobs_kept;
DROP TABLE jobs_kept;

CREATE TABLE schedules (
  id           TEXT    NOT NULL PRIMARY KEY,
  name         TEXT    NOT NULL UNIQUE,
  owner        TEXT    NOT NULL,
  -- What was declared: when, what, and what about it.
  definition   TEXT    NOT NULL,
  -- 0 or 1.
  paused       INTEGER NOT NULL,
  -- Due with each start of a machine, and never by the clock: then next_due_at is null. 0 or 1.
  at_boot      INTEGER NOT NULL,
  next_due_at  INTEGER,
  -- The time by the clock when next_due_at was worked out.
  planned_at   INTEGER NOT NULL,
  -- When its silence is told of, and since when it has been.
  silent_at    INTEGER,
  silent_since INTEGER,
  created_at   INTEGER NOT NULL,
  changed_at   INTEGER NOT NULL
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
  number       INTEGER PRIMARY KEY AUTOINCREMENT,
  schedule     TEXT    NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
  -- Null where nothing was to be run.
  job          INTEGER UNIQUE,
  cause        TEXT    NOT NULL CHECK (cause IN ('due', 'late', 'boot', 'manual', 'test')),
  asked_by     TEXT,
  due_at       INTEGER NOT NULL,
  overlap      TEXT    NOT NULL CHECK (overlap IN ('skip', 'queue', 'kill')),
  state        TEXT    NOT NULL CHECK (state IN
    ('waiting', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled', 'lost', 'skipped', 'missed', 'replanned')),
  -- Why it is in this state, in a sentence.
  reason       TEXT,
  exit_code    INTEGER,
  signal       TEXT,
  output_bytes INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  started_at   INTEGER,
  finished_at  INTEGER
);
CREATE INDEX schedule_runs_by_schedule ON schedule_runs (schedule, number);
CREATE INDEX schedule_runs_open ON schedule_runs (schedule, number) WHERE state IN ('waiting', 'running');

-- Who may run: `schedule:<id>` or `lock:<name>`. A row lives as long as its run is running.
CREATE TABLE schedule_locks (
  key TEXT    NOT NULL PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES schedule_runs (number) ON DELETE CASCADE
);
CREATE INDEX schedule_locks_by_run ON schedule_locks (run);
