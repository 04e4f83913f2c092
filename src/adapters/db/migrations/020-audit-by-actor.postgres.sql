-- The audit log by who did something and by what was done: its newest entries of either are read from an index.
CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_action ON audit (action, seq);
