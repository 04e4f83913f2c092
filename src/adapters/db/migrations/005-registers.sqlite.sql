-- Registers: tables of requests, each with a status.

CREATE TABLE registers (
  name        TEXT    PRIMARY KEY,
  -- As it was declared, JSON.
  declaration TEXT    NOT NULL,
  source      TEXT    NOT NULL CHECK (source IN ('file', 'api')),
  -- Grows with every change of the declaration: whoever judged an entry by an earlier one judges anew.
  revision    INTEGER NOT NULL,
  -- The last id of an entry that was given out.
  last_id     INTEGER NOT NULL,
  -- Of the view over the entries in this file; SQLite only.
  view_name   TEXT,
  updated_at  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE register_entries (
  number     INTEGER PRIMARY KEY,
  register   TEXT    NOT NULL REFERENCES registers (name),
  id         INTEGER NOT NULL,
  owner      TEXT    NOT NULL,
  status     TEXT    NOT NULL,
  version    INTEGER NOT NULL,
  attempts   INTEGER NOT NULL,
  reason     TEXT,
  -- JSON, in the order of the declaration.
  fields     TEXT    NOT NULL,
  -- Of the action of its status.
  job        INTEGER,
  -- 1 when the action can no longer be stopped.
  settled    INTEGER NOT NULL,
  -- When the status expires, or the entry is removed.
  due_at     INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX register_entries_by_id ON register_entries (register, id);
CREATE INDEX register_entries_by_status ON register_entries (register, status, id);
CREATE INDEX register_entries_by_owner ON register_entries (register, owner, id);
CREATE INDEX register_entries_due ON register_entries (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX register_entries_idle ON register_entries (register, status) WHERE job IS NULL;

-- What entries are found by: each field that is not null. `value` is its JSON, of a long one the beginning and a digest.
CREATE TABLE register_values (
  register TEXT    NOT NULL,
  field    TEXT    NOT NULL,
  value    TEXT    NOT NULL,
  entry    INTEGER NOT NULL,
  PRIMARY KEY (register, field, value, entry)
) WITHOUT ROWID;
CREATE INDEX register_values_by_entry ON register_values (register, entry);

-- What no two entries have in common: values of unique fields, and the keys of requests.
CREATE TABLE register_keys (
  register TEXT    NOT NULL,
  key      TEXT    NOT NULL,
  entry    INTEGER NOT NULL,
  PRIMARY KEY (register, key)
) WITHOUT ROWID;
CREATE INDEX register_keys_by_entry ON register_keys (register, entry);

-- The history of entries, which outlives them.
CREATE TABLE register_events (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  register    TEXT    NOT NULL,
  entry       INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  actor       TEXT    NOT NULL,
  from_status TEXT,
  to_status   TEXT,
  reason      TEXT,
  -- JSON: names of the fields that changed.
  changed     TEXT    NOT NULL
);
CREATE INDEX register_events_by_entry ON register_events (register, entry, seq);
