-- The foundation: jobs with their events and queue, the catalogue, access. Times are epoch milliseconds.
CREATE TABLE jobs (
  id               INTEGER PRIMARY KEY,
  kind             TEXT    NOT NULL,
  lane             TEXT    NOT NULL CHECK (lane IN ('fast', 'slow')),
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
-- A page of history reads the newest ids of each state it wants, whatever else it asks for: one index per question.
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_kind ON jobs (state, kind, id);
CREATE INDEX jobs_by_owner ON jobs (state, owner, id);
CREATE INDEX jobs_by_owner_and_kind ON jobs (state, owner, kind, id);
CREATE UNIQUE INDEX jobs_by_idempotency_key ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_fed ON jobs (state, fed_until) WHERE fed_until IS NOT NULL;

CREATE TABLE job_events (
  seq    INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id INTEGER NOT NULL REFERENCES jobs (id),
  at     INTEGER NOT NULL,
  type   TEXT    NOT NULL,
  data   TEXT    NOT NULL
);
CREATE INDEX job_events_by_job ON job_events (job_id, seq);

-- The embedded queue: one row per queued or delivered job. PostgreSQL uses pg-boss's tables instead.
CREATE TABLE job_queue (
  job_id       INTEGER PRIMARY KEY REFERENCES jobs (id),
  lane         TEXT    NOT NULL,
  due_at       INTEGER NOT NULL,
  worker       TEXT,
  receipt      TEXT,
  leased_until INTEGER
);
CREATE INDEX job_queue_due ON job_queue (lane, due_at, job_id);

CREATE TABLE transactions (
  id               INTEGER PRIMARY KEY,
  submitter        TEXT,
  project          TEXT,
  instrument       TEXT,
  owner            TEXT    NOT NULL,
  file_count       INTEGER NOT NULL,
  size_bytes       INTEGER NOT NULL,
  object_path      TEXT    NOT NULL,
  inventory_digest TEXT    NOT NULL,
  created_at       INTEGER NOT NULL
);
CREATE INDEX transactions_by_owner ON transactions (owner, id);

-- Written before the row of their transaction, and visible only with it: hence no foreign key.
CREATE TABLE files (
  id                 INTEGER PRIMARY KEY,
  transaction_id     INTEGER NOT NULL,
  path               TEXT    NOT NULL,
  content_path       TEXT    NOT NULL,
  size_bytes         INTEGER NOT NULL,
  modified_at        TEXT,
  changed_at         TEXT,
  media_type         TEXT    NOT NULL,
  digests            TEXT    NOT NULL,
  crc32              INTEGER NOT NULL,
  declared_algorithm TEXT    NOT NULL,
  declared_value     TEXT    NOT NULL
);
CREATE INDEX files_by_transaction ON files (transaction_id, id);

CREATE TABLE key_values (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  transaction_id INTEGER NOT NULL REFERENCES transactions (id),
  file_id        INTEGER,
  key            TEXT    NOT NULL,
  value          TEXT    NOT NULL
);
CREATE INDEX key_values_by_transaction ON key_values (transaction_id, id);

CREATE TABLE outbox (
  key         TEXT    PRIMARY KEY,
  channel     TEXT    NOT NULL,
  target      TEXT    NOT NULL,
  payload     TEXT    NOT NULL,
  attempts    INTEGER NOT NULL DEFAULT 0,
  due_at      INTEGER NOT NULL,
  last_reason TEXT,
  created_at  INTEGER NOT NULL
);
CREATE INDEX outbox_due ON outbox (due_at, key);

CREATE TABLE sequences (
  name TEXT PRIMARY KEY,
  last INTEGER NOT NULL
);

CREATE TABLE tokens (
  id           TEXT PRIMARY KEY,
  owner        TEXT    NOT NULL,
  scopes       TEXT    NOT NULL,
  secret_hash  TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER,
  revoked_at   INTEGER,
  last_used_at INTEGER
);

CREATE TABLE audit (
  seq           INTEGER PRIMARY KEY,
  at            INTEGER NOT NULL,
  actor         TEXT    NOT NULL,
  action        TEXT    NOT NULL,
  target        TEXT    NOT NULL,
  details       TEXT    NOT NULL,
  previous_hash TEXT    NOT NULL,
  hash          TEXT    NOT NULL
);
