-- What lies in each folder of a crawl with all that is below it, and what the files of each ending are together.
-- `folder` and `long_folder` as in crawl_folders; `parent` is `folder` of the one above, and NULL of an endpoint's own.
CREATE TABLE crawl_sizes (
  crawl       INTEGER NOT NULL REFERENCES crawls (number),
  endpoint    INTEGER NOT NULL,
  folder      TEXT    NOT NULL,
  long_folder TEXT,
  parent      TEXT,
  files       INTEGER NOT NULL,
  bytes       INTEGER NOT NULL,
  PRIMARY KEY (crawl, endpoint, folder)
) WITHOUT ROWID;
CREATE INDEX crawl_sizes_by_parent ON crawl_sizes (crawl, endpoint, parent, bytes);

CREATE TABLE crawl_types (
  crawl  INTEGER NOT NULL REFERENCES crawls (number),
  -- In lower case and without its dot; nothing for names that have none.
  ending TEXT    NOT NULL,
  files  INTEGER NOT NULL,
  bytes  INTEGER NOT NULL,
  PRIMARY KEY (crawl, ending)
) WITHOUT ROWID;
CREATE INDEX crawl_types_by_bytes ON crawl_types (crawl, bytes);
