-- What operators have paused: everything, a subsystem or a path.
create table switches (
  subject text primary key,
  reason text,
  "by" text not null,
  at integer not null
);

-- Drop folders declared through the API, as they were sent.
create table drops (
  name text primary key,
  declaration text not null
);

-- When each drop folder was last looked at, and what kept it from that.
create table drop_looks (
  drop_name text primary key,
  at integer not null,
  trouble text
);

create table deliveries (
  id integer primary key autoincrement,
  drop_name text not null,
  name text not null,
  state text not null,
  -- 1 once nothing of it lies in the folder any more.
  closed integer not null,
  fingerprint text not null,
  stable_at integer not null,
  note text,
  job integer,
  transaction_id integer,
  permitted_by text,
  removal_job integer,
  version integer not null,
  created_at integer not null,
  updated_at integer not null
);
create unique index deliveries_open on deliveries (drop_name, name) where closed = 0;
create index deliveries_by_drop on deliveries (drop_name, id);
