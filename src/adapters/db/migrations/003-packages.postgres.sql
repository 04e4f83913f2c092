-- Packages, the orders for them, and what is counted of both.
-- The tables of the embedded database, with bigint where SQLite's integers are 64 bits anyway.
CREATE TABLE packages (
  number       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id           TEXT    NOT NULL UNIQUE,
  cache_key    TEXT    NOT NULL,
  recipe       TEXT    NOT NULL,
  status       TEXT    NOT NULL CHECK (status IN ('building', 'ready', 'failed', 'expired')),
  lane         TEXT    NOT NULL CHECK (lane IN ('fast', 'slow')),
  job          BIGINT NOT NULL,
  -- The user's key at the portal, encrypted; until the package is made or given up.
  sealed_key   TEXT,
  file_name    TEXT,
  size_bytes   BIGINT,
  digest       TEXT,
  row_count    BIGINT,
  members      TEXT    NOT NULL DEFAULT '[]',
  error        TEXT,
  fresh_until  BIGINT,
  -- The last of its links works until then; of a package that is over, when it ended.
  keep_until   BIGINT,
  -- 1 while new orders may share it.
  live         BIGINT NOT NULL,
  created_at   BIGINT NOT NULL,
  finished_at  BIGINT,
  last_used_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX packages_live ON packages (cache_key) WHERE live = 1;
CREATE INDEX packages_due ON packages (keep_until) WHERE status = 'ready';
CREATE INDEX packages_over ON packages (keep_until) WHERE status IN ('failed', 'expired');
CREATE INDEX packages_by_use ON packages (last_used_at, size_bytes) WHERE status = 'ready';
CREATE INDEX packages_by_file ON packages (file_name) WHERE file_name IS NOT NULL;

CREATE TABLE package_orders (
  number          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id              TEXT    NOT NULL UNIQUE,
  package         BIGINT NOT NULL REFERENCES packages (number),
  owner           TEXT    NOT NULL,
  email           TEXT,
  webhook         TEXT,
  door            BIGINT NOT NULL,
  link_expires_at BIGINT,
  link_generation BIGINT NOT NULL DEFAULT 0,
  downloads       BIGINT NOT NULL DEFAULT 0,
  created_at      BIGINT NOT NULL,
  told_at         BIGINT,
  refused         TEXT
);
CREATE INDEX package_orders_by_package ON package_orders (package, number);
CREATE INDEX package_orders_by_owner ON package_orders (owner, number);

-- The order is named, not referred to: what is logged outlives it.
CREATE TABLE package_requests (
  number      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  order_id    TEXT    NOT NULL UNIQUE,
  at          BIGINT NOT NULL,
  resource_id TEXT    NOT NULL,
  email       TEXT,
  domain      TEXT,
  count       TEXT,
  size_bytes  BIGINT NOT NULL,
  row_count   BIGINT NOT NULL
);
CREATE INDEX package_requests_by_time ON package_requests (at, number);
CREATE INDEX package_requests_by_resource ON package_requests (resource_id, at, number);
CREATE INDEX package_requests_by_email ON package_requests (email, at, number);

CREATE TABLE package_errors (
  number      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  order_id    TEXT    NOT NULL UNIQUE,
  at          BIGINT NOT NULL,
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
);

-- By day (its first moment in UTC), and in all: day -1.
CREATE TABLE package_counts (
  resource_id TEXT    NOT NULL,
  day         BIGINT NOT NULL,
  emails      BIGINT NOT NULL,
  requests    BIGINT NOT NULL,
  errors      BIGINT NOT NULL,
  bytes       BIGINT NOT NULL,
  rows        BIGINT NOT NULL,
  PRIMARY KEY (resource_id, day)
);
CREATE INDEX package_counts_in_all ON package_counts (resource_id) WHERE day = -1;
