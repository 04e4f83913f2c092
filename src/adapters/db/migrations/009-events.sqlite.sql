-- What the audit log says beside who did what: with which software, and how it came out. NULL in entries of before.
ALTER TABLE audit ADD COLUMN software TEXT;
ALTER TABLE audit ADD COLUMN outcome TEXT CHECK (outcome IN ('success', 'failure'));
CREATE INDEX audit_by_target ON audit (target, seq);

-- When the bytes of each transaction were last read and compared, and how that came out.
CREATE TABLE fixity_checks (
  transaction_id INTEGER PRIMARY KEY,
  size_bytes     INTEGER NOT NULL,
  -- 0: never.
  checked_at     INTEGER NOT NULL DEFAULT 0,
  outcome        TEXT    CHECK (outcome IN ('success', 'failure')),
  problem_count  INTEGER NOT NULL DEFAULT 0,
  -- The first of them, JSON.
  problems       TEXT    NOT NULL DEFAULT '[]',
  -- JSON: how far a check has come that was interrupted; NULL when there is none.
  progress       TEXT
);
CREATE INDEX fixity_checks_by_age ON fixity_checks (checked_at, transaction_id);
CREATE INDEX fixity_checks_failed ON fixity_checks (transaction_id) WHERE outcome = 'failure';
INSERT INTO fixity_checks (transaction_id, size_bytes) SELECT id, size_bytes FROM transactions;

-- What was read on one day (YYYY-MM-DD, UTC), by all runs together.
CREATE TABLE fixity_days (
  day      TEXT    PRIMARY KEY,
  bytes    INTEGER NOT NULL,
  busy_ms  INTEGER NOT NULL,
  checks   INTEGER NOT NULL,
  failures INTEGER NOT NULL
);
