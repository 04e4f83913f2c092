-- Carts: what was chosen, how its downloads are laid out, how often it was fetched; and the staging cache.

-- A cart's number orders carts by age and is what its rows refer to; its id is what clients know.
CREATE TABLE carts (
  number          INTEGER PRIMARY KEY AUTOINCREMENT,
  id              TEXT    NOT NULL UNIQUE,
  uid             TEXT,
  name            TEXT    NOT NULL,
  owner           TEXT    NOT NULL,
  status          TEXT    NOT NULL CHECK (status IN ('waiting', 'staging', 'ready', 'error', 'expired')),
  algorithm       TEXT    NOT NULL,
  file_count      INTEGER NOT NULL DEFAULT 0,
  size_bytes      INTEGER NOT NULL DEFAULT 0,
  staged_files    INTEGER NOT NULL DEFAULT 0,
  staged_bytes    INTEGER NOT NULL DEFAULT 0,
  ready_at        INTEGER,
  stage_job       INTEGER,
  problems        TEXT    NOT NULL DEFAULT '[]',
  problem_count   INTEGER NOT NULL DEFAULT 0,
  last_used_at    INTEGER,
  expires_at      INTEGER,
  created_at      INTEGER NOT NULL,
  updated_at      INTEGER NOT NULL,
  -- 1 from its removal on: nobody finds the cart any more, and its rows go in batches.
  removed         INTEGER NOT NULL DEFAULT 0,
  -- 1 while a cart that was removed or has expired has entries or layouts still.
  to_sweep        INTEGER NOT NULL DEFAULT 0,
  -- Of the downloads, those carried over to files and transactions; and those being carried over, from entry tally_seq on.
  downloads       INTEGER NOT NULL DEFAULT 0,
  downloaded_at   INTEGER,
  tallied         INTEGER NOT NULL DEFAULT 0,
  tallying        INTEGER NOT NULL DEFAULT 0,
  tally_seq       INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX carts_by_uid ON carts (uid, number) WHERE uid IS NOT NULL AND removed = 0;
-- A page reads the newest numbers of each status it wants, for one owner or all.
CREATE INDEX carts_by_status ON carts (status, number) WHERE removed = 0;
CREATE INDEX carts_by_owner ON carts (status, owner, number) WHERE removed = 0;
CREATE INDEX carts_expiring ON carts (expires_at) WHERE expires_at IS NOT NULL AND status <> 'expired' AND removed = 0;
CREATE INDEX carts_unused ON carts (coalesce(last_used_at, created_at))
  WHERE expires_at IS NULL AND status <> 'expired' AND removed = 0;
CREATE INDEX carts_by_change ON carts (status, updated_at) WHERE removed = 0;
CREATE INDEX carts_to_sweep ON carts (number) WHERE to_sweep = 1;
CREATE INDEX carts_to_tally ON carts (number) WHERE downloads > tallied;

-- What a file of the archive is stands in files, which never change: its columns after file_id are set only as far as
-- staging had to find out.
CREATE TABLE cart_entries (
  cart               INTEGER NOT NULL REFERENCES carts (number),
  seq                INTEGER NOT NULL,
  path               TEXT    NOT NULL,
  file_id            INTEGER,
  size_bytes         INTEGER,
  modified_at        INTEGER,
  crc32              INTEGER,
  digest             TEXT,
  -- Archive, staged or remote, and the path, key or id there; NULL for a file of the archive that lies there.
  location           TEXT,
  located_at         TEXT,
  expected_algorithm TEXT,
  expected_value     TEXT,
  unstaged           INTEGER NOT NULL,
  PRIMARY KEY (cart, seq)
) WITHOUT ROWID;
CREATE INDEX cart_entries_unstaged ON cart_entries (unstaged, cart, seq) WHERE unstaged = 1;
CREATE INDEX cart_entries_staged ON cart_entries (located_at, cart) WHERE location = 'staged';

CREATE TABLE cart_layouts (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  cart   INTEGER NOT NULL REFERENCES carts (number),
  key    TEXT    NOT NULL,
  layout TEXT    NOT NULL,
  UNIQUE (cart, key)
);

CREATE TABLE cart_checkpoints (
  layout    INTEGER NOT NULL REFERENCES cart_layouts (number),
  seq       INTEGER NOT NULL,
  members   INTEGER NOT NULL,
  directory INTEGER NOT NULL,
  manifest  INTEGER NOT NULL,
  PRIMARY KEY (layout, seq)
) WITHOUT ROWID;
CREATE INDEX cart_checkpoints_by_members ON cart_checkpoints (layout, members, seq);
CREATE INDEX cart_checkpoints_by_directory ON cart_checkpoints (layout, directory, seq);
CREATE INDEX cart_checkpoints_by_manifest ON cart_checkpoints (layout, manifest, seq);

-- How many of a cart's downloads a transaction has been credited with: once each, however many of its files are in it.
CREATE TABLE cart_transactions (
  cart           INTEGER NOT NULL REFERENCES carts (number),
  transaction_id INTEGER NOT NULL,
  tallied        INTEGER NOT NULL,
  PRIMARY KEY (cart, transaction_id)
) WITHOUT ROWID;

CREATE TABLE download_counts (
  subject            TEXT    NOT NULL CHECK (subject IN ('file', 'transaction')),
  id                 INTEGER NOT NULL,
  downloads          INTEGER NOT NULL,
  last_downloaded_at INTEGER NOT NULL,
  PRIMARY KEY (subject, id)
) WITHOUT ROWID;

CREATE TABLE staged_files (
  key          TEXT    PRIMARY KEY,
  path         TEXT    NOT NULL UNIQUE,
  size_bytes   INTEGER NOT NULL,
  state        TEXT    NOT NULL CHECK (state IN ('reserved', 'present')),
  crc32        INTEGER,
  digests      TEXT    NOT NULL DEFAULT '{}',
  last_used_at INTEGER NOT NULL
);
CREATE INDEX staged_files_by_use ON staged_files (state, last_used_at);
-- What the rows of staged_files add up to: one row, whose lock keeps decisions about space apart.
CREATE TABLE staging_usage (
  id             INTEGER PRIMARY KEY CHECK (id = 1),
  files          INTEGER NOT NULL DEFAULT 0,
  bytes          INTEGER NOT NULL DEFAULT 0,
  reserved_bytes INTEGER NOT NULL DEFAULT 0
);
INSERT INTO staging_usage (id) VALUES (1);

-- For choosing by what a transaction is.
CREATE INDEX transactions_by_submitter ON transactions (submitter, id);
CREATE INDEX transactions_by_project ON transactions (project, id);
CREATE INDEX transactions_by_instrument ON transactions (instrument, id);
