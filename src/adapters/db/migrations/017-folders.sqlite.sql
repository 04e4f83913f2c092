-- Files of a transaction by their paths: its folders are listed by stepping from name to name, whatever lies below them.
CREATE INDEX files_by_path ON files (transaction_id, path);
