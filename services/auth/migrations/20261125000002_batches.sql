-- A command may create many accounts, all of which it confirms or takes away at once.
alter table commands add column account_ids uuid[];
