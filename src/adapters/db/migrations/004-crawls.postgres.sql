-- Crawls and what they found, extractions and their records, what search has not been told yet, and saved queries.
-- The tables of the embedded database, with bigint where SQLite's integers are 64 bits anyway.

-- A crawl's number orders crawls by age and is what its rows refer to; its id is what clients know.
CREATE TABLE crawls (
  number        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id            TEXT    NOT NULL UNIQUE,
  owner         TEXT    NOT NULL,
  status        TEXT    NOT NULL CHECK (status IN ('initializing', 'crawling', 'complete', 'partial', 'failed', 'cancelled')),
  endpoints     TEXT    NOT NULL,
  -- The id of a crawl that may be gone by now.
  previous      TEXT,
  job           BIGINT NOT NULL,
  error         TEXT,
  directories   BIGINT NOT NULL,
  files         BIGINT NOT NULL,
  bytes         BIGINT NOT NULL,
  groups        BIGINT NOT NULL,
  families      BIGINT NOT NULL,
  others        BIGINT NOT NULL,
  errors        BIGINT NOT NULL,
  -- Against the previous crawl.
  new_files     BIGINT NOT NULL,
  changed_files BIGINT NOT NULL,
  same_files    BIGINT NOT NULL,
  gone_files    BIGINT NOT NULL,
  -- The last seq of crawl_batches and the last number of crawl_folders that were given out.
  last_seq      BIGINT NOT NULL,
  last_folder   BIGINT NOT NULL,
  created_at    BIGINT NOT NULL,
  started_at    BIGINT,
  finished_at   BIGINT,
  -- 1 from its removal on: nobody finds the crawl any more, and its rows go in batches.
  removed       BIGINT NOT NULL
);
CREATE INDEX crawls_by_owner ON crawls (owner, number) WHERE removed = 0;
CREATE INDEX crawls_to_sweep ON crawls (number) WHERE removed = 1;

-- Of crawl_folders and crawl_batches, `folder` is the path; of a very long one, its beginning with a digest, and
-- `long_folder` is the path: an index of PostgreSQL takes 2,704 bytes at most.
CREATE TABLE crawl_folders (
  crawl       BIGINT NOT NULL REFERENCES crawls (number),
  endpoint    BIGINT NOT NULL,
  folder      TEXT    NOT NULL,
  long_folder TEXT,
  -- In the order in which folders became known.
  number      BIGINT NOT NULL,
  -- 1 when it has been listed to its end.
  listed      BIGINT NOT NULL,
  PRIMARY KEY (crawl, endpoint, folder)
);
CREATE INDEX crawl_folders_unlisted ON crawl_folders (crawl, number) WHERE listed = 0;

-- Some files of one folder. `files` is JSON: {"names": […], "sizes": […], "times": […], "modes": […]}, an element for each
-- file; families and changes name files by their place there, counted from 0.
CREATE TABLE crawl_batches (
  number      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  crawl       BIGINT NOT NULL REFERENCES crawls (number),
  seq         BIGINT NOT NULL,
  endpoint    BIGINT NOT NULL,
  folder      TEXT    NOT NULL,
  long_folder TEXT,
  files       TEXT    NOT NULL,
  families    TEXT,
  changes     TEXT,
  gone        TEXT    NOT NULL
);
CREATE UNIQUE INDEX crawl_batches_by_seq ON crawl_batches (crawl, seq);
CREATE INDEX crawl_batches_by_folder ON crawl_batches (crawl, endpoint, folder, seq);

CREATE TABLE crawl_problems (
  number   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  crawl    BIGINT NOT NULL REFERENCES crawls (number),
  endpoint BIGINT NOT NULL,
  problem  TEXT    NOT NULL
);
CREATE INDEX crawl_problems_by_crawl ON crawl_problems (crawl, number);

-- Where readers of the feed are.
CREATE TABLE crawl_consumers (
  crawl      BIGINT NOT NULL REFERENCES crawls (number),
  consumer   TEXT    NOT NULL,
  seq        BIGINT NOT NULL,
  files      BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (crawl, consumer)
);

CREATE TABLE extractions (
  number         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id             TEXT    NOT NULL UNIQUE,
  crawl          TEXT    NOT NULL REFERENCES crawls (id),
  owner          TEXT    NOT NULL,
  status         TEXT    NOT NULL CHECK (status IN ('waiting', 'extracting', 'complete', 'failed', 'cancelled')),
  extractors     TEXT,
  records_folder TEXT,
  pulled         BIGINT NOT NULL,
  success        BIGINT NOT NULL,
  failed         BIGINT NOT NULL,
  pending        BIGINT NOT NULL,
  unknown        BIGINT NOT NULL,
  done_seq       BIGINT NOT NULL,
  -- The last number of extraction_records that was given out.
  last_number    BIGINT NOT NULL,
  job            BIGINT NOT NULL,
  error          TEXT,
  created_at     BIGINT NOT NULL,
  finished_at    BIGINT,
  -- 1 from the removal of its crawl on.
  removed        BIGINT NOT NULL
);
CREATE INDEX extractions_by_crawl ON extractions (crawl, number);

-- The columns that are JSON: files, data, problems, failure.
CREATE TABLE extraction_records (
  id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  extraction  BIGINT NOT NULL REFERENCES extractions (number),
  number      BIGINT NOT NULL,
  family      TEXT    NOT NULL,
  group_index BIGINT NOT NULL,
  group_kind  TEXT    NOT NULL,
  extractor   TEXT    NOT NULL,
  version     TEXT    NOT NULL,
  files       TEXT    NOT NULL,
  data        TEXT,
  problems    TEXT    NOT NULL,
  failure     TEXT,
  duration_ms DOUBLE PRECISION NOT NULL,
  created_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX extraction_records_by_number ON extraction_records (extraction, number);

-- One of transaction_id, file_id and extraction (with the numbers of its records) is given. A number is never used again.
CREATE TABLE search_changes (
  number         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  transaction_id BIGINT,
  file_id        BIGINT,
  extraction     TEXT,
  from_number    BIGINT,
  until_number   BIGINT
);
INSERT INTO search_changes (transaction_id) SELECT id FROM transactions ORDER BY id;

CREATE TABLE saved_queries (
  id         TEXT    PRIMARY KEY,
  owner      TEXT    NOT NULL,
  name       TEXT    NOT NULL,
  query      TEXT    NOT NULL,
  types      TEXT    NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (owner, name)
);
