-- Registers: tables of requests, each with a status.
-- The tables of the embedded database, with bigint where SQLite's integers are 64 bits anyway.

CREATE TABLE registers (
  name        TEXT    PRIMARY KEY,
  -- As it was declared, JSON.
  declaration TEXT    NOT NULL,
  source      TEXT    NOT NULL CHECK (source IN ('file', 'api')),
  -- Grows with every change of the declaration: whoever judged an entry by an earlier one judges anew.
  revision    BIGINT NOT NULL,
  -- The last id of an entry that was given out.
  last_id     BIGINT NOT NULL,
  -- Always null here.
  view_name   TEXT,
  updated_at  BIGINT NOT NULL
);

CREATE TABLE register_entries (
  number     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  register   TEXT    NOT NULL REFERENCES registers (name),
  id         BIGINT NOT NULL,
  owner      TEXT    NOT NULL,
  status     TEXT    NOT NULL,
  version    BIGINT NOT NULL,
  attempts   BIGINT NOT NULL,
  reason     TEXT,
  -- JSON, in the order of the declaration.
  fields     TEXT    NOT NULL,
  -- Of the action of its status.
  job        BIGINT,
  -- 1 when the action can no longer be stopped.
  settled    BIGINT NOT NULL,
  -- When the status expires, or the entry is removed.
  due_at     BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
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
  entry    BIGINT NOT NULL,
  PRIMARY KEY (register, field, value, entry)
);
CREATE INDEX register_values_by_entry ON register_values (register, entry);

-- What no two entries have in common: values of unique fields, and the keys of requests.
CREATE TABLE register_keys (
  register TEXT    NOT NULL,
  key      TEXT    NOT NULL,
  entry    BIGINT NOT NULL,
  PRIMARY KEY (register, key)
);
CREATE INDEX register_keys_by_entry ON register_keys (register, entry);

-- The history of entries, which outlives them.
CREATE TABLE register_events (
  seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  register    TEXT    NOT NULL,
  entry       BIGINT NOT NULL,
  at          BIGINT NOT NULL,
  actor       TEXT    NOT NULL,
  from_status TEXT,
  to_status   TEXT,
  reason      TEXT,
  -- JSON: names of the fields that changed.
  changed     TEXT    NOT NULL
);
CREATE INDEX register_events_by_entry ON register_events (register, entry, seq);
