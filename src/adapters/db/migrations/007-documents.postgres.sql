-- Indices of documents that scripts make, and their documents.

-- Without a name: removed, and its documents are on their way out.
CREATE TABLE document_indices (
  number      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name        TEXT    UNIQUE,
  mapping     TEXT    NOT NULL,
  last_seq_no BIGINT NOT NULL,
  created_at  BIGINT NOT NULL
);

-- A document's number is its place in its index, and is never used again.
CREATE TABLE documents (
  number       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  index_number BIGINT NOT NULL REFERENCES document_indices (number),
  id           TEXT    NOT NULL,
  source       TEXT    NOT NULL,
  version      BIGINT NOT NULL,
  seq_no       BIGINT NOT NULL,
  UNIQUE (index_number, id)
);
CREATE INDEX documents_in_order ON documents (index_number, number);
