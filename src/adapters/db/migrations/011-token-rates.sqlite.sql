-- What a token may send at most, as it was written: 15/900s,10000/d, or none. NULL: as much as everybody.

ALTER TABLE tokens ADD COLUMN rate_limit TEXT;
