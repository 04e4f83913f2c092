-- Who has which duty among the nodes, by the database's clock.
create table leases (
  duty text primary key,
  holder text not null,
  since bigint not null,
  until bigint not null
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
  since bigint not null,
  seen_at bigint not null
);
