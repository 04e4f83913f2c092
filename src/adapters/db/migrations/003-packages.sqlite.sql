-- Packages, the orders for them, and what is counted of both.
CREATE TABLE packages (
  number       INTEGER PRIMARY KEY AUTOINCREMENT,
  id           TEXT    NOT NULL UNIQUE,
  cache_key    TEXT    NOT NULL,
  recipe       TEXT    NOT NULL,
  status       TEXT    NOT NULL CHECK (status IN ('building', 'ready', 'failed', 'expired')),
  lane         TEXT    NOT NULL CHECK (lane IN ('fast', 'slow')),
  job          INTEGER NOT NULL,
  -- The user's key at the portal, encrypted; until the package is made or given up.
  sealed_key   TEXT,
  file_name    TEXT,
  size_bytes   INTEGER,
  digest       TEXT,
  row_count    INTEGER,
  members      TEXT    NOT NULL DEFAULT '[]',
  error        TEXT,
  fresh_until  INTEGER,
  -- The last of its links works until then; of a package that is over, when it ended.
  keep_until   INTEGER,
  -- 1 while new orders may share it.
  live         INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  finished_at  INTEGER,
  last_used_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX packages_live ON packages (cache_key) WHERE live = 1;
CREATE INDEX packages_due ON packages (keep_until) WHERE status = 'ready';
CREATE INDEX packages_over ON packages (keep_until) WHERE status IN ('failed', 'expired');
CREATE INDEX packages_by_use ON packages (last_used_at, size_bytes) WHERE status = 'ready';
CREATE INDEX packages_by_file ON packages (file_name) WHERE file_name IS NOT NULL;

CREATE TABLE package_orders (
  number          INTEGER PRIMARY KEY AUTOINCREMENT,
  id              TEXT    NOT NULL UNIQUE,
  package         INTEGER NOT NULL REFERENCES packages (number),
  owner           TEXT    NOT NULL,
  email           TEXT,
  webhook         TEXT,
  door            INTEGER NOT NULL,
  link_expires_at INTEGER,
  link_generation INTEGER NOT NULL DEFAULT 0,
  downloads       INTEGER NOT NULL DEFAULT 0,
  created_at      INTEGER NOT NULL,
  told_at         INTEGER,
  refused         TEXT
);
CREATE INDEX package_orders_by_package ON package_orders (package, number);
CREATE INDEX package_orders_by_owner ON package_orders (owner, number);

-- The order is named, not referred to: what is logged outlives it.
CREATE TABLE package_requests (
  number      INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id    TEXT    NOT NULL UNIQUE,
  at          INTEGER NOT NULL,
  resource_id TEXT    NOT NULL,
  email       TEXT,
  domain      TEXT,
  count       TEXT,
  size_bytes  INTEGER NOT NULL,
  row_count   INTEGER NOT NULL
);
CREATE INDEX package_requests_by_time ON package_requests (at, number);
CREATE INDEX package_requests_by_resource ON package_requests (resource_id, at, number);
CREATE INDEX package_requests_by_email ON package_requests (email, at, number);

CREATE TABLE package_errors (
  number      INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id    TEXT    NOT NULL UNIQUE,
  at          INTEGER NOT NULL,
  resource_id TEXT    NOT NULL,
  email       TEXT,
  message     TEXT    NOT NULL
);
CREATE INDEX package_errors_by_time ON package_errors (at, number);
CREATE INDEX package_errors_by_resource ON package_errors (resource_id, at, number);
CREATE INDEX package_errors_by_email ON package_errors (email, at, number);

-- Who has been seen with a resource, and at all: resource '*'.
CREATE TABLE package_requesters (
  resource_id TEXT NOT NULL,
  email       TEXT NOT NULL,
  PRIMARY KEY (resource_id, email)
) WITHOUT ROWID;

-- By day (its first moment in UTC), and in all: day -1.
CREATE TABLE package_counts (
  resource_id TEXT    NOT NULL,
  day         INTEGER NOT NULL,
  emails      INTEGER NOT NULL,
  requests    INTEGER NOT NULL,
  errors      INTEGER NOT NULL,
  bytes       INTEGER NOT NULL,
  rows        INTEGER NOT NULL,
  PRIMARY KEY (resource_id, day)
) WITHOUT ROWID;
CREATE INDEX package_counts_in_all ON package_counts (resource_id) WHERE day = -1;
