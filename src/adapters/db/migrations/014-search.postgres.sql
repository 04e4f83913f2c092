-- The last time that the search index was to be made anew. One row at most; times are epoch milliseconds.

CREATE TABLE search_rebuilds (
  id INTEGER PRIMARY KEY,
  started_at BIGINT NOT NULL,
  finished_at BIGINT, -- NULL: asked for, or under way
  done BIGINT NOT NULL,
  total BIGINT NOT NULL,
  error TEXT -- JSON: code, message, details
);
