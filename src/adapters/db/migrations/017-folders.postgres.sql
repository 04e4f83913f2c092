-- Files of a transaction by their paths: its folders are listed by stepping from name to name, whatever lies below them.
-- In the order of code points, which is the same in every database.
CREATE INDEX files_by_path ON files (transaction_id, path COLLATE "C");
