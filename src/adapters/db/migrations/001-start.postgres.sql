-- The foundation: jobs with their events, the catalogue, access. Times are epoch milliseconds.
-- The tables of the embedded database, with bigint where SQLite's integers are 64 bits anyway; pg-boss adds its own schema.
CREATE TABLE jobs (
  id               BIGINT PRIMARY KEY,
  kind             TEXT    NOT NULL,
  lane             TEXT    NOT NULL CHECK (lane IN ('fast', 'slow')),
  state            TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  owner            TEXT    NOT NULL,
  tasks            TEXT    NOT NULL DEFAULT '[]',
  attempts         BIGINT NOT NULL DEFAULT 0,
  error            TEXT,
  warnings         TEXT    NOT NULL DEFAULT '[]',
  input            TEXT    NOT NULL DEFAULT '{}',
  checkpoint       TEXT    NOT NULL DEFAULT '{}',
  result           TEXT    NOT NULL DEFAULT '{}',
  cancel_requested BIGINT NOT NULL DEFAULT 0,
  idempotency_key  TEXT,
  fed_until        BIGINT,
  created_at       BIGINT NOT NULL,
  updated_at       BIGINT NOT NULL,
  started_at       BIGINT,
  finished_at      BIGINT
);
-- A page of history reads the newest ids of each state it wants, whatever else it asks for: one index per question.
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_kind ON jobs (state, kind, id);
CREATE INDEX jobs_by_owner ON jobs (state, owner, id);
CREATE INDEX jobs_by_owner_and_kind ON jobs (state, owner, kind, id);
CREATE UNIQUE INDEX jobs_by_idempotency_key ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_fed ON jobs (state, fed_until) WHERE fed_until IS NOT NULL;

CREATE TABLE job_events (
  seq    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id BIGINT NOT NULL REFERENCES jobs (id),
  at     BIGINT NOT NULL,
  type   TEXT    NOT NULL,
  data   TEXT    NOT NULL
);
CREATE INDEX job_events_by_job ON job_events (job_id, seq);

CREATE TABLE transactions (
  id               BIGINT PRIMARY KEY,
  submitter        TEXT,
  project          TEXT,
  instrument       TEXT,
  owner            TEXT    NOT NULL,
  file_count       BIGINT NOT NULL,
  size_bytes       BIGINT NOT NULL,
  object_path      TEXT    NOT NULL,
  inventory_digest TEXT    NOT NULL,
  created_at       BIGINT NOT NULL
);
CREATE INDEX transactions_by_owner ON transactions (owner, id);

-- Written before the row of their transaction, and visible only with it: hence no foreign key.
CREATE TABLE files (
  id                 BIGINT PRIMARY KEY,
  transaction_id     BIGINT NOT NULL,
  path               TEXT    NOT NULL,
  content_path       TEXT    NOT NULL,
  size_bytes         BIGINT NOT NULL,
  modified_at        TEXT,
  changed_at         TEXT,
  media_type         TEXT    NOT NULL,
  digests            TEXT    NOT NULL,
  crc32              BIGINT NOT NULL,
  declared_algorithm TEXT    NOT NULL,
  declared_value     TEXT    NOT NULL
);
CREATE INDEX files_by_transaction ON files (transaction_id, id);

CREATE TABLE key_values (
  id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  transaction_id BIGINT NOT NULL REFERENCES transactions (id),
  file_id        BIGINT,
  key            TEXT    NOT NULL,
  value          TEXT    NOT NULL
);
CREATE INDEX key_values_by_transaction ON key_values (transaction_id, id);

CREATE TABLE outbox (
  key         TEXT    PRIMARY KEY,
  channel     TEXT    NOT NULL,
  target      TEXT    NOT NULL,
  payload     TEXT    NOT NULL,
  attempts    BIGINT NOT NULL DEFAULT 0,
  due_at      BIGINT NOT NULL,
  last_reason TEXT,
  created_at  BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (due_at, key);

CREATE TABLE sequences (
  name TEXT PRIMARY KEY,
  last BIGINT NOT NULL
);

CREATE TABLE tokens (
  id           TEXT PRIMARY KEY,
  owner        TEXT    NOT NULL,
  scopes       TEXT    NOT NULL,
  secret_hash  TEXT    NOT NULL,
  created_at   BIGINT NOT NULL,
  expires_at   BIGINT,
  revoked_at   BIGINT,
  last_used_at BIGINT
);

CREATE TABLE audit (
  seq           BIGINT PRIMARY KEY,
  at            BIGINT NOT NULL,
  actor         TEXT    NOT NULL,
  action        TEXT    NOT NULL,
  target        TEXT    NOT NULL,
  details       TEXT    NOT NULL,
  previous_hash TEXT    NOT NULL,
  hash          TEXT    NOT NULL
);
