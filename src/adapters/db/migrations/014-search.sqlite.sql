-- The last time that the search index was to be made anew. One row at most; times are epoch milliseconds.

CREATE TABLE search_rebuilds (
  id INTEGER PRIMARY KEY,
  started_at INTEGER NOT NULL,
  finished_at INTEGER, -- NULL: asked for, or under way
  done INTEGER NOT NULL,
  total INTEGER NOT NULL,
  error TEXT -- JSON: code, message, details
);
