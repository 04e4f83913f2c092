-- From which migration on a program must know them to use the database; see migrate.ts.
ALTER TABLE migrations ADD COLUMN needs INTEGER NOT NULL DEFAULT 0;
