-- From which migration on a program must know them to use the database; see migrate.ts.
ALTER TABLE migrations ADD COLUMN needs BIGINT NOT NULL DEFAULT 0;

-- The history of jobs, by a million of jobs each: what is asked for lies in one part, and a part whose jobs are all long
-- over goes at once. Parts are made ahead (history-store.ts); the last one takes what none was made for.
ALTER TABLE job_events RENAME TO job_events_kept;
ALTER SEQUENCE job_events_seq_seq RENAME TO job_events_kept_seq;
ALTER INDEX job_events_pkey RENAME TO job_events_kept_pkey;
CREATE TABLE job_events (
  seq    BIGINT GENERATED ALWAYS AS IDENTITY,
  job_id BIGINT NOT NULL REFERENCES jobs (id),
  at     BIGINT NOT NULL,
  type   TEXT    NOT NULL,
  data   TEXT    NOT NULL,
  PRIMARY KEY (job_id, seq)
) PARTITION BY RANGE (job_id);
DO $$
DECLARE
  million BIGINT;
BEGIN
  FOR million IN SELECT id / 1000000 FROM jobs UNION SELECT coalesce(max(id), 0) / 1000000 + 1 FROM jobs UNION SELECT 0 LOOP
    EXECUTE format('CREATE TABLE job_events_%s PARTITION OF job_events FOR VALUES FROM (%s) TO (%s)',
      million, million * 1000000, (million + 1) * 1000000);
  END LOOP;
END $$;
CREATE TABLE job_events_others PARTITION OF job_events DEFAULT;
INSERT INTO job_events OVERRIDING SYSTEM VALUE SELECT seq, job_id, at, type, data FROM job_events_kept;
SELECT setval(pg_get_serial_sequence('job_events', 'seq'), last_value, is_called) FROM job_events_kept_seq;
DROP TABLE job_events_kept;

-- For choosing transactions by what was said of them. An index of PostgreSQL takes 2,704 bytes: the beginning of long texts.
CREATE INDEX key_values_by_value ON key_values (substr(key, 1, 200), substr(value, 1, 200), transaction_id)
  WHERE file_id IS NULL;
