-- Who has which duty among the nodes, by the machine's clock.
create table leases (
  duty text primary key,
  holder text not null,
  since integer not null,
  until integer not null
);

-- The processes that serve or work, each for as long as it says so.
create table nodes (
  name text primary key,
  role text not null,
  version text not null,
  -- JSON.
  lanes text not null,
  -- JSON; all kinds of jobs when null.
  tasks text,
  address text,
  since integer not null,
  seen_at integer not null
);
