-- What all nodes must have in common and would not notice by themselves.
create table agreements (
  subject text primary key,
  value text not null
);
