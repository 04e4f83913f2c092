-- What operators have paused: everything, a subsystem or a path.
create table switches (
  subject text primary key,
  reason text,
  "by" text not null,
  at integer not null
);
