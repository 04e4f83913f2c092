-- From which migration on a program must know them to use the database; see migrate.ts.
ALTER TABLE migrations ADD COLUMN needs INTEGER NOT NULL DEFAULT 0;

-- For choosing transactions by what was said of them. As with PostgreSQL, whose indexes take 2,704 bytes: the beginning of long texts.
CREATE INDEX key_values_by_value ON key_values (substr(key, 1, 200), substr(value, 1, 200), transaction_id)
  WHERE file_id IS NULL;
