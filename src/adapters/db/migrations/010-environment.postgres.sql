-- Named values and secrets for the commands that registers and schedules run.

CREATE TABLE environment (
  -- global, register:NAME or schedule:NAME.
  scope   TEXT    NOT NULL,
  name    TEXT    NOT NULL,
  secret  INTEGER NOT NULL CHECK (secret IN (0, 1)),
  -- The value; of a secret, sealed under the server's key.
  content TEXT    NOT NULL,
  set_at  BIGINT  NOT NULL,
  set_by  TEXT    NOT NULL,
  PRIMARY KEY (scope, name)
);
