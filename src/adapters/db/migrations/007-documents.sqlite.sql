-- Indices of documents that scripts make, and their documents.

-- Without a name: removed, and its documents are on their way out.
CREATE TABLE document_indices (
  number      INTEGER PRIMARY KEY AUTOINCREMENT,
  name        TEXT    UNIQUE,
  mapping     TEXT    NOT NULL,
  last_seq_no INTEGER NOT NULL,
  created_at  INTEGER NOT NULL
);

-- A document's number is its place in its index, and is never used again.
CREATE TABLE documents (
  number       INTEGER PRIMARY KEY AUTOINCREMENT,
  index_number INTEGER NOT NULL REFERENCES document_indices (number),
  id           TEXT    NOT NULL,
  source       TEXT    NOT NULL,
  version      INTEGER NOT NULL,
  seq_no       INTEGER NOT NULL,
  UNIQUE (index_number, id)
);
CREATE INDEX documents_in_order ON documents (index_number, number);
